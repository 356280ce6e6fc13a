"""Search: what is found, in which order, and that the index always says what the records say."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from app.api.v1 import RESOURCES
from app.api.v1.organizations import RESOURCE as ORGANIZATIONS
from app.kit import backfill, records, revisions, search
from app.kit.db import Database, Transaction
from tests.conftest import TESTER
from tests.support.answers import parameters, problem, slugs
from tests.support.builders import (
    citation,
    collaboration,
    collaboration_type,
    instrument,
    milestone,
    organization,
    review,
    source,
    succession,
)


def found(client: httpx.Client, q: str, **more: Any) -> list[str]:
    """The slugs that a question finds, the best first."""
    answer = client.get("/v1/search", params={"q": q, **more})
    assert answer.status_code == 200, answer.text
    return [item["slug"] for item in answer.json()["items"]]


def other(value: str, kind: str, lang: str | None = None) -> dict[str, str | None]:
    return {"value": value, "lang": lang, "kind": kind}


def test_a_record_is_found_by_its_name_acronym_other_names_and_texts_without_case_and_marks(
    client: httpx.Client,
) -> None:
    names = [other("Organisation mondiale de la Santé", "official", "fr"), other("OMS", "acronym", "fr")]
    organization(client, slug="who", name="World Health Organization", acronym="WHO", other_names=names,
                 description="Directs health within the United Nations system.")  # fmt: skip
    organization(client, slug="other")
    for q in (
        "world health organization",
        "WHO",
        "oms",
        "mondiale sante",
        "SANTÉ",
        "directs",
        "Health Wor",
        "who directs",
    ):
        assert found(client, q) == ["who"], q


def test_an_answer_says_which_text_of_which_field_answers(client: httpx.Client) -> None:
    names = [other("<b>Sœurs & Frères</b>", "alias")]
    organization(client, slug="siblings", name="Siblings", other_names=names, description="Of soeurs.")
    answer = client.get("/v1/search", params={"q": "soeurs"}).json()
    assert answer["items"] == [
        {
            "noun": "organizations", "slug": "siblings", "title": "Siblings", "score": answer["items"][0]["score"],
            "field": "/other_names/0/value", "snippet": "&lt;b&gt;<mark>Sœurs</mark> &amp; Frères&lt;/b&gt;",
            "url": "/v1/organizations/siblings",
        }
    ]  # fmt: skip


def test_names_come_before_acronyms_these_before_former_names_and_all_before_texts(client: httpx.Client) -> None:
    organization(client, slug="d", name="Fourth", description="Knows Zeta.")
    organization(client, slug="c", name="Third", other_names=[other("Zeta", "former")])
    organization(client, slug="b", name="Second", acronym="Zeta")
    organization(client, slug="e", name="Fifth", other_names=[other("Zeta", "alias")])
    organization(client, slug="a", name="Zeta")
    assert found(client, "zeta") == ["a", "e", "b", "c", "d"]


def test_what_is_exactly_asked_comes_first_then_what_begins_so_then_what_holds_it(client: httpx.Client) -> None:
    organization(client, slug="holds", name="The Labour Office")
    organization(client, slug="begins", name="Labour Office of Geneva")
    organization(client, slug="exact", name="Labour Office")
    assert found(client, "labour office") == ["exact", "begins", "holds"]
    assert found(client, '"office of"') == ["begins"]
    assert found(client, "office labour") == ["exact", "holds", "begins"]


@pytest.mark.parametrize("many", [5, 50, 150])
def test_a_begun_word_is_found_however_many_texts_hold_it(client: httpx.Client, many: int) -> None:
    names = [{"name": f"Of Zeta {n:03}", "kind": "other", "description": "Of zebras."} for n in range(many)]
    body = "".join(json.dumps(name) + "\n" for name in names)
    headers = {"Content-Type": "application/x-ndjson"}
    assert client.post("/v1/import?noun=organizations", content=body, headers=headers).status_code == 200
    for q in ("zet", "zebr", "of zeb", "zeta 00"):
        expected = [f"of-zeta-{n:03}" for n in range(min(many, 10 if q == "zeta 00" else 100))]
        assert found(client, q, limit=100) == expected, q


def test_a_phrase_stands_in_one_text_and_words_may_stand_in_several(client: httpx.Client) -> None:
    organization(client, slug="it", name="Alpha Labour", acronym="OFFICE")
    assert found(client, "office alpha") == ["it"]
    assert found(client, '"labour office"') == []


def test_an_exact_name_is_found_however_common_its_words_are(client: httpx.Client) -> None:
    operations = [
        {"verb": "create", "noun": "organizations", "body": {"name": f"Alpha Beta {n:03}", "kind": "other"}}
        for n in range(200)
    ]
    assert client.post("/v1/batch", json={"operations": operations}).status_code == 200
    assert client.post("/v1/batch", json={"operations": [
        {"verb": "create", "noun": "organizations", "body": {"name": f"Of Alpha {n:03}", "kind": "other"}} for n in range(100)
    ]}).status_code == 200  # fmt: skip
    organization(client, slug="short", name="Beta", description="Alpha.")
    organization(client, slug="exact", name="Alpha")
    assert found(client, "alpha")[0] == "exact"
    assert found(client, "beta alpha")
    assert len(found(client, "alpha", limit=100)) == 100


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("%", ["hundred"]),
        ("_", ["underscore"]),
        ("A_B", ["underscore"]),
        ("\\", []),
        ("C++", ["plus"]),
        ("C", ["plus", "see"]),
        ("hund*", []),
        ("*", []),
        ("a AND (", []),
        ("-x", []),
        ("NEAR/2", []),
        ("col:", []),
        ("O'Brien \"", ["brien"]),
        ("o’brien", ["brien"]),
        ("INFOTEC Inc./Applied", ["infotec"]),
        ("infotec inc applied", ["infotec"]),
        ('"', []),
        ("(", []),
        ("NOT", []),
        ("'", ["brien"]),
        ("a:b & !c | <->", []),
    ],
)
def test_every_character_means_itself(client: httpx.Client, q: str, expected: list[str]) -> None:
    for slug, name in (
        ("hundred", "100% Foundation"), ("underscore", "A_B"), ("letters", "AXB"), ("plus", "C++ Users"),
        ("see", "C Users"), ("brien", "O'Brien Trust"), ("infotec", "INFOTEC Inc./Applied"),
    ):  # fmt: skip
        organization(client, slug=slug, name=name)
    assert sorted(found(client, q)) == expected
    listed = client.get("/v1/organizations", params={"q": q, "fields": "slug"})
    assert [item["slug"] for item in listed.json()["items"]] == expected


@pytest.mark.parametrize(
    ("name", "questions"),
    [
        ("Straße", ["STRASSE", "strasse", "straße"]),
        ("ΣΊΣΥΦΟΣ", ["σίσυφος", "σισυφοσ"]),
        ("İLO", ["ilo", "ILO"]),
        ("Ørsted", ["orsted", "ØRSTED"]),
        ("منظمة الصحة العالمية", ["الصحة"]),
        ("世界卫生组织", ["卫生", "组织"]),
        ("The World Bank", ["world bank", "The World Bank"]),
        ("Polish Academy of Sciences, Institute X", ["Polish Academy of Sciences, Institute X", "institute x"]),
        ("w" * 200, ["w" * 200, "w" * 30]),
    ],
)
def test_scripts_and_spellings_are_found_alike_on_both_databases(
    client: httpx.Client, name: str, questions: list[str]
) -> None:
    organization(client, slug="it", name=name)
    for q in questions:
        assert found(client, q) == ["it"], q


def test_every_noun_is_found_by_its_texts_and_can_be_asked_alone(client: httpx.Client) -> None:
    made = {
        "organizations": organization(client, name="Needle A"),
        "collaboration-types": collaboration_type(client, label="B", labels={"fr": "Needle B"}),
        "instruments": instrument(client, title="C", short_title="Needle C"),
        "collaborations": collaboration(client, title="D", summary="A needle in D."),
        "milestones": milestone(client, title="E", place="Needle Town"),
        "sources": source(client, title="Needle F"),
        "citations": citation(client, note="The needle is in the note."),
        "reviews": review(client, title="G", decision="Needle decided."),
        "successions": succession(client, note="Needle became thread."),
    }
    assert set(made) == {resource.plural for resource in RESOURCES}
    assert set(found(client, "needle")) == {record["slug"] for record in made.values()}
    for noun, record in made.items():
        assert found(client, "needle", noun=noun) == [record["slug"]]
        assert slugs(client, f"/v1/{noun}?q=needle") == [record["slug"]]
    assert found(client, "needle", noun="sources,instruments") == [made["sources"]["slug"], made["instruments"]["slug"]]


def test_search_follows_every_write(client: httpx.Client) -> None:
    it = organization.at(organization(client, slug="it", name="Before"))
    every = {"If-Match": "*"}
    client.patch(it, json={"name": "After", "acronym": "AFT"}, headers=every)
    assert (found(client, "before"), found(client, "after"), found(client, "aft")) == ([], ["it"], ["it"])
    client.patch(it, json={"country": "CH"}, headers=every)
    assert found(client, "after") == ["it"]
    client.delete(it, headers=every)
    assert found(client, "after") == []
    client.post(f"{it}/restore")
    assert found(client, "after") == ["it"]
    client.post(f"{it}/revisions/1/restore", headers=every)
    assert (found(client, "before"), found(client, "after")) == (["it"], [])


def test_a_merged_name_leads_to_the_survivor_and_back(client: httpx.Client) -> None:
    organization(client, slug="kept", name="Kept")
    organization(client, slug="gone", name="Vanished")
    client.post("/v1/organizations/gone/merge", json={"into": "kept"})
    assert found(client, "vanished") == ["kept"]
    client.post("/v1/organizations/gone/unmerge")
    assert found(client, "vanished") == ["gone"]


def test_a_refused_write_leaves_the_index_as_it_was(client: httpx.Client) -> None:
    organization(client, slug="it", name="There")
    batch = {"operations": [
        {"verb": "create", "noun": "organizations", "body": {"name": "Phantom", "kind": "other"}},
        {"verb": "create", "noun": "organizations", "body": {"name": "There", "kind": "other"}},
    ]}  # fmt: skip
    assert client.post("/v1/batch", json=batch).status_code == 409
    assert client.post("/v1/batch?dry_run=true", json={"operations": batch["operations"][:1]}).status_code == 200
    assert found(client, "phantom") == []


def test_q_goes_with_the_filters_sorts_and_pages_of_a_list(registry: httpx.Client) -> None:
    every = slugs(registry, "/v1/organizations?q=working%20group")
    assert every == slugs(registry, "/v1/organizations?q=working%20group&limit=1")
    assert "oeigwg-tnc" in every
    assert slugs(registry, "/v1/organizations?q=working%20group&part_of=un") == []
    down = slugs(registry, "/v1/organizations?q=nations&sort=-name&limit=2")
    assert down == list(reversed(slugs(registry, "/v1/organizations?q=nations&sort=name")))
    assert registry.get("/v1/organizations?q=nations&count=true&limit=1").json()["total"] == len(down)


def test_words_are_asked_of_the_present_only(registry: httpx.Client) -> None:
    body = problem(registry, registry.get("/v1/organizations?q=oecd&as_of=5"), 422)
    assert parameters(body) == ["q"]


@pytest.mark.parametrize(
    ("query", "status", "parameter"),
    [
        ("", 422, "q"), ("q=", 422, "q"), ("q=%20", 422, "q"), ("q=%00", 400, "q"), ("q=%FF", 400, "q"),
        ("q=%ED%A0%80", 400, "q"), ("q=%zz", 400, "q"), (f"q={'x' * 256}", 422, "q"), ("q=a&noun=people", 422, "noun"),
        ("q=a&limit=0", 422, "limit"), ("q=a&limit=101", 422, "limit"), ("q=a&sort=name", 400, "sort"),
        ("q=a&q=b", 400, "q"),
    ],
)  # fmt: skip
def test_a_question_that_cannot_be_asked_names_its_parameter(
    client: httpx.Client, query: str, status: int, parameter: str
) -> None:
    assert parameters(problem(client, client.get(f"/v1/search?{query}"), status)) == [parameter]


def test_the_answer_is_kept_until_something_is_written(registry: httpx.Client) -> None:
    tag = registry.get("/v1/search?q=oecd").headers["etag"]
    assert registry.get("/v1/search?q=oecd", headers={"If-None-Match": tag}).status_code == 304
    organization(registry)
    assert registry.get("/v1/search?q=oecd", headers={"If-None-Match": tag}).status_code == 200


def test_searching_costs_the_same_statements_whatever_is_there(registry: httpx.Client, seeded: Database) -> None:
    statements: list[str] = []
    sa.event.listen(seeded.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    assert found(registry, "un", noun="organizations")
    assert (
        len([each for each in statements if not each.startswith("BEGIN") and "FROM api_key" not in each]) <= 6
    )  # the clock, three ways to find, the last of them twice, and the records


def test_the_index_can_be_made_anew_and_is_the_same(registry: httpx.Client, seeded: Database) -> None:
    organization(registry, slug="late", name="Late", acronym="LT", description="Written after the seed.")
    registry.patch("/v1/organizations/late", json={"name": "Later"}, headers={"If-Match": "*"})
    registry.delete("/v1/organizations/late", headers={"If-Match": "*"})
    registry.post("/v1/organizations/late/restore")
    texts = sa.select(search.TEXT).order_by(search.TEXT.c.id)
    index = sa.select(search.INDEX.c.rowid, sa.cast(search.INDEX.c.words, sa.Text)).order_by(search.INDEX.c.rowid)
    before = [seeded.read(lambda tx, s=s: tx.execute(s).all()) for s in (texts, index)]  # type: ignore[misc]
    count = seeded.write(lambda tx: backfill.reindex(tx, RESOURCES), TESTER)
    after = [seeded.read(lambda tx, s=s: tx.execute(s).all()) for s in (texts, index)]  # type: ignore[misc]
    assert after == before
    assert count == 211


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
def test_the_index_is_kept_in_few_parts_however_many_groups_of_writes_there_are(database: Database) -> None:
    """A word is looked up in each part, and every group that is sealed makes one more."""

    def write(tx: Transaction) -> int:
        for n in range(1, 257):
            new = {"name": f"Body {n}", "acronym": f"B{n}", "description": "It is one of many.", "kind": "other"}
            records.create(tx, ORGANIZATIONS, records.validated(ORGANIZATIONS, new))
            if n % 8 == 0:
                revisions.seal(tx)
        return parts_of_the_index(tx)

    assert database.write(write, TESTER) <= 6  # SQLite itself would leave up to twenty


@pytest.mark.parametrize("server", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("before", "several"), [(30, 100), (330, 100)])
def test_very_many_writes_at_once_leave_an_index_that_is_mostly_new_in_one_part(
    database: Database, monkeypatch: pytest.MonkeyPatch, before: int, several: int
) -> None:
    """To rewrite a large one for each hundred records would cost more than it saves."""
    monkeypatch.setattr(revisions, "VERY_MANY", 100)
    for n in range(0, before, 30):
        database.write(lambda tx, n=n: written(tx, n, 30), TESTER)  # type: ignore[misc]
    parts = database.read(parts_of_the_index)
    database.write(lambda tx: written(tx, before, several), TESTER)
    after = database.read(parts_of_the_index)
    assert parts > 1 or before < 100
    assert (after == 1) is (several * revisions.SHARE >= before + several)
    database.write(lambda tx: backfill.reindex(tx, RESOURCES), TESTER)
    assert database.read(parts_of_the_index) == 1


def written(tx: Transaction, first: int, count: int) -> None:
    for n in range(first, first + count):
        new = {"name": f"Body {n}", "acronym": f"B{n}", "description": "It is one of many.", "kind": "other"}
        records.create(tx, ORGANIZATIONS, records.validated(ORGANIZATIONS, new))


def parts_of_the_index(tx: Transaction) -> int:
    return int(tx.execute(sa.text("SELECT count(DISTINCT segid) FROM search_index_idx")).scalar_one())
