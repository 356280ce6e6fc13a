"""The description of the API is a product: complete, true to what the API answers, and readable without a network."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from jsonschema import Draft202012Validator
from pydantic import ConfigDict

from app.api import components, openapi
from app.api.v1 import RESOURCES
from app.api.v1.organizations import OrganizationIn
from app.auth import keys
from app.auth.policy import Role
from app.kit.db import Database
from app.kit.filters import Format
from app.kit.vocabularies import Vocabulary
from app.registry import proposals
from app.settings import SEED
from tests.conftest import TESTER
from tests.support.answers import Json, problem
from tests.support.builders import NOUNS, Builder, citation, organization, withdraw

every_noun = pytest.mark.parametrize("noun", NOUNS.values(), ids=NOUNS)
VERBS = {"get", "put", "post", "patch", "delete"}
PROBLEM = {"$ref": "#/components/schemas/Problem"}


@pytest.fixture(scope="module")
def document(app: FastAPI) -> Json:
    """The description, as the application builds it. (What is served is compared with it below.)"""
    return app.openapi()


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """(path, verb, operation) for each."""
    for path, item in document["paths"].items():
        yield from ((path, verb, operation) for verb, operation in item.items())


def objects(value: Any) -> Iterator[Json]:
    """Every object in a document, the document itself included."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(inner)


def resolved(document: Json, reference: str) -> Any:
    """What a local `$ref` (a JSON Pointer behind #) points to. Raises KeyError."""
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


# --- its form -------------------------------------------------------------------------------------------------------


def test_the_description_is_openapi_3_1(document: Json) -> None:
    assert re.fullmatch(r"3\.1\.\d+", document["openapi"])
    assert document["info"]["title"]
    assert document["info"]["version"]
    assert document["info"]["description"]
    assert {path[0] for path in document["paths"]} == {"/"}
    assert {verb for _, verb, _ in operations(document)} == VERBS
    used = {tag for _, _, operation in operations(document) for tag in operation["tags"]}
    assert used == {tag["name"] for tag in document["tags"]}


def test_every_noun_has_its_eleven_operations(document: Json) -> None:
    for resource in RESOURCES:
        below = f"/v1/{resource.plural}"
        found = {
            (path.removeprefix(below).replace(f"{{{resource.key_name}}}", "{key}"), verb)
            for path, verb, operation in operations(document)
            if operation["tags"] == [resource.plural]
        }
        assert found >= {
            ("", "get"),
            ("", "post"),
            ("/{key}", "get"),
            ("/{key}", "put"),
            ("/{key}", "patch"),
            ("/{key}", "delete"),
            ("/{key}/restore", "post"),
            ("/{key}/revisions", "get"),
            ("/{key}/revisions/{version}", "get"),
            ("/{key}/revisions/{version}/diff", "get"),
            ("/{key}/revisions/{version}/restore", "post"),
        }


def test_every_reference_in_the_description_resolves_and_no_schema_is_left_over(document: Json) -> None:
    references = {item["$ref"] for item in objects(document) if isinstance(item.get("$ref"), str)}
    assert all(isinstance(resolved(document, reference), dict) for reference in references)
    for kind in ("schemas", "links"):
        here = f"#/components/{kind}/"
        named = {reference.removeprefix(here) for reference in references if reference.startswith(here)}
        assert named == set(document["components"][kind])
    assert all(reference.startswith(("#/components/schemas/", "#/components/links/")) for reference in references)


def test_no_schema_uses_what_openapi_3_1_has_dropped(document: Json) -> None:
    for item in objects(document):
        assert "nullable" not in item
        assert not isinstance(item.get("exclusiveMinimum"), bool)
        assert not isinstance(item.get("exclusiveMaximum"), bool)
        assert isinstance(item.get("examples", []), list | dict)


def test_the_frameworks_own_error_schemas_are_not_described(document: Json) -> None:
    assert "HTTPValidationError" not in str(document)
    assert "ValidationError" not in document["components"]["schemas"]


# --- its operations -------------------------------------------------------------------------------------------------


def test_every_operation_has_an_id_of_its_own_a_summary_and_a_description(document: Json) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert [name for name in ids if not re.fullmatch(r"[a-z]+([A-Z][a-z]+)+", name)] == []  # a verb, and a noun
    poor = [o["operationId"] for _, _, o in operations(document) if not o.get("summary") or not o.get("description")]
    assert poor == []
    assert [o["summary"] for _, _, o in operations(document) if o["summary"].endswith(".")] == []
    assert [o["operationId"] for _, _, o in operations(document) if not o["description"].endswith((".", "…"))] == []


def test_every_tag_and_every_parameter_is_described(document: Json) -> None:
    assert [tag["name"] for tag in document["tags"] if not tag.get("description", "").endswith(".")] == []
    bare = [
        (operation["operationId"], parameter["name"])
        for _, _, operation in operations(document)
        for parameter in operation["parameters"]
        if not parameter.get("description", "").endswith(".")
    ]
    assert bare == []


def test_every_operation_says_that_it_may_be_too_much(document: Json) -> None:
    for _, _, operation in operations(document):
        for status in ("429", "503"):
            assert "Retry-After" in operation["responses"][status]["headers"], operation["operationId"]


def test_every_operation_says_what_it_answers_to_a_request_that_it_cannot_read(document: Json) -> None:
    assert [o["operationId"] for _, _, o in operations(document) if "400" not in o["responses"]] == []


def test_every_parameter_of_a_path_is_described_and_none_other(document: Json) -> None:
    for path, _, operation in operations(document):
        described = [p["name"] for p in operation.get("parameters", []) if p["in"] == "path" and p["required"]]
        assert sorted(described) == sorted(re.findall(r"\{(\w+)\}", path)), path
        named = [(p["in"], p["name"]) for p in operation.get("parameters", [])]
        assert len(named) == len(set(named)), path
        assert all("schema" in parameter for parameter in operation.get("parameters", []))


def test_every_parameter_that_a_list_reads_is_described(document: Json) -> None:
    for resource in RESOURCES:
        parameters = document["paths"][f"/v1/{resource.plural}"]["get"]["parameters"]
        described = [parameter["name"] for parameter in parameters if parameter["in"] == "query"]
        assert described == [info.alias or name for name, info in resource.query.model_fields.items()]
        (sort,) = (parameter for parameter in parameters if parameter["name"] == "sort")
        assert resolved(document, sort["schema"]["$ref"])["enum"] == [
            sign + name for name in resource.sorts for sign in ("", "-")
        ]


def test_every_answer_is_described_and_every_refusal_is_a_problem(document: Json) -> None:
    for _, verb, operation in operations(document):
        responses = operation["responses"]
        assert any(status.startswith("2") for status in responses)
        for status, response in responses.items():
            assert response["description"]
            if status >= "400":
                (media_type,) = response["content"]
                assert media_type == "application/problem+json"
                assert response["content"][media_type]["schema"] == PROBLEM
                assert all(example["status"] == int(status) for example in shown(response["content"][media_type]))
            elif status in ("204", "304", "308"):
                assert "content" not in response
            else:
                assert all("schema" in content for content in response["content"].values())
                assert response["content"]
        if operation["operationId"] not in (
            "getLiveness",
            "getEntryPoint",
            "getContext",
            "getTerms",
            "getVersion",
            "getMetrics",
        ):  # they do not ask the database, or answer without it
            assert "503" in responses
        assert verb == "get" or "500" in responses
        assert ("401" in responses) == bool(operation["security"])
        of_ones_own = operation["operationId"] == "retractProposal"  # whose key it is matters, and not its role alone
        assert ("403" in responses) == (operation.get("x-least-role", "reader") != "reader" or of_ones_own)


def shown(content: Json) -> list[Any]:
    """The examples of a body: one, or one of each kind of problem that shares a status."""
    return [example["value"] for example in content.get("examples", {}).values()] or [content["example"]]


def test_every_writing_says_that_it_is_refused_in_read_only_mode(document: Json) -> None:
    for path, verb, operation in operations(document):
        writes = verb != "get" and operation["operationId"] not in ("matchOrganizations", "reconcileNames")
        problems = operation["responses"].get("503", {}).get("content", {}).get("application/problem+json", {})
        kinds = {example["type"] for example in (shown(problems) if problems else [])}
        assert ("/problems/read-only" in kinds) == writes, (path, verb)


def test_every_operation_that_reads_a_body_describes_it(document: Json) -> None:
    for _, verb, operation in operations(document):
        bodiless = operation["operationId"].startswith(("restore", "unmerge"))
        if verb in ("post", "put", "patch") and not bodiless:
            assert operation["requestBody"]["required"]
            assert {"413", "415"} <= set(operation["responses"])
            wanted = {"application/json"} | ({"application/merge-patch+json"} if verb == "patch" else set())
            if operation["operationId"] not in ("verifySource", "importRecords", "reconcileNames"):  # texts, and a form
                assert set(operation["requestBody"]["content"]) == wanted
        else:
            assert "requestBody" not in operation


@every_noun
def test_every_status_that_an_operation_answers_is_described(
    client: httpx.Client, document: Json, noun: Builder
) -> None:
    record, gone = noun(client), noun(client)
    withdraw(client, noun, gone)
    key = next(resource.key_name for resource in RESOURCES if resource.plural == noun.plural)
    one, here, there, nowhere = f"{noun.path}/{{{key}}}", noun.at(record), noun.at(gone), noun.at("no-such-record")
    anything = {"If-Match": "*"}
    stale, unreadable, new = {"If-Match": '"v9"'}, {"If-Match": "v1"}, {"If-None-Match": "*"}
    as_text = {"If-Match": "*", "Content-Type": "text/plain"}
    large = {"If-Match": "*", "Content-Type": "application/json"}
    megabytes = b" " * 1_048_577
    draft = noun.draft(client)
    asked: list[tuple[str, str, int, httpx.Response]] = [
        (noun.path, "get", 200, client.get(noun.path)),
        (noun.path, "get", 304, client.get(noun.path, headers={"If-None-Match": "*"})),
        (noun.path, "get", 400, client.get(f"{noun.path}?nonsense=1")),
        (noun.path, "get", 422, client.get(f"{noun.path}?limit=0")),
        (one, "get", 200, client.get(here)),
        (one, "get", 304, client.get(here, headers={"If-None-Match": "*"})),
        (one, "get", 400, client.get(f"{here}?nonsense=1")),
        (one, "get", 404, client.get(nowhere)),
        (one, "get", 410, client.get(there)),
        (f"{one}/revisions", "get", 200, client.get(f"{here}/revisions")),
        (f"{one}/revisions", "get", 400, client.get(f"{here}/revisions?nonsense=1")),
        (f"{one}/revisions", "get", 404, client.get(f"{nowhere}/revisions")),
        (f"{one}/revisions", "get", 422, client.get(f"{here}/revisions?limit=0")),
        (f"{one}/revisions/{{version}}", "get", 200, client.get(f"{here}/revisions/1")),
        (f"{one}/revisions/{{version}}", "get", 404, client.get(f"{here}/revisions/9")),
        (f"{one}/revisions/{{version}}", "get", 422, client.get(f"{here}/revisions/x")),
        (noun.path, "post", 409, client.post(noun.path, json=draft | {"slug": record["slug"]})),
        (noun.path, "post", 422, client.post(noun.path, json={})),
        (noun.path, "post", 400, client.post(noun.path, content=b"{", headers={"Content-Type": "application/json"})),
        (noun.path, "post", 415, client.post(noun.path, content=b"{}")),
        (noun.path, "post", 413, client.post(noun.path, content=megabytes, headers=large)),
        (noun.path, "post", 201, client.post(noun.path, json=draft)),
        (one, "put", 201, client.put(noun.at("put-here"), json=noun.draft(client), headers=new)),
        (one, "put", 200, client.put(here, json=record, headers=anything)),
        (one, "put", 400, client.put(here, json=record, headers=unreadable)),
        (one, "put", 404, client.put(f"{noun.path}/a%2Fb", json=record, headers=anything)),
        (one, "put", 410, client.put(there, json=record, headers=anything)),
        (one, "put", 412, client.put(here, json=record, headers=stale)),
        (one, "put", 412, client.put(nowhere, json=record, headers=anything)),
        (one, "put", 413, client.put(here, content=megabytes, headers=large)),
        (one, "put", 415, client.put(here, content=b"{}", headers=as_text)),
        (one, "put", 422, client.put(here, json={}, headers=anything)),
        (one, "put", 428, client.put(here, json=record)),
        (one, "patch", 200, client.patch(here, json={}, headers=anything)),
        (one, "patch", 400, client.patch(here, json={}, headers=unreadable)),
        (one, "patch", 404, client.patch(nowhere, json={}, headers=anything)),
        (one, "patch", 410, client.patch(there, json={}, headers=anything)),
        (one, "patch", 412, client.patch(here, json={}, headers=stale)),
        (one, "patch", 413, client.patch(here, content=megabytes, headers=large)),
        (one, "patch", 415, client.patch(here, content=b"{}", headers=as_text)),
        (one, "patch", 422, client.patch(here, json={"id": "x"}, headers=anything)),
        (one, "patch", 428, client.patch(here, json={})),
        (one, "delete", 400, client.delete(here, headers=unreadable)),
        (one, "delete", 404, client.delete(nowhere, headers=anything)),
        (one, "delete", 410, client.delete(there, headers=anything)),
        (one, "delete", 412, client.delete(here, headers=stale)),
        (one, "delete", 428, client.delete(here)),
        (one, "delete", 401, client.delete(here, headers=anything | {"Authorization": "Bearer x"})),
        (one, "delete", 204, client.delete(here, headers=anything)),
        (f"{one}/restore", "post", 400, client.post(f"{here}/restore", headers=unreadable)),
        (f"{one}/restore", "post", 404, client.post(f"{nowhere}/restore")),
        (f"{one}/restore", "post", 412, client.post(f"{here}/restore", headers=stale)),
        (f"{one}/restore", "post", 200, client.post(f"{here}/restore")),
    ]
    assert [(path, verb, answer.status_code) for path, verb, _, answer in asked] == [row[:3] for row in asked]
    for path, verb, status, answer in asked:
        described = document["paths"][path][verb]["responses"].get(str(status))
        assert described is not None, f"{verb} {path} answers {status} and does not say so"
        media_type = answer.headers.get("content-type")
        content = described.get("content", {})
        assert media_type in content if media_type else not content
        sometimes = {"Link", "Idempotent-Replayed"}
        assert all(name in answer.headers for name in described.get("headers", {}) if name not in sometimes)


def test_that_a_merged_record_is_read_elsewhere_is_described(client: httpx.Client, document: Json) -> None:
    merged, into = organization(client), organization(client)
    assert client.post(f"{organization.at(merged)}/merge", json={"into": into["slug"]}).status_code == 200
    for below in ("", "/citations"):
        answer = client.get(organization.at(merged) + below)
        described = document["paths"][f"{organization.path}/{{organization_id}}{below}"]["get"]["responses"]
        assert answer.status_code == 308
        assert all(name in answer.headers for name in described["308"]["headers"])


@every_noun
def test_every_form_of_a_list_is_described(client: httpx.Client, document: Json, noun: Builder) -> None:
    described = document["paths"][noun.path]["get"]["responses"]["200"]["content"]
    answers = [client.get(noun.path, params={"format": each.value}) for each in Format]
    assert [answer.headers["content-type"].partition(";")[0] for answer in answers] == list(described)


def test_that_a_new_organization_may_be_another_is_described(client: httpx.Client, document: Json) -> None:
    organization(client, name="Council for Human Rights")
    answer = client.post(organization.path, json={"name": "Human Rights Council", "kind": "other"}).json()
    assert answer["warnings"]
    described = {"$ref": "#/components/schemas/OrganizationOut", "components": document["components"]}
    Draft202012Validator(described).validate(answer)


# --- its links ------------------------------------------------------------------------------------------------------


def links(document: Json) -> Iterator[tuple[str, str, str, str, Json]]:
    """(path, verb, status, name, link) for each link of each answer."""
    for path, verb, operation in operations(document):
        for status, answer in operation["responses"].items():
            for name, link in answer.get("links", {}).items():
                yield path, verb, status, name, resolved(document, link["$ref"]) if "$ref" in link else link


def test_every_link_leads_to_an_operation_and_fills_all_that_it_needs(document: Json) -> None:
    by_id = {operation["operationId"]: operation for _, _, operation in operations(document)}
    for path, verb, status, name, link in links(document):
        target = by_id[link["operationId"]]
        assert name == target["operationId"]
        taken = {f"{parameter['in']}.{parameter['name']}" for parameter in target["parameters"]}
        needed = {f"{each['in']}.{each['name']}" for each in target["parameters"] if each["required"]}
        assert needed <= set(link["parameters"]) <= taken, (path, verb, status, name)


@every_noun
def test_what_was_made_is_read_changed_and_withdrawn_along_the_links(
    client: httpx.Client, document: Json, noun: Builder
) -> None:
    addresses = {operation["operationId"]: (verb, path) for path, verb, operation in operations(document)}

    def go(answer: httpx.Response, name: str, **body: Any) -> httpx.Response:
        verb, path = addresses[name]
        status = str(answer.status_code)
        operation = made[answer.request.method.lower(), answer.request.url.path]
        link = operation["responses"][status]["links"][name]
        parameters = resolved(document, link["$ref"])["parameters"] if "$ref" in link else link["parameters"]
        headers = {}
        for target, expression in parameters.items():
            place, _, parameter = target.partition(".")
            value = evaluated(expression, answer, noun)
            if place == "path":
                path = path.replace(f"{{{parameter}}}", value)
            else:
                headers[parameter] = value
        found = client.request(verb, path, headers=headers, **body)
        made[verb, path] = document["paths"][addresses[name][1]][verb]
        return found

    made = {("post", noun.path): document["paths"][noun.path]["post"]}
    one = document["paths"][noun.path]["post"]["operationId"].removeprefix("create")
    created = client.post(noun.path, json=noun.draft(client))
    assert go(created, f"get{one}").json() == created.json()
    changed = go(created, f"patch{one}", json=noun.change)
    assert changed.json()["version"] == 2
    assert go(created, f"patch{one}", json=noun.change).status_code == 412  # its ETag is old now
    assert go(changed, f"get{one}Revision").json()["version"] == 2
    withdrawn = go(changed, f"withdraw{one}")
    assert withdrawn.status_code == 204
    assert go(withdrawn, f"get{one}").status_code == 410
    assert go(withdrawn, f"restore{one}").status_code == 200


def evaluated(expression: str, answer: httpx.Response, noun: Builder) -> str:
    """What a runtime expression of OpenAPI says of this answer."""
    source, _, name = expression.removeprefix("$").partition(".")
    if source == "request":
        return answer.request.url.path.removeprefix(f"{noun.path}/").partition("/")[0]
    if name.startswith("header."):
        return answer.headers[name.removeprefix("header.")]
    return str(resolved(answer.json(), name.removeprefix("body")))


# --- its schemas ----------------------------------------------------------------------------------------------------


@every_noun
def test_a_record_has_exactly_the_fields_that_are_described(
    client: httpx.Client, document: Json, noun: Builder
) -> None:
    record = noun(client)
    operation = document["paths"][noun.path]["post"]
    schema = resolved(document, operation["responses"]["201"]["content"]["application/json"]["schema"]["$ref"])
    assert sorted(record) == sorted(schema["required"])
    assert set(schema["properties"]) - {"warnings"} == {*record, "withdrawn_at", "included"}
    written = resolved(document, operation["requestBody"]["content"]["application/json"]["schema"]["$ref"])
    assert noun.required in written["required"]
    assert written["additionalProperties"] is False


def vocabularies(cls: type[Vocabulary] = Vocabulary) -> Iterator[type[Vocabulary]]:
    for inner in cls.__subclasses__():
        if inner.__module__.startswith("app."):
            yield inner
            yield from vocabularies(inner)


VOCABULARIES = {vocabulary.__name__: vocabulary for vocabulary in vocabularies()}


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=VOCABULARIES)
def test_every_value_of_every_vocabulary_is_explained(document: Json, vocabulary: type[Vocabulary]) -> None:
    values = [member.value for member in vocabulary]
    described = [item for item in objects(document) if item.get("enum") == values]
    assert described
    for schema in described:
        assert str(vocabulary.__doc__) in schema["description"]
        for member in vocabulary:
            assert member.about.endswith(".")
            assert f"- `{member.value}`: {member.about}" in schema["description"]


def test_every_object_has_a_name_and_none_is_called_after_the_place_where_it_stands(document: Json) -> None:
    """Generated clients make a class of each. An answer gets its name from `openapi.object_of`."""
    components = document["components"]["schemas"]
    parts = [part for schema in components.values() for part in schema.get("allOf", ())]
    named = [id(schema) for schema in (*components.values(), *parts)]
    # A schema's type is a text; where it is none, these are the fields of an object, two of them called so.
    schemas = [item for item in objects(document) if isinstance(item.get("type"), str | list)]
    nameless = [item for item in schemas if isinstance(item.get("properties"), dict)]
    assert [list(item["properties"]) for item in nameless if id(item) not in named] == []
    assert [name for name, schema in components.items() if schema.get("title", name) != name] == []
    assert [name for name in components if re.fullmatch(r".+(Answer|Body|Element)", name)] == []


def test_two_schemas_do_not_share_a_name() -> None:
    found: Json = {}
    one = openapi.object_of("Thing", "One.", {"name": {"type": "string"}})
    assert (
        components.named(one, "", found) == components.named(one, "", found) == {"$ref": "#/components/schemas/Thing"}
    )
    with pytest.raises(ValueError, match="Thing"):
        components.named(openapi.object_of("Thing", "Another.", {}), "", found)


def test_a_noun_without_an_example_is_described_all_the_same(app: FastAPI) -> None:
    class Bare(OrganizationIn):
        model_config = ConfigDict(json_schema_extra={})

    nouns: Iterable[Any] = RESOURCES
    bare = [dataclasses.replace(each, write=Bare) if each.plural == "organizations" else each for each in nouns]
    described = openapi.build(app, bare, {})
    parameters = described["paths"]["/v1/organizations/{organization_id}"]["get"]["parameters"]
    assert not any("example" in parameter for parameter in parameters)


# --- its examples ---------------------------------------------------------------------------------------------------


@pytest.fixture
def proposed(registry: httpx.Client, app: FastAPI, document: Json) -> None:
    """The proposals that the examples name: each has its own, since one that is decided is not decided again. Somebody else has
    made them, for nobody accepts their own; that which is retracted is our own."""
    database: Database = app.state.database
    other = database.write(lambda tx: keys.make(tx, "maria.rossi.proposes", Role.reader), TESTER).secret
    example = document["paths"]["/v1/proposals"]["post"]["requestBody"]["content"]["application/json"]["example"]
    for path, _, operation in operations(document):
        named = [p["example"] for p in operation["parameters"] if p["name"] == "proposal_id"]
        if named:
            own = operation["operationId"] == "retractProposal"
            headers = {} if own else {"Authorization": f"Bearer {other}"}
            made = registry.post("/v1/proposals", json=example, headers=headers)
            assert made.status_code == 201, (path, made.text)
            table = proposals.TABLE
            renamed = sa.update(table).where(table.c.id == UUID(made.json()["id"])).values(id=UUID(named[0]))
            with database.engine.begin() as connection:
                connection.execute(renamed)


@pytest.mark.usefixtures("proposed")
def test_every_operation_has_an_example_that_works_on_the_seeded_registry(
    registry: httpx.Client, document: Json
) -> None:
    for path, verb, operation in sorted(operations(document), key=turn):
        for example in requests_of(path, operation):
            answer = registry.request(verb, example.path, headers=example.headers, content=example.body)
            about = f"{operation['operationId']}: {answer.status_code} {answer.text[:300]}"
            assert answer.is_success, about
            assert str(answer.status_code) in operation["responses"], about
            assert faults(document, operation, answer) == [], about


def turn(row: tuple[str, str, Json]) -> int:
    """When it is sent: the examples tell one story. What POST creates is read, changed, withdrawn and brought back."""
    path, verb, _ = row
    if re.fullmatch(r"/v1/[^/]+/[^/]+/restore", path):
        return 6
    return {"post": 4 if "{" in path else 0, "get": 1, "put": 2, "patch": 3, "delete": 5}[verb]


class Example(NamedTuple):
    """A request as the description shows it."""

    path: str
    headers: dict[str, str]
    body: bytes | None


def requests_of(path: str, operation: Json) -> Iterator[Example]:
    """The examples of an operation, one for each media type of its body. Fails where a required parameter, or a body, has
    none."""
    name = operation["operationId"]
    given = {(p["in"], p["name"]): str(p["example"]) for p in operation["parameters"] if "example" in p}
    needed = {(p["in"], p["name"]) for p in operation["parameters"] if p["required"]}
    assert needed <= given.keys(), f"{name}: {needed - given.keys()} without an example"
    if any(media_type == "text/csv" for media_type in operation.get("requestBody", {}).get("content", ())):
        given |= {
            ("query", p["name"]): p["schema"]["examples"][0] for p in operation["parameters"] if p["name"] == "noun"
        }
    values = {place: {name: value for (where, name), value in given.items() if where == place} for place in PLACES}
    target = path.format(**values["path"]) + (f"?{urlencode(values['query'])}" if values["query"] else "")
    if "requestBody" not in operation:
        yield Example(target, values["header"], None)
        return
    for media_type, content in operation["requestBody"]["content"].items():
        assert "example" in content, f"{name}: a body of {media_type} without an example"
        write = urlencode if media_type.endswith("urlencoded") else json.dumps
        body = content["example"] if isinstance(content["example"], str) else write(content["example"])
        yield Example(target, values["header"] | {"Content-Type": media_type}, body.encode())


PLACES = ("path", "query", "header")


def faults(document: Json, operation: Json, answer: httpx.Response) -> list[str]:
    """Where an answer is not what the description says."""
    content = operation["responses"][str(answer.status_code)].get("content", {})
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    if media_type not in content:
        return [f"undescribed media type {media_type!r}"] if answer.content else []
    return (
        invalid(document, content[media_type]["schema"], answer.json())
        if media_type.endswith(("/json", "+json"))
        else []
    )


def invalid(document: Json, schema: Json, value: Any) -> list[str]:
    """In what `value` is not as a schema of the description says."""
    validator: Any = Draft202012Validator({**schema, "components": document["components"]})
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def test_every_example_is_as_its_schema_says(document: Json) -> None:
    for _, _, operation in operations(document):
        for body in (operation.get("requestBody", {}), *operation["responses"].values()):
            for media_type, content in body.get("content", {}).items():
                for example in shown(content) if {"example", "examples"} & set(content) else ():
                    found = invalid(document, content["schema"], example)
                    assert found == [], (operation["operationId"], media_type)
        for parameter in operation["parameters"]:
            for example in (*parameter["schema"].get("examples", ()), *filter(None, [parameter.get("example")])):
                assert invalid(document, parameter["schema"], example) == [], (operation["operationId"], parameter)


@pytest.mark.usefixtures("proposed")
def test_every_parameter_of_a_reading_works_with_a_value_that_the_description_gives(
    registry: httpx.Client, document: Json
) -> None:
    for path, verb, operation in sorted(operations(document), key=turn):
        example = next(requests_of(path, operation))
        if turn((path, verb, operation)) == 0:
            registry.post(example.path, headers=example.headers, content=example.body)
        asked = {p["name"]: p for p in operation["parameters"] if p["in"] == "query"} if verb == "get" else {}
        for name, parameter in asked.items():
            if (name, "{" in path) not in ELSEWHERE:
                needed = re.match(r"With `(\w+)`", parameter["description"])
                given = {
                    each: value_of(document, asked[each]["schema"]) for each in (name, needed and needed[1]) if each
                }
                given = {p["name"]: p["example"] for p in asked.values() if p["required"]} | given
                assert None not in given.values(), f"{operation['operationId']}: {name} shows no value"
                answer = registry.get(example.path, params=given, headers=example.headers)
                assert answer.status_code == 200, f"{example.path} {given}: {answer.text}"


ELSEWHERE = {
    ("cursor", False), ("cursor", True),  # only an answer gives one
    ("record", False),  # goes with one `noun`
    ("as_of", True),  # the seed is younger than any example, so that the record was not there
}  # fmt: skip
"""Parameters (and whether they stand behind a record) whose values other tests send."""


def value_of(document: Json, schema: Json) -> Any:
    """A value for a parameter: an example, the default, or the first that its type allows. None where nothing says one."""
    if "$ref" in schema:
        return value_of(document, resolved(document, schema["$ref"]))
    if schema["type"] == "array":
        return value_of(document, schema["items"])
    if schema["type"] == "boolean":
        return "true"
    moments = {"date-time": "2026-01-01T00:00:00Z", "date": "2026-01-01"}
    shown = [schema.get("default"), schema.get("minimum"), moments.get(schema.get("format", ""))]
    return next(
        (value for value in (*schema.get("examples", ()), *schema.get("enum", ()), *shown) if value is not None), None
    )


@every_noun
def test_the_example_of_a_record_is_the_seeds_record_or_what_post_creates(
    registry: httpx.Client, document: Json, noun: Builder
) -> None:
    key = next(resource.key_name for resource in RESOURCES if resource.plural == noun.plural)
    operation = document["paths"][f"{noun.path}/{{{key}}}"]["get"]
    example = operation["responses"]["200"]["content"]["application/json"]["example"]
    if not (SEED / f"{noun.plural}.jsonl").exists():
        example_of_post = document["paths"][noun.path]["post"]["requestBody"]["content"]["application/json"]["example"]
        registry.post(noun.path, json=example_of_post)
    seeded = registry.get(noun.at(example)).json()
    assert sorted(example) == sorted(seeded)
    stamps = (
        "id", "version", "created_at", "updated_at", "last_reviewed", "next_review_due", "review_status", "evidence",
    )  # fmt: skip
    assert {name: value for name, value in seeded.items() if name not in stamps} == {
        name: value for name, value in example.items() if name not in stamps
    }


# --- where it is read -----------------------------------------------------------------------------------------------


def test_the_description_is_served_with_the_prefix_it_was_asked_under(http: httpx.Client, document: Json) -> None:
    answer = http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {**document, "servers": [{"url": "/"}]}


def test_the_documentation_page_and_all_it_loads_come_from_this_server(http: httpx.Client) -> None:
    page = http.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert '"validatorUrl": null' in page.text  # it would ask a server of its makers
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)["']|\burl: ["']([^"']+)["']""", page.text)
    addresses = ["".join(groups) for groups in loaded]
    assert {address.rpartition(".")[2] for address in addresses} >= {"js", "css", "png", "json"}
    for address in addresses:
        assert address.startswith("/")
        assert not address.startswith("//")
        asset = http.get(address)
        assert asset.status_code == 200, address
        assert len(asset.content) > 1000, address
        if address.endswith(".css"):
            assert "@import" not in asset.text
            assert set(re.findall(r"url\(\s*[\"']?(\w+):", asset.text)) <= {"data"}


@pytest.mark.parametrize(
    "path",
    [
        "/", "/livez", "/readyz", "/version", "/docs", "/openapi.json", "/problems", "/problems/gone",
        "/.well-known/api-catalog", "/v1",
        "/v1/changes", "/v1/graph", "/v1/graph?format=svg", "/v1/timeline", "/v1/stats", "/v1/search?q=ilo", "/v1/export",
        "/v1/export?format=xlsx", "/v1/context.jsonld",
    ],
)  # fmt: skip
def test_what_is_no_noun_answers_head_and_options_and_refuses_other_verbs(client: httpx.Client, path: str) -> None:
    got, head, options = client.get(path), client.head(path), client.options(path)
    assert (head.status_code, head.content) == (got.status_code, b"") == (200, b"")
    assert head.headers.get("content-length") == got.headers.get("content-length")  # a stream says none
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    for verb in ("POST", "PUT", "PATCH", "DELETE"):
        refused = client.request(verb, path)
        problem(client, refused, 405)
        assert refused.headers["allow"] == "GET, HEAD, OPTIONS"


def test_files_of_the_documentation_refuse_as_everything_else_does(client: httpx.Client) -> None:
    asset = "/docs/assets/favicon.png"
    assert client.head(asset).headers["content-length"] == client.get(asset).headers["content-length"]
    refused = client.post(asset)
    problem(client, refused, 405)
    assert refused.headers["allow"] == client.options(asset).headers["allow"] == "GET, HEAD, OPTIONS"
    for path in ("/docs/assets/none.png", "/docs/assets/../conftest.py", "/docs/assets/%2e%2e/%2e%2e/pyproject.toml"):
        problem(client, client.get(path), 404)


def test_the_front_door_names_every_noun(client: httpx.Client) -> None:
    nouns = client.get("/").json()["nouns"]
    assert list(nouns) == list(NOUNS)
    assert all(client.get(address).status_code == 200 for address in nouns.values())


def test_the_page_of_an_unknown_problem_is_itself_a_problem(client: httpx.Client) -> None:
    assert problem(client, client.get("/problems/no-such-problem"), 404)["type"] == "/problems/not-found"


def test_batches_and_citations_name_the_nouns_that_there_are(document: Json) -> None:
    assert document["components"]["schemas"]["Operation"]["properties"]["noun"]["enum"] == list(NOUNS)
    cited = document["components"]["schemas"]["CitedNoun"]["enum"]
    assert sorted(cited) == sorted(plural for plural in NOUNS if plural != citation.plural)
