"""Reconciliation as OpenRefine does it (Reconciliation Service API 0.2): what is found, how sure it is, and what is fetched."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import sqlalchemy as sa
from jsonschema import Draft202012Validator

from app.kit.db import Database
from app.main import create_app
from app.settings import Settings
from tests.conftest import Server, serving
from tests.support.answers import Json, nothing_written, parameters, problem
from tests.support.builders import (
    collaboration,
    collaboration_type,
    milestone,
    organization,
    patch,
    source,
    withdraw,
)

HERE = "/v1/reconcile"

# --- what the specification says of the answers ---------------------------------------------------------------------


def of(required: dict[str, Any], optional: dict[str, Any] | None = None, *, open_: bool = True) -> Json:
    return {
        "type": "object", "properties": required | (optional or {}), "required": list(required),
        "additionalProperties": open_,
    }  # fmt: skip


def many(schema: Json) -> Json:
    return {"type": "array", "items": schema}


TEXT: Json = {"type": "string"}
URL: Json = {"type": "string", "pattern": "^https?://[^/]+"}
NUMBER: Json = {"type": "number"}
WITH_ID: Json = {"type": "string", "pattern": r"^https?://.*\{\{id\}\}"}
TYPE = of({"id": TEXT, "name": TEXT}, {"description": TEXT, "broader": many(of({"id": TEXT, "name": TEXT}))})
A_TYPE: Json = {"oneOf": [of({"id": TEXT}, {"name": TEXT}), TEXT]}
PLACE = of({"service_url": URL, "service_path": {"type": "string", "pattern": "^/"}})
SETTING = of({"type": {"enum": ["number", "text", "checkbox", "select"]}, "label": TEXT, "name": TEXT})
MANIFEST = of(
    {"versions": {"type": "array", "items": TEXT, "contains": {"const": "0.2"}}, "name": TEXT, "identifierSpace": URL,
     "schemaSpace": URL},
    {"documentation": URL, "serviceVersion": TEXT, "logo": URL, "view": of({"url": WITH_ID}),
     "defaultTypes": {"type": "array", "items": TYPE, "uniqueItems": True}, "batchSize": {"type": "integer"},
     "preview": of({"url": WITH_ID, "width": {"type": "integer"}, "height": {"type": "integer"}}),
     "suggest": of({}, {"entity": PLACE, "property": PLACE, "type": PLACE}),
     "extend": of({}, {"propose_properties": PLACE, "property_settings": many(SETTING)})},
)  # fmt: skip
FEATURE = of({"id": TEXT, "value": {"oneOf": [{"type": "boolean"}, NUMBER]}})
CANDIDATE = of(
    {"id": TEXT, "name": TEXT, "score": NUMBER},
    {"description": TEXT, "features": many(FEATURE), "match": {"type": "boolean"}, "type": many(A_TYPE)},
)
RESULTS: Json = {"type": "object", "additionalProperties": of({"result": many(CANDIDATE)})}
ENTITIES = of({"result": many(of({"id": TEXT, "name": TEXT}, {"description": TEXT, "notable": many(A_TYPE)}))})
PROPERTY = of({"id": TEXT, "name": TEXT}, {"description": TEXT})
PROPERTIES = of({"result": many(PROPERTY)})
TYPES = of({"result": many(TYPE)})
PROPOSAL = of({"properties": many(PROPERTY), "type": TEXT}, {"limit": {"type": "integer"}})
VALUE: Json = {
    "oneOf": [
        of({}, open_=False),
        of({"id": TEXT, "name": TEXT}, {"description": TEXT}, open_=False),
        of({"str": TEXT}, open_=False),
        of({"float": NUMBER}, open_=False),
        of({"int": {"type": "integer"}}, open_=False),
        of({"date": {"type": "string", "pattern": r"^-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d"}}, open_=False),
    ]
}
ROWS: Json = {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": many(VALUE)}}
EXTENSION = of({"meta": many(of({"id": TEXT, "name": TEXT}, {"type": of({"id": TEXT})})), "rows": ROWS})


def read(answer: httpx.Response, schema: Json) -> Json:
    """The answer, which is as the specification says."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: Json = answer.json()
    validator: Any = Draft202012Validator(schema)
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)] == []
    return body


# --- asking ---------------------------------------------------------------------------------------------------------


def ask(client: httpx.Client, **queries: Any) -> Json:
    """What a batch finds, sent as OpenRefine sends it."""
    return read(client.post(HERE, data={"queries": json.dumps(queries)}), RESULTS)


def candidates(client: httpx.Client, query: str | None = None, /, **more: Any) -> list[Json]:
    """The candidates for one query."""
    answer = ask(client, q0=({} if query is None else {"query": query}) | more)["q0"]
    assert "error" not in answer
    found: list[Json] = answer["result"]
    assert [one["score"] for one in found] == sorted((one["score"] for one in found), reverse=True)
    assert not any(one["match"] for one in found[1:])
    return found


def scores(client: httpx.Client, query: str | None = None, /, **more: Any) -> dict[str, float]:
    return {one["id"]: one["score"] for one in candidates(client, query, **more)}


def matched(client: httpx.Client, query: str | None = None, /, **more: Any) -> str | None:
    """The id of what is a match without doubt."""
    return next((one["id"] for one in candidates(client, query, **more) if one["match"]), None)


def having(**values: Any) -> list[Json]:
    return [{"pid": name, "v": value} for name, value in values.items()]


def extend(client: httpx.Client, ids: list[str], *properties: str | Json) -> Json:
    wanted = [each if isinstance(each, dict) else {"id": each} for each in properties]
    answer = client.post(HERE, data={"extend": json.dumps({"ids": ids, "properties": wanted})})
    return read(answer, EXTENSION)


def suggested(client: httpx.Client, what: str, **parameters: Any) -> list[str]:
    schema = {"entity": ENTITIES, "type": TYPES, "property": PROPERTIES}[what]
    answer = client.get(f"{HERE}/suggest/{what}", params=parameters)
    return [each["id"] for each in read(answer, schema)["result"]]


# --- as OpenRefine does it ------------------------------------------------------------------------------------------


def test_a_column_of_names_is_reconciled_as_openrefine_does_it(registry: httpx.Client) -> None:
    manifest = read(registry.get(HERE), MANIFEST)
    assert manifest["versions"] == ["0.2"]
    assert manifest["identifierSpace"] == f"{registry.base_url}/v1/organizations/"

    # The address of a service is its two parts put together; a record's, the template with its id escaped.
    def at(place: Json) -> str:
        return str(place["service_url"] + place["service_path"])

    def page(template: Json, identifier: str) -> str:
        return str(template["url"].replace("{{id}}", quote(identifier, safe="")))

    kind = read(registry.get(at(manifest["suggest"]["type"]), params={"prefix": "org"}), TYPES)["result"][0]
    assert kind in [each | {"description": kind["description"]} for each in manifest["defaultTypes"]]
    parent = registry.get(at(manifest["suggest"]["property"]), params={"prefix": "part", "type": kind["id"]})
    assert read(parent, PROPERTIES)["result"][0]["id"] == "part_of"

    column = ["OECD", "Intl. Labor Organization", "UN Conference on Trade & Development", "Human rights council", "?!"]
    batch = {f"q{n}": {"query": cell, "type": kind["id"], "type_strict": "should"} for n, cell in enumerate(column)}
    batch["q3"]["properties"] = [{"pid": "part_of", "v": {"id": "un", "name": "United Nations"}}]
    answers = read(registry.post(HERE, data={"queries": json.dumps(batch)}), RESULTS)
    assert list(answers) == list(batch)
    best = [next((one["id"] for one in answers[name]["result"]), None) for name in batch]
    assert best == ["oecd", "ilo", "unctad", "human-rights-council", None]
    sure = [next((one["match"] for one in answers[name]["result"]), None) for name in batch]
    assert sure == [True, False, False, True, None]  # similar names are left for a person
    assert answers["q3"]["result"][0]["description"] == "Organ, part of United Nations"

    # For one that is not sure the person looks for another, and looks at it.
    typed = {"prefix": "united nations conf", "type": kind["id"], "spell": "always", "prefixed": "true"}
    found = read(registry.get(at(manifest["suggest"]["entity"]), params=typed), ENTITIES)["result"]
    assert [one["id"] for one in found] == ["unctad"]
    shown = registry.get(page(manifest["preview"], "unctad"))
    assert (shown.status_code, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "UNCTAD" in shown.text
    assert registry.get(page(manifest["view"], "unctad"), follow_redirects=True).json()["slug"] == "unctad"

    # More columns: which there are, and their values.
    place = at(manifest["extend"]["propose_properties"])
    proposed = read(registry.get(place, params={"type": kind["id"], "limit": "30"}), PROPOSAL)["properties"]
    assert {"acronym", "part_of", "kind"} <= {each["id"] for each in proposed}
    extension = extend(registry, ["oecd", "unctad"], "acronym", "part_of")
    assert extension == {
        "meta": [
            {"id": "acronym", "name": "Acronym"},
            {"id": "part_of", "name": "Part of", "type": {"id": "organizations", "name": "Organization"}},
        ],
        "rows": {
            "oecd": {"acronym": [{"str": "OECD"}], "part_of": []},
            "unctad": {"acronym": [{"str": "UNCTAD"}], "part_of": [{"id": "un", "name": "United Nations"}]},
        },
    }


# --- the manifest ---------------------------------------------------------------------------------------------------


def test_the_manifest_names_the_host_under_which_it_was_asked(client: httpx.Client) -> None:
    for host in ("registry.example", "registry.example:8443", "[::1]:8000", "10.0.0.1"):
        manifest = read(client.get(HERE, headers={"Host": host}), MANIFEST)
        assert manifest["preview"]["url"] == f"http://{host}{HERE}/preview?id={{{{id}}}}"
        assert manifest["suggest"]["entity"]["service_url"] == f"http://{host}"
    for host in ('evil"example', "evil/example", "a b", "[::1", "@"):
        assert parameters(problem(client, client.get(HERE, headers={"Host": host}), 400)) == ["Host"]


def test_the_manifest_and_what_it_leads_to_know_the_prefix_of_a_proxy(server: Server) -> None:
    app = create_app(Settings(database_url=server.fresh("seeded"), root_path="/registry"))
    with serving(app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}/registry") as client:
        manifest = read(client.get("/v1/reconcile"), MANIFEST)
        assert manifest["identifierSpace"] == f"http://127.0.0.1:{port}/registry/v1/organizations/"
        for template in (manifest["view"]["url"], manifest["preview"]["url"]):
            assert httpx.get(template.replace("{{id}}", "oecd"), follow_redirects=True).status_code == 200
        suggest = manifest["suggest"]["entity"]
        found = httpx.get(suggest["service_url"] + suggest["service_path"], params={"prefix": "oecd"})
        assert read(found, ENTITIES)["result"][0]["id"] == "oecd"


# --- scores ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def health(client: httpx.Client) -> httpx.Client:
    """A registry with one organization that has names of all kinds, and one beside it."""
    names = [
        {"value": "Organisation mondiale de la santé", "lang": "fr", "kind": "official"},
        {"value": "Health Organization of the League of Nations", "kind": "former"},
    ]
    organization(client, slug="who", name="World Health Organization", acronym="WHO", other_names=names)
    organization(client, slug="other", name="Something else")
    return client


@pytest.mark.parametrize(
    ("text", "score", "match"),
    [
        ("World Health Organization", 100, True),
        ("  world   HEALTH\norganization ", 100, True),
        ("Organisation Mondiale de la Sante", 98, True),
        ("who", 100, True),  # its very slug
        ("WHO", 95, True),
        ("Health Organization of the League of Nations", 90, False),
        ("Organization, World Health", 94, False),
    ],
)
def test_a_score_says_by_which_name_a_record_was_found(
    health: httpx.Client, text: str, score: int, *, match: bool
) -> None:
    (found,) = candidates(health, text)
    assert (found["id"], found["score"], found["match"]) == ("who", score, match)
    assert found["name"] == "World Health Organization"
    assert found["type"] == [{"id": "organizations", "name": "Organization"}]


def test_nobody_is_found_for_what_nobody_is_called(health: httpx.Client) -> None:
    assert ask(health, a={"query": "Ministry of Silly Walks"}, b={"query": "?"}) == {
        "a": {"result": []},
        "b": {"result": []},
    }


def test_a_record_is_found_by_each_of_its_ids(client: httpx.Client) -> None:
    one, kind = organization(client, slug="one"), collaboration_type(client, slug="one")
    assert [matched(client, text) for text in ("one", one["id"], one["id"].upper())] == ["one"] * 3
    for text in ("one", "collaboration-types/one", kind["id"]):
        assert matched(client, text, type="collaboration-types") == "collaboration-types/one"
    assert matched(client, "collaboration-types/one") is None


def test_a_property_that_agrees_adds_five_and_one_that_differs_takes_off_fifteen(client: httpx.Client) -> None:
    for country in ("CH", "FR"):
        organization(
            client, slug=f"labour-{country.lower()}", name="Ministry of Labour", country=country, kind="government"
        )
    organization(client, slug="labour", name="Ministry of Labor", kind="government", acronym="Ministry of Labour")
    assert scores(client, "Ministry of Labour") == {"labour-ch": 100, "labour-fr": 100, "labour": 95}
    assert matched(client, "Ministry of Labour") is None
    found = candidates(client, "Ministry of Labour", properties=having(country="ch"))
    assert [(one["id"], one["score"], one["match"]) for one in found] == [
        ("labour-ch", 100, False), ("labour", 95, False), ("labour-fr", 85, False),
    ]  # fmt: skip
    assert [one["features"][2:] for one in found] == [
        [{"id": "property:country", "value": True}], [], [{"id": "property:country", "value": False}],
    ]  # fmt: skip
    withdraw(client, organization, {"slug": "labour"})
    assert matched(client, "Ministry of Labour", properties=having(country="CH")) == "labour-ch"
    assert matched(client, "Ministry of Labour", properties=having(country=["DE", "FR"])) == "labour-fr"


def test_values_are_compared_as_people_write_them(client: httpx.Client) -> None:
    organization(client, slug="parent", name="The Parent", acronym="TP")
    organization(client, slug="child", name="Child", kind="working_group", part_of="parent", acronym="CÉ",
                 url="https://www.child.example/about/")  # fmt: skip
    agreeing: list[dict[str, Any]] = [
        {"kind": "Working group"}, {"kind": "WORKING_GROUP"}, {"acronym": "ce"}, {"url": "http://child.example/about"},
        {"part_of": "parent"}, {"part_of": "the parent"}, {"part_of": "tp"}, {"part_of": {"id": "parent"}},
        {"part_of": [{"id": "Q1"}, "TP"]}, {"version": 1}, {"version": 1.0}, {"version": "1"},
    ]  # fmt: skip
    for given in agreeing:
        (found,) = candidates(client, "child of it", properties=having(**given))
        (name,) = given
        assert found["features"][2:] == [{"id": f"property:{name}", "value": True}], given
    for given in ({"kind": "organ"}, {"part_of": "child"}, {"version": True}, {"url": "https://child.example"}):
        (found,) = candidates(client, "child of it", properties=having(**given))
        assert found["features"][2]["value"] is False, given
    unstated: list[dict[str, Any]] = [{"country": "CH"}, {"nonsense": "x"}, {"kind": ""}, {"kind": []}, {"kind": None}]
    for silent in unstated:
        assert len(candidates(client, "child of it", properties=having(**silent))[0]["features"]) == 2, silent


def test_an_identifier_tells_who_is_meant_whatever_the_name(client: httpx.Client) -> None:
    ids = [{"scheme": "ror", "value": "01F80G185", "url": "https://ror.example/01f80g185"}]
    organization(client, slug="who", name="World Health Organization", identifiers=ids)
    organization(client, slug="namesake", name="Worldwide Health Organization",
                 identifiers=[{"scheme": "ror", "value": "05abc"}])  # fmt: skip
    for scheme, value in (("ror", "01f80g185"), ("ROR", "01F80G185")):
        assert matched(client, "W.H.Org", properties=having(**{scheme: value})) == "who"
        assert matched(client, properties=having(**{scheme: value})) == "who"
    assert scores(client, "World Health Organization", properties=having(ror="01f80g185"))["namesake"] < 70
    assert scores(client, "World Health Organization", properties=having(ror="elsewhere"))["who"] == 70
    assert "ror" in suggested(client, "property", prefix="r", type="organizations")
    assert extend(client, ["who"], "ror", "identifiers.value", "isni")["rows"]["who"] == {
        "ror": [{"str": "01F80G185"}], "identifiers.value": [{"str": "01F80G185"}], "isni": [],
    }  # fmt: skip
    withdraw(client, organization, {"slug": "who"})
    assert scores(client, properties=having(ror="01f80g185")) == {}


def test_without_a_name_that_of_the_properties_is_looked_for(client: httpx.Client) -> None:
    organization(client, slug="who", name="World Health Organization", acronym="WHO")
    assert matched(client, properties=having(acronym="WHO")) == "who"
    assert matched(client, properties=having(name="World Health Organization")) == "who"
    assert candidates(client, properties=having(country="CH")) == []


# --- types and limits -----------------------------------------------------------------------------------------------


def test_a_query_may_be_of_one_noun_of_several_or_of_organizations(client: httpx.Client) -> None:
    organization(client, slug="training", name="Training")
    kind = collaboration_type(client, slug="training", label="Training")
    collaboration(client, slug="training", title="Training", type=kind["slug"], status="active")
    both = ["organizations", "collaborations"]
    assert list(scores(client, "Training")) == ["training"]
    assert list(scores(client, "Training", type="")) == ["training"]
    assert list(scores(client, "Training", type="collaborations")) == ["collaborations/training"]
    for strict in ("any", "should"):
        assert list(scores(client, "Training", type=both, type_strict=strict)) == [
            "collaborations/training",
            "training",
        ]
    assert scores(client, "Training", type=both, type_strict="all") == {}  # no record is of two nouns
    assert matched(client, "Training", type="collaborations", type_strict="all") == "collaborations/training"
    assert matched(client, "Training", type=both) is None
    (found,) = candidates(client, "Training", type="collaborations")
    assert found["description"] == "Training, active"


def test_a_limit_cuts_the_candidates_and_decides_nothing(client: httpx.Client) -> None:
    for n in range(30):
        organization(client, slug=f"agency-{n:02}", name=f"Agency {n}", acronym="Agency")
    assert len(candidates(client, "Agency")) == 10
    assert len(candidates(client, "Agency", limit=0)) == 10
    assert list(scores(client, "Agency", limit=3)) == ["agency-00", "agency-01", "agency-02"]
    assert len(candidates(client, "Agency", limit=25.0)) == 25
    assert len(candidates(client, "Agency", limit=1000)) == 30
    assert matched(client, "Agency", limit=1) is None  # others are within five of it


# --- batches --------------------------------------------------------------------------------------------------------

MISTAKES: list[Any] = [
    None, 1, "x", [], {}, {"query": ""}, {"query": "   "}, {"query": 5}, {"query": "a\u0000b"}, {"query": "\u202eevil"},
    {"query": "x" * 501}, {"query": "a" + "\u0301" * 100}, {"query": "WHO", "type": "nobody"}, {"query": "WHO", "type": 5},
    {"query": "WHO", "type": ["x"] * 21}, {"query": "WHO", "limit": -1}, {"query": "WHO", "limit": "5"},
    {"query": "WHO", "limit": 1.5}, {"query": "WHO", "limit": True}, {"query": "WHO", "properties": [1]},
    {"query": "WHO", "properties": [{"pid": "kind"}]}, {"query": "WHO", "properties": [{"v": "kind"}]},
    {"query": "WHO", "properties": [{"pid": 1, "v": 1}]},
    {"query": "WHO", "properties": having(kind=[["x"]])}, {"query": "WHO", "properties": having(kind=[None])},
    {"query": "WHO", "properties": having(kind="x") * 101}, {"query": "WHO", "type_strict": "perhaps"},
    {"properties": having(kind=[])}, {"query": "\ud83d"}, {"query": "WHO", "properties": having(ror="a\u0000b")},
    {"query": "WHO", "properties": having(ror="\udc00")}, {"query": "WHO", "properties": [{"pid": "\ud800", "v": "x"}]},
    {"query": "WHO", "properties": having(ror={"id": "\u0000"})}, {"query": "WHO", "type": ["\ud800\u0000"]},
]  # fmt: skip


def test_a_query_that_cannot_be_understood_does_not_spoil_the_others(health: httpx.Client) -> None:
    batch = {f"q{n}": mistake for n, mistake in enumerate(MISTAKES)} | {
        "": {"query": "WHO"},
        "last/~": {"query": "WHO"},
    }
    answers = ask(health, **batch)
    assert list(answers) == list(batch)
    for name, mistake in batch.items():
        if name.startswith("q"):
            assert answers[name]["result"] == [], mistake
            assert answers[name]["error"].endswith("."), mistake
    assert answers[""] == answers["last/~"]
    assert answers[""]["result"][0]["id"] == "who"


def test_a_query_is_answered_as_if_it_were_alone(registry: httpx.Client) -> None:
    alone = {"q": {"query": "United Nations", "limit": 2}}
    beside = {f"{n}": {"query": text, "limit": 50} for n, text in enumerate(("United Nations", "UN", "un"))}
    assert ask(registry, **alone, **beside)["q"] == ask(registry, **alone)["q"]


def test_fields_that_the_registry_does_not_know_are_passed_by(health: httpx.Client) -> None:
    properties = [{"pid": "kind", "v": "other", "required": True}]
    assert matched(health, "WHO", lang="fr", matchType="best", conditions=[], properties=properties) == "who"


@pytest.mark.parametrize(
    "text",
    [
        '"; DROP TABLE organization; --', "NEAR(a b)", 'a* AND "b', "100% _x_ \\", "' OR 1=1", "<script>alert(1)</script>",
        "\ue000organizations", "\U0001f600", "日本国際協力機構", "a" * 500, "((((", "f.k.a. () (WHO", ":*", "é" * 250, "½",
        "{{id}}",
    ],
)  # fmt: skip
def test_no_text_has_a_meaning_beyond_its_words(health: httpx.Client, text: str) -> None:
    ask(health, q0={"query": text}, q1={"query": "WHO", "properties": [{"pid": text[:200], "v": text}]})
    suggested(health, "entity", prefix=text[:255])
    suggested(health, "property", prefix=text[:255])
    extend(health, ["who", text], text[:200])
    assert health.get(f"{HERE}/preview", params={"id": text}).status_code == 404


def test_a_batch_has_a_hundred_queries_at_most(health: httpx.Client) -> None:
    batch = {f"q{n}": {"query": "Agency"} for n in range(101)}
    for answer in (
        health.post(HERE, data={"queries": json.dumps(batch)}),
        health.get(HERE, params={"queries": json.dumps(batch, separators=(",", ":"))}),
    ):
        assert "100" in problem(health, answer, 413)["detail"]
    del batch["q0"]
    assert len(ask(health, **batch)) == 100
    assert ask(health) == {}


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The SQL that is sent meanwhile, without the begin of transactions."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN") and "FROM api_key" not in statement:  # who asks is looked up apart
            sent.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        sa.event.remove(database.engine, "before_cursor_execute", note)


def test_a_batch_costs_some_statements_a_name_and_few_beside(registry: httpx.Client, seeded: Database) -> None:
    names = ["ILO", "OECD", "Office of the High Commissioner for Human Rights", "UN", "UNCTAD", "United Nations", "WAIPA",
             "Human Rights Council", "Global Compact", "Governments"]  # fmt: skip
    batch = {name: {"query": name, "properties": having(part_of="UN", kind="organ", ror="x")} for name in names}

    def cost(asked: Json) -> int:
        with statements(seeded) as sent:
            ask(registry, **asked)
        return len(sent)

    alone, together = cost({"ILO": batch["ILO"]}), cost(batch)
    assert alone <= 9  # exact, alike (three ways at most), ids, identifiers, records, references, those of descriptions
    assert together <= 6 + 3 * len(names)
    assert (
        cost({f"{n}": {"query": "OECD"} for n in range(50)}) <= 9
    )  # a name that stands fifty times is looked for once
    for n in range(20):
        organization(registry, name=f"OECD Committee {n}", part_of="oecd")
    assert cost(batch) <= 6 + 3 * len(names)
    with statements(seeded) as sent:
        extend(registry, ["oecd", "unctad", "un", "ilo"], "part_of", "acronym", "sources")
    assert len(sent) <= 5


# --- what is sent ---------------------------------------------------------------------------------------------------


def form(client: httpx.Client, body: str | bytes, kind: str = "application/x-www-form-urlencoded") -> httpx.Response:
    return client.post(HERE, content=body, headers={"Content-Type": kind})


def test_a_form_is_read_strictly(health: httpx.Client) -> None:
    for text in ("{", "", "{]", '{"a":1,"a":2}', '{"a":NaN}', "q0", "[" * 100, "\ufeff{}"):
        for field in ("queries", "extend"):
            problem(health, health.post(HERE, data={field: text}), 400)
            problem(health, health.get(HERE, params={field: text}), 400)
    for text in ("[]", "1", '"x"', "null", '{"a":1e999}', '{"a":1111111111111111111}'):
        problem(health, health.post(HERE, data={"queries": text}), 422)
    refused = health.post(HERE, data={"queries": r'{"\ud800":{"query":"WHO"}}'})
    assert parameters(problem(health, refused, 422)) == ["queries"]
    for text in (r'{"ids":["\udc00"],"properties":[]}', r'{"ids":["who"],"properties":[{"id":"\ud800"}]}'):
        problem(health, health.post(HERE, data={"extend": text}), 422)
    answer = health.post(HERE, data={"extend": r'{"ids":["\u0000","who"],"properties":[{"id":"\u0000"}]}'})
    assert read(answer, EXTENSION)["rows"] == {"\0": {"\0": []}, "who": {"\0": []}}
    for body in ("", "queries", "x=1", "queries={}&x=1", "queries={}&queries={}", "queries={}&extend={}", "queries=%zz",
                 "queries=%ff", b"queries=\xff", "queries=%00{}"):  # fmt: skip
        problem(health, form(health, body), 400)
    for kind in (
        "application/json",
        "text/plain",
        "multipart/form-data",
        "application/x-www-form-urlencoded; charset=latin1",
    ):
        assert problem(health, form(health, "queries={}", kind), 415)["detail"]
    problem(health, form(health, "queries=" + " " * 1_048_577), 413)


def test_a_form_may_hold_json_in_several_lines(health: httpx.Client) -> None:
    text = json.dumps({"q0": {"query": "WHO"}}, indent="\t")
    answer = form(health, "queries=" + quote(text), "application/x-www-form-urlencoded; charset=UTF-8")
    assert read(answer, RESULTS)["q0"]["result"][0]["id"] == "who"


def test_parameters_without_a_meaning_and_jsonp_are_refused(client: httpx.Client) -> None:
    assert parameters(problem(client, client.get(HERE, params={"query": "WHO"}), 400)) == ["query"]
    assert parameters(problem(client, client.post(f"{HERE}?queries={{}}", data={"queries": "{}"}), 400)) == ["queries"]
    both = client.get(HERE, params={"queries": "{}", "extend": "{}"})
    assert parameters(problem(client, both, 400)) == ["queries", "extend"]
    for path in ("", "/suggest/entity", "/suggest/type", "/suggest/property", "/properties"):
        refused = problem(client, client.get(HERE + path, params={"callback": "jQuery1", "_": "1"}), 400)
        assert parameters(refused) == ["callback"]


def test_a_form_from_a_page_of_another_site_reads_and_writes_nothing(health: httpx.Client) -> None:
    with nothing_written(health):
        answer = health.post(
            HERE, data={"queries": '{"q0":{"query":"WHO"}}'}, headers={"Origin": "https://evil.example"}
        )
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"


def test_the_answers_to_get_are_kept_until_something_is_written(health: httpx.Client) -> None:
    paths = [
        f"{HERE}?queries=" + quote('{"q0":{"query":"WHO"}}'),
        f"{HERE}?extend=" + quote('{"ids":["who"],"properties":[{"id":"acronym"}]}'),
        f"{HERE}/suggest/entity?prefix=w", f"{HERE}/suggest/type?prefix=o", f"{HERE}/suggest/property?prefix=a",
        f"{HERE}/properties?type=organizations", f"{HERE}/preview?id=who",
    ]  # fmt: skip
    tags = {path: health.get(path).headers["etag"] for path in paths}
    for path, tag in tags.items():
        kept = health.get(path, headers={"If-None-Match": tag})
        assert (kept.status_code, kept.content, kept.headers["etag"]) == (304, b"", tag)
    organization(health)
    for path, tag in tags.items():
        assert health.get(path, headers={"If-None-Match": tag}).status_code == 200


def test_get_and_post_answer_the_same(health: httpx.Client) -> None:
    queries, wanted = '{"q0":{"query":"WHO"}}', '{"ids":["who"],"properties":[{"id":"acronym"}]}'
    assert health.get(HERE, params={"queries": queries}).content == health.post(HERE, data={"queries": queries}).content
    assert health.get(HERE, params={"extend": wanted}).content == health.post(HERE, data={"extend": wanted}).content


# --- what is withdrawn ----------------------------------------------------------------------------------------------


def test_a_withdrawn_record_is_nowhere(health: httpx.Client) -> None:
    identifier = health.get("/v1/organizations/who").json()["id"]
    withdraw(health, organization, {"slug": "who"})
    for text in ("World Health Organization", "WHO", "who", identifier):
        assert candidates(health, text) == []
        assert suggested(health, "entity", prefix=text) == []
    assert extend(health, ["who", identifier], "name")["rows"] == {"who": {"name": []}, identifier: {"name": []}}
    problem(health, health.get(f"{HERE}/preview?id=who"), 410)


# --- suggestions ----------------------------------------------------------------------------------------------------


def test_records_are_suggested_by_their_names_and_by_their_id(registry: httpx.Client) -> None:
    assert suggested(registry, "entity", prefix="organisation for eco") == ["oecd"]
    assert suggested(registry, "entity", prefix="OECD")[0] == "oecd"
    assert suggested(registry, "entity", prefix="wg-business-human-rights") == ["wg-business-human-rights"]
    assert suggested(registry, "entity", prefix="") == []
    assert all(
        each.startswith("instruments/") for each in suggested(registry, "entity", prefix="g", type="instruments")
    )
    assert (
        suggested(registry, "entity", prefix="training", type="collaboration-types")[0]
        == "collaboration-types/training"
    )
    assert suggested(registry, "entity", prefix="collaboration-types/training")[0] == "collaboration-types/training"


def test_all_that_is_suggested_is_reached_by_the_cursor_once(client: httpx.Client) -> None:
    made = {organization(client, name=f"Agency {n:03}")["slug"] for n in range(45)}
    found: list[str] = []
    following: int | None = 0
    pages = 0
    while following is not None:
        body = read(client.get(f"{HERE}/suggest/entity", params={"prefix": "agency", "cursor": following}), ENTITIES)
        found += [each["id"] for each in body["result"]]
        following, pages = body.get("cursor"), pages + 1
    assert (len(found), set(found), pages) == (45, made, 3)
    assert suggested(client, "entity", prefix="agency", cursor=180) == []
    for cursor in ("181", "-1", "x"):
        refused = client.get(f"{HERE}/suggest/entity", params={"prefix": "a", "cursor": cursor})
        assert parameters(problem(client, refused, 422)) == ["cursor"]


def test_what_openrefines_suggest_box_sends_beside_is_passed_by(health: httpx.Client) -> None:
    box = "spell=always&exact=false&prefixed=true&filter=a&filter=b&key=&lang=en"
    for path, first in (
        ("entity?prefix=world", "who"),
        ("type?prefix=org", "organizations"),
        ("property?prefix=acr", "acronym"),
    ):
        body = health.get(f"{HERE}/suggest/{path}&{box}").json()
        assert body["result"][0]["id"] == first
    assert health.get(f"{HERE}/properties?type=&{box}").json()["type"] == "organizations"


def test_types_and_properties_are_suggested_by_the_begin_of_their_words(client: httpx.Client) -> None:
    assert suggested(client, "type", prefix="COLL") == ["collaboration-types", "collaborations"]
    assert suggested(client, "type", prefix="type") == ["collaboration-types"]
    assert suggested(client, "type", prefix="", cursor=8) == ["successions"]
    everything = suggested(client, "property", prefix="")
    assert len(everything) == len(set(everything))
    assert {"name", "title", "participants.organization", "period"} <= set(everything)
    assert "participants.organization" not in suggested(client, "property", prefix="", type="organizations")
    assert suggested(client, "property", prefix="count") == ["country"]
    for path in ("suggest/entity", "suggest/property", "properties"):
        assert parameters(problem(client, client.get(f"{HERE}/{path}?type=nobody"), 422)) == ["type"]


def test_as_many_properties_are_proposed_as_are_wanted(client: httpx.Client) -> None:
    body = read(client.get(f"{HERE}/properties?type=milestones&limit=2"), PROPOSAL)
    assert (body["type"], body["limit"], len(body["properties"])) == ("milestones", 2, 2)
    body = read(client.get(f"{HERE}/properties"), PROPOSAL)
    assert body["type"] == "organizations"
    assert "limit" not in body
    assert parameters(problem(client, client.get(f"{HERE}/properties?limit=0"), 422)) == ["limit"]


# --- pages ----------------------------------------------------------------------------------------------------------


def test_a_preview_holds_what_the_record_says_as_text_and_loads_nothing(client: httpx.Client) -> None:
    evil = '<img src=x onerror="alert(1)">&\'"'
    organization(client, slug="parent", name=f"Parent {evil}")
    organization(client, slug="evil", name=evil, acronym="javascript:alert(1)", description=f"https://x.example/ {evil}",
                 url="https://evil.example/?a=1&b='2'", part_of="parent", kind="working_group", country="CH",
                 identifiers=[{"scheme": "ror", "value": evil}])  # fmt: skip
    shown = client.get(f"{HERE}/preview?id=evil")
    assert shown.status_code == 200
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[^']+'; frame-ancestors \*", shown.headers["content-security-policy"]
    )
    assert set(re.findall(r"<(\w+)", shown.text)) == {
        "html", "head", "meta", "title", "style", "body", "h1", "a", "p", "dl", "dt", "dd",
    }  # fmt: skip
    links = re.findall(r'href="([^"]*)"', shown.text)
    assert links == ["/v1/organizations/evil", "https://evil.example/?a=1&amp;b=&#x27;2&#x27;"]
    assert "Working group, CH, part of Parent &lt;img" in shown.text


def test_a_preview_is_there_for_every_noun_and_for_nothing_else(registry: httpx.Client) -> None:
    for noun in registry.get("/").json()["nouns"]:
        for record in registry.get(f"/v1/{noun}?limit=3").json()["items"]:
            assert registry.get(f"{HERE}/preview", params={"id": f"{noun}/{record['slug']}"}).status_code == 200
            assert registry.get(f"{HERE}/preview", params={"id": f"{noun}/{record['id']}"}).status_code == 200
    for nothing in (
        "nobody",
        "organizations/nobody",
        "nouns/oecd",
        "organizations/",
        "/oecd",
        "oecd/",
        "../oecd",
        "",
        "a/b/c",
    ):
        for page in ("preview", "view"):
            answer = registry.get(f"{HERE}/{page}", params={"id": nothing}, follow_redirects=True)
            problem(registry, answer, 404)
    assert parameters(problem(registry, registry.get(f"{HERE}/preview"), 422)) == ["id"]


def test_the_view_of_a_record_is_the_record(client: httpx.Client) -> None:
    kind = collaboration_type(client, slug="kind")
    for identifier in ("collaboration-types/kind", f"collaboration-types/{kind['id']}"):
        answer = client.get(f"{HERE}/view", params={"id": identifier})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/v1/{identifier}")


# --- extending ------------------------------------------------------------------------------------------------------


def test_values_are_records_numbers_and_texts(client: httpx.Client) -> None:
    names = [{"value": "CÉ", "lang": "fr", "kind": "acronym"}, {"value": "Kid", "kind": "alias"}]
    organization(client, slug="parent", name="The Parent")
    child = organization(client, slug="child", name="Child", part_of="parent", founded="1999/..", other_names=names)
    collaboration_type(client, slug="kind", label="Kind", labels={"fr": "Genre"})
    collaboration(client, slug="joint", title="Joint", type="kind", sdgs=[8, 17], review_every_months=24,
                  participants=[{"organization": "child", "role": "speaker"},
                                {"organization": "parent", "role": "partner"}])  # fmt: skip
    milestone(client, slug="done", organization="child", date="2014-12")
    rows = extend(
        client, ["child", child["id"], "collaborations/joint", "milestones/done", "collaboration-types/kind"],
        "slug", "part_of", "founded", "country", "other_names.value", "type", "sdgs", "review_every_months", "labels",
        "participants.organization", "participants.role", "organization", "date", "version",
    )["rows"]  # fmt: skip
    said = {name: {each: values for each, values in row.items() if values} for name, row in rows.items()}
    parent = {"id": "parent", "name": "The Parent"}
    own = {"slug": [{"str": "child"}], "version": [{"int": 1}]}
    assert said["child"] == own | {
        "part_of": [parent], "founded": [{"str": "1999/.."}], "other_names.value": [{"str": "CÉ"}, {"str": "Kid"}],
    }  # fmt: skip
    assert said[child["id"]] == said["child"]
    assert said["collaborations/joint"] == {
        "slug": [{"str": "joint"}], "version": [{"int": 1}], "type": [{"id": "collaboration-types/kind", "name": "Kind"}],
        "sdgs": [{"int": 8}, {"int": 17}], "review_every_months": [{"int": 24}],
        "participants.organization": [{"id": "child", "name": "Child"}, parent],
        "participants.role": [{"str": "speaker"}, {"str": "partner"}],
    }  # fmt: skip
    assert said["milestones/done"]["organization"] == [{"id": "child", "name": "Child"}]
    assert said["milestones/done"]["date"] == [{"str": "2014-12"}]
    assert said["collaboration-types/kind"]["labels"] == [{"str": "fr: Genre"}]


def test_every_property_of_every_noun_can_be_fetched(registry: httpx.Client) -> None:
    for noun in registry.get("/").json()["nouns"]:
        proposed = [each["id"] for each in registry.get(f"{HERE}/properties?type={noun}").json()["properties"]]
        ids = [f"{noun}/{record['slug']}" for record in registry.get(f"/v1/{noun}?limit=5").json()["items"]]
        answer = extend(registry, ids, *proposed)
        assert [each["id"] for each in answer["meta"]] == proposed
        assert all(list(row) == proposed and row["slug"] for row in answer["rows"].values())


def test_the_evidence_of_a_record_can_be_fetched(client: httpx.Client) -> None:
    organization(client, slug="who")
    source(client, slug="page", title="The page")
    body = {"source": "page", "support": "states", "target": {"noun": "organizations", "record": "who"}}
    cited = client.post("/v1/citations", json=body).json()["slug"]
    assert extend(client, ["who"], "sources")["rows"]["who"]["sources"] == [{"id": "sources/page", "name": "The page"}]
    answer = extend(client, [f"citations/{cited}"], "target.record", "source")
    assert [[value["id"] for value in values] for values in answer["rows"][f"citations/{cited}"].values()] == [
        ["who"], ["sources/page"],
    ]  # fmt: skip


def test_a_setting_says_how_many_values_are_wanted(client: httpx.Client) -> None:
    names = [{"value": f"Name {n}", "kind": "alias"} for n in range(5)]
    organization(client, slug="who", other_names=names)
    counts: list[tuple[Any, int]] = [(2, 2), ("2", 2), (0, 5), ("0", 5), ("", 5), (None, 5), (100, 5)]
    for limit, count in counts:
        wanted = {"id": "other_names.value", "settings": {"limit": limit, "unknown": True}}
        assert len(extend(client, ["who"], wanted)["rows"]["who"]["other_names.value"]) == count
    mistakes: list[Any] = [-1, "x", "1.5", [1], {"a": 1}, "²"]
    for limit in mistakes:
        text = json.dumps({"ids": ["who"], "properties": [{"id": "name", "settings": {"limit": limit}}]})
        problem(client, client.post(HERE, data={"extend": text}), 422)


def test_an_extension_that_cannot_be_understood_is_refused(health: httpx.Client) -> None:
    mistakes: list[Any] = [
        {}, {"ids": []}, {"properties": []}, {"ids": "who", "properties": []}, {"ids": [1], "properties": []},
        {"ids": [], "properties": ["name"]}, {"ids": [], "properties": [{"id": ""}]}, {"ids": [], "properties": [{}]},
        {"ids": ["who"] * 501, "properties": []}, {"ids": [], "properties": [{"id": "name"}] * 101},
        {"ids": [], "properties": [{"id": "name", "settings": []}]},
    ]  # fmt: skip
    for mistake in mistakes:
        assert problem(health, health.post(HERE, data={"extend": json.dumps(mistake)}), 422)["errors"], mistake
    assert extend(health, [], "name") == {"meta": [{"id": "name", "name": "name"}], "rows": {}}
    assert extend(health, ["who"]) == {"meta": [], "rows": {"who": {}}}


def test_what_is_written_is_found_at_once(health: httpx.Client) -> None:
    record = health.get("/v1/organizations/who").json()
    patch(health, organization, record, name="Weltgesundheitsorganisation")
    assert matched(health, "Weltgesundheitsorganisation") == "who"
    assert candidates(health, "World Health Organization") == []


def test_pages_of_other_sites_may_read_answers_and_refusals_and_nothing_else_of_the_registry(
    registry: httpx.Client,
) -> None:
    elsewhere = {"Origin": "https://refine.example"}
    for path, status in (("/v1/reconcile", 200), ("/v1/reconcile/suggest/type", 200), ("/v1/reconcile?queries=x", 400)):
        answer = registry.get(path, headers=elsewhere)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
    assert "access-control-allow-origin" not in registry.get("/v1/organizations", headers=elsewhere).headers
