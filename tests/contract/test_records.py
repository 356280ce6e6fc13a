"""What every record promises, whatever its noun: writing, conditions, withdrawal, history, errors."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from app.api.v1 import RESOURCES
from tests.conftest import Ticking
from tests.support import builders
from tests.support.answers import Json, nothing_written, pages, parameters, pointers, problem, slugs, walk
from tests.support.builders import (
    NOUNS,
    Builder,
    citation,
    collaboration,
    collaboration_type,
    instrument,
    milestone,
    organization,
    patch,
    review,
    source,
    withdraw,
)

every_noun = pytest.mark.parametrize("noun", NOUNS.values(), ids=NOUNS)
TITLED = [noun for noun in NOUNS.values() if noun.title]
every_titled_noun = pytest.mark.parametrize("noun", TITLED, ids=[noun.plural for noun in TITLED])

COMMON = ("id", "slug", "version", "created_at", "updated_at")
STAMPS = ("version", "updated_at", "evidence")
COMPUTED = {
    resource.plural: [
        name for name in resource.read.model_fields if name not in (*resource.write.model_fields, *COMMON)
    ]
    for resource in RESOURCES
}
ANY = {"If-Match": "*"}
NEW = {"If-None-Match": "*"}
UNUSED_ID = "01935f7e-8c00-7000-8000-000000000001"


def content(record: Json) -> Json:
    """A record without what every write moves."""
    return {name: value for name, value in record.items() if name not in STAMPS}


def versions(client: httpx.Client, noun: Builder, record: Json) -> list[int]:
    return [item["version"] for item in walk(client, f"{noun.at(record)}/revisions")]


def test_every_noun_is_under_contract() -> None:
    assert list(NOUNS) == [resource.plural for resource in RESOURCES]


# --- creating -------------------------------------------------------------------------------------------------------


@every_noun
def test_creating_answers_201_with_the_address_and_the_first_etag(client: httpx.Client, noun: Builder) -> None:
    draft = noun.draft(client)
    answer = client.post(noun.path, json=draft)
    record = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == noun.at(record)
    assert answer.headers["etag"] == '"v1"'
    assert record["version"] == 1
    assert record["created_at"] == record["updated_at"]
    assert record["created_at"].endswith("Z")
    assert record | draft == record
    assert client.get(answer.headers["location"]).json() == record


@every_noun
def test_put_creates_under_the_slug_in_the_path_where_nothing_is(client: httpx.Client, noun: Builder) -> None:
    draft = noun.draft(client)
    answer = client.put(noun.at("chosen"), json=draft, headers=NEW)
    assert answer.status_code == 201
    assert answer.headers["location"] == noun.at("chosen")
    assert answer.headers["etag"] == '"v1"'
    assert answer.json()["slug"] == "chosen"
    assert client.get(noun.at("chosen")).json() == answer.json()


@every_noun
def test_put_creates_nothing_under_a_slug_that_is_none_or_another_than_the_bodys(
    client: httpx.Client, noun: Builder
) -> None:
    draft = noun.draft(client)
    with nothing_written(client):
        for path in ("Not-A-Slug", "double--hyphen", UNUSED_ID, "a" * 101):
            problem(client, client.put(noun.at(path), json=draft, headers=NEW), 422)
        refused = client.put(noun.at("chosen"), json=draft | {"slug": "other"}, headers=NEW)
        assert pointers(problem(client, refused, 422)) == ["/slug"]
    assert client.put(noun.at("chosen"), json=draft | {"slug": "chosen"}, headers=NEW).status_code == 201


@every_noun
def test_an_unknown_field_is_refused_and_never_dropped(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    draft = noun.draft(client)
    with nothing_written(client):
        for refused in (
            client.post(noun.path, json=draft | {"is_verified": True}),
            client.put(noun.at(record), json=draft | {"is_verified": True}, headers=ANY),
            client.patch(noun.at(record), json={"is_verified": True}, headers=ANY),
        ):
            assert pointers(problem(client, refused, 422)) == ["/is_verified"]


@every_noun
def test_a_record_without_a_required_field_is_refused_by_pointer(client: httpx.Client, noun: Builder) -> None:
    draft = noun.draft(client)
    del draft[noun.required]
    with nothing_written(client):
        assert f"/{noun.required}" in pointers(problem(client, client.post(noun.path, json=draft), 422))


# --- what was read can be sent back ---------------------------------------------------------------------------------


@every_noun
def test_what_get_answers_can_be_put_back_and_changes_nothing(client: httpx.Client, noun: Builder) -> None:
    record = noun(client, **noun.optional)
    read = client.get(noun.at(record))
    with nothing_written(client):
        answer = client.put(noun.at(record), json=read.json(), headers={"If-Match": read.headers["etag"]})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"v1"')
    assert answer.json() == read.json() == record
    assert versions(client, noun, record) == [1]


@every_noun
def test_what_get_answers_can_be_edited_and_put_back(client: httpx.Client, noun: Builder) -> None:
    record = noun(client, **noun.optional)
    read = client.get(noun.at(record))
    edited = read.json() | noun.change
    answer = client.put(noun.at(record), json=edited, headers={"If-Match": read.headers["etag"]})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"v2"')
    assert content(answer.json()) == content(edited)
    assert answer.json()["version"] == 2
    assert answer.json()["updated_at"] > record["updated_at"]
    assert client.get(noun.at(record)).json() == answer.json()


@every_noun
def test_put_replaces_the_whole_record(client: httpx.Client, noun: Builder) -> None:
    record = noun(client, **noun.optional, **noun.change)
    bare = {name: record[name] for name in noun.draft(client)}
    answer = client.put(noun.at(record), json=bare, headers=ANY)
    assert answer.status_code == 200
    assert all(not answer.json()[name] for name in {**noun.optional, **noun.change})
    assert answer.json()["slug"] == record["slug"]


# What is there × which condition is sent -> the status of PUT.
PUT_TABLE = [
    ("nothing", {}, 428),
    ("nothing", {"If-Match": "*"}, 412),
    ("nothing", {"If-Match": '"v1"'}, 412),
    ("nothing", {"If-None-Match": "*"}, 201),
    ("nothing", {"If-None-Match": '"v1"'}, 400),
    ("record", {}, 428),
    ("record", {"If-Match": "*"}, 200),
    ("record", {"If-Match": '"v1"'}, 200),
    ("record", {"If-Match": '"v2"'}, 412),
    ("record", {"If-None-Match": "*"}, 412),
    ("record", {"If-None-Match": '"v1"'}, 400),
    ("record", {"If-Match": "*", "If-None-Match": "*"}, 412),
    ("tombstone", {}, 410),
    ("tombstone", {"If-Match": "*"}, 410),
    ("tombstone", {"If-Match": '"v2"'}, 410),
    ("tombstone", {"If-None-Match": "*"}, 410),
]


@every_noun
def test_put_follows_its_table(client: httpx.Client, noun: Builder) -> None:
    found = []
    for n, (there, headers, _) in enumerate(PUT_TABLE):
        path = noun.at(f"put-{n}")
        if there != "nothing":
            noun(client, slug=f"put-{n}")
        if there == "tombstone":
            client.delete(path, headers=ANY)
        found.append((there, headers, client.put(path, json=noun.draft(client), headers=headers).status_code))
    assert found == PUT_TABLE


# --- merge patch ----------------------------------------------------------------------------------------------------


@every_noun
@pytest.mark.parametrize("media_type", ["application/merge-patch+json", "application/json"])
def test_patch_changes_the_fields_it_names_and_no_other(client: httpx.Client, noun: Builder, media_type: str) -> None:
    record = noun(client, **noun.optional)
    answer = client.request(
        "PATCH",
        noun.at(record),
        content=httpx.Request("POST", "http://x", json=noun.change).content,
        headers={"If-Match": '"v1"', "Content-Type": media_type},
    )
    assert (answer.status_code, answer.headers["etag"]) == (200, '"v2"')
    assert content(answer.json()) == content(record | noun.change)


@every_noun
def test_patch_with_null_clears_an_optional_field(client: httpx.Client, noun: Builder) -> None:
    (field, value), = noun.optional.items()  # fmt: skip
    record = noun(client, **noun.optional)
    assert record[field] == value
    cleared = patch(client, noun, record, **{field: None})
    assert content(cleared) == content(record | {field: None})
    assert patch(client, noun, record, **noun.optional)[field] == value


@every_noun
def test_a_patch_that_changes_nothing_writes_nothing(client: httpx.Client, noun: Builder) -> None:
    record = noun(client, **noun.optional)
    with nothing_written(client):
        for nothing in ({}, noun.optional, {name: record[name] for name in (*COMMON, noun.required)}):
            answer = client.patch(noun.at(record), json=nothing, headers={"If-Match": '"v1"'})
            assert (answer.status_code, answer.headers["etag"]) == (200, '"v1"')
            assert answer.json() == record
    assert versions(client, noun, record) == [1]


@every_noun
def test_null_on_a_required_field_is_refused_by_pointer(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    with nothing_written(client):
        refused = client.patch(noun.at(record), json={noun.required: None}, headers=ANY)
        assert f"/{noun.required}" in pointers(problem(client, refused, 422))
    assert client.get(noun.at(record)).json() == record


@every_noun
def test_read_only_fields_are_refused_when_they_differ(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    others = {
        "id": UNUSED_ID,
        "slug": "another-slug",
        "version": 7,
        "created_at": "2020-01-01T00:00:00Z",
        "updated_at": "2020-01-01T00:00:00Z",
    }
    with nothing_written(client):
        for name in COMPUTED[noun.plural]:
            refused = client.patch(noun.at(record), json={name: "2020-01-01"}, headers=ANY)
            assert pointers(problem(client, refused, 422)) == [f"/{name}"]
        for name, value in others.items():
            for refused in (
                client.patch(noun.at(record), json={name: value}, headers=ANY),
                client.put(noun.at(record), json=record | {name: value}, headers=ANY),
            ):
                assert pointers(problem(client, refused, 422)) == [f"/{name}"]


# --- no lost update -------------------------------------------------------------------------------------------------


def writes(client: httpx.Client, noun: Builder, record: Json, headers: dict[str, str]) -> list[httpx.Response]:
    """The three verbs that must say which version they mean, each with `headers`."""
    path = noun.at(record)
    current = client.get(path).json()
    return [
        client.put(path, json=current | noun.change, headers=headers),
        client.patch(path, json=noun.change, headers=headers),
        client.delete(path, headers=headers),
    ]


@every_noun
def test_put_patch_and_delete_without_if_match_answer_428(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    with nothing_written(client):
        for refused in writes(client, noun, record, {}):
            assert problem(client, refused, 428)["version"] == 1
            assert refused.headers["etag"] == '"v1"'


@every_noun
def test_a_stale_write_answers_412_with_the_version_and_what_others_changed(
    client: httpx.Client, noun: Builder
) -> None:
    record = noun(client)
    patch(client, noun, record, **noun.optional)
    patch(client, noun, record, **noun.change)
    expected = {
        '"v1"': [*noun.optional, *noun.change],
        '"v2"': [*noun.change],
        '"v1", "v2"': [*noun.change],
        '"v9"': [],
        '"nonsense"': [],
        'W/"v3"': [],
        '"s3"': [],
    }
    with nothing_written(client):
        for tag, changed in expected.items():
            for refused in writes(client, noun, record, {"If-Match": tag}):
                body = problem(client, refused, 412)
                assert (body["version"], body["changed"]) == (3, changed), tag
                assert refused.headers["etag"] == '"v3"'


@every_noun
def test_a_write_passes_when_if_match_names_the_version_that_is_there(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    tags = ("*", '"v{}"', '"v{}.s1042"', '"v{}.s1042.d20260301"', '"v9", "v{}"', 'W/"v9", "v{}"', ', "v{}",')
    for version, tag in enumerate(tags, start=1):
        wanted = noun.change if version % 2 else {name: record[name] for name in noun.change}
        answer = client.patch(noun.at(record), json=wanted, headers={"If-Match": tag.format(version)})
        assert (answer.status_code, answer.headers["etag"]) == (200, f'"v{version + 1}"'), tag


@pytest.mark.parametrize("tag", ["abc", '"abc', "W/", 'v1, "v1"', '"a","b', '*, "v1"', "," * 5_000, ""])
def test_an_if_match_that_cannot_be_read_answers_400(client: httpx.Client, tag: str) -> None:
    record = organization(client)
    with nothing_written(client):
        for refused in writes(client, organization, record, {"If-Match": tag}):
            problem(client, refused, 400)


@every_noun
def test_the_etag_of_any_get_can_be_sent_as_if_match(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    first = client.get(noun.at(record)).headers["etag"]
    assert client.patch(noun.at(record), json=noun.change, headers={"If-Match": first}).status_code == 200
    second = client.get(noun.at(record), params={"fields": "slug"}).headers["etag"]
    assert client.patch(noun.at(record), json=noun.optional, headers={"If-Match": second}).status_code == 200
    assert client.delete(noun.at(record), headers={"If-Match": second}).status_code == 412


# --- withdrawal -----------------------------------------------------------------------------------------------------


@every_noun
def test_a_withdrawn_record_answers_410_with_its_tombstone(client: httpx.Client, noun: Builder, clock: Ticking) -> None:
    record = noun(client)
    answer = client.delete(noun.at(record), headers={"If-Match": '"v1"', "Change-Reason": "It was a mistake."})
    assert (answer.status_code, answer.headers["etag"], answer.content) == (204, '"v2"', b"")
    tombstones = []
    with nothing_written(client):
        for key in (record["slug"], record["id"]):
            for refused in (
                client.get(noun.at(key)),
                client.put(noun.at(key), json=record, headers=ANY),
                client.patch(noun.at(key), json=noun.change, headers=ANY),
                client.delete(noun.at(key), headers=ANY),
            ):
                tombstones.append(problem(client, refused, 410)["tombstone"])
                assert refused.headers["etag"] == '"v2"'
    first = tombstones[0]
    assert tombstones == [first] * 8
    assert first | {"withdrawn_at": None} == {
        "id": record["id"],
        "slug": record["slug"],
        "version": 2,
        "withdrawn_at": None,
        "author": "tester",
        "reason": "It was a mistake.",
    }
    assert record["updated_at"] < first["withdrawn_at"] < clock().isoformat()


@every_noun
def test_lists_show_withdrawn_records_only_when_asked(client: httpx.Client, noun: Builder) -> None:
    kept, taken = noun(client), noun(client)
    withdraw(client, noun, taken)
    tombstone = client.get(noun.at(taken)).json()["tombstone"]
    asked = {
        query: {item["slug"]: item.get("withdrawn_at") for item in walk(client, noun.path + query)}
        for query in ("", "?withdrawn=false", "?withdrawn=true", "?withdrawn=any")
    }
    there, gone = {kept["slug"]: None}, {taken["slug"]: tombstone["withdrawn_at"]}
    assert asked == {
        "": there,
        "?withdrawn=false": there,
        "?withdrawn=true": gone,
        "?withdrawn=any": there | gone,
    }
    shown = walk(client, f"{noun.path}?withdrawn=true")[0]
    assert content(shown) == content(taken) | {"withdrawn_at": tombstone["withdrawn_at"]}
    assert shown["version"] == 2


@every_noun
def test_restoring_brings_the_same_content_back(client: httpx.Client, noun: Builder) -> None:
    record = noun(client, **noun.optional)
    withdraw(client, noun, record)
    answer = client.post(f"{noun.at(record)}/restore")
    assert (answer.status_code, answer.headers["etag"]) == (200, '"v3"')
    assert content(answer.json()) == content(record)
    assert client.get(noun.at(record)).json() == answer.json()
    assert slugs(client, noun.path) == [record["slug"]]
    assert slugs(client, f"{noun.path}?withdrawn=true") == []
    assert patch(client, noun, record, **noun.change)["version"] == 4


@every_noun
def test_restoring_what_is_there_writes_nothing(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    with nothing_written(client):
        answer = client.post(f"{noun.at(record)}/restore")
    assert (answer.status_code, answer.json()) == (200, record)


@every_noun
def test_restoring_may_say_which_version_it_means(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    withdraw(client, noun, record)
    with nothing_written(client):
        refused = client.post(f"{noun.at(record)}/restore", headers={"If-Match": '"v1"'})
        assert problem(client, refused, 412)["version"] == 2
    assert client.post(f"{noun.at(record)}/restore", headers={"If-Match": '"v2"'}).status_code == 200


# Who uses whom: the used noun, the user's noun, the user's fields, and how its answer shows the reference.
def _participant(slug: str) -> Json:
    return {"organization": slug, "role": "partner", "period": None, "on_behalf_of": None, "note": None}


def _target_among(noun: Builder) -> builders.Fields:
    return lambda slug: {"target": {"noun": noun.plural, "record": slug}}


REFERENCES: dict[str, tuple[Builder, Builder, builders.Fields]] = {
    "organization.part_of": (organization, organization, lambda s: {"part_of": s}),
    "instrument.issuer": (organization, instrument, lambda s: {"issuer": s}),
    "collaboration.participants": (organization, collaboration, lambda s: {"participants": [_participant(s)]}),
    "milestone.organization": (organization, milestone, lambda s: {"organization": s}),
    "source.publisher": (organization, source, lambda s: {"publisher": s}),
    "review.body": (organization, review, lambda s: {"body": s}),
    "type.broader": (collaboration_type, collaboration_type, lambda s: {"broader": s}),
    "collaboration.type": (collaboration_type, collaboration, lambda s: {"type": s}),
    "instrument.replaces": (instrument, instrument, lambda s: {"replaces": s}),
    "instrument.refers_to": (instrument, instrument, lambda s: {"refers_to": [s]}),
    "collaboration.instruments": (instrument, collaboration, lambda s: {"instruments": [s]}),
    "milestone.instrument": (instrument, milestone, lambda s: {"instrument": s}),
    "collaboration.part_of": (collaboration, collaboration, lambda s: {"part_of": s}),
    "milestone.collaboration": (collaboration, milestone, lambda s: {"collaboration": s}),
    "review.items": (
        collaboration,
        review,
        lambda s: {"items": [{"collaboration": s, "finding": "noted", "note": None}]},
    ),
    "source.replaces": (source, source, lambda s: {"replaces": s}),
    "review.document": (source, review, lambda s: {"document": s}),
    "citation.source": (source, citation, lambda s: {"source": s}),
}
CITED = {
    f"citation.target.{noun.plural}": (noun, citation, _target_among(noun))
    for noun in NOUNS.values()
    if noun is not citation
}
every_reference = pytest.mark.parametrize(
    ("used", "user", "fields"), (REFERENCES | CITED).values(), ids=REFERENCES | CITED
)
every_holding_reference = pytest.mark.parametrize(("used", "user", "fields"), REFERENCES.values(), ids=REFERENCES)


@every_holding_reference
def test_a_record_in_use_cannot_be_withdrawn_and_its_users_are_named(
    client: httpx.Client, used: Builder, user: Builder, fields: builders.Fields
) -> None:
    record = used(client)
    holder = user(client, **fields(record["slug"]))
    with nothing_written(client):
        body = problem(client, client.delete(used.at(record), headers=ANY), 409)
    assert body["used_by"] == [{"noun": user.plural, "slug": holder["slug"]}]
    assert client.get(used.at(record)).json() == record
    withdraw(client, user, holder)
    withdraw(client, used, record)
    with nothing_written(client):
        refused = client.post(f"{user.at(holder)}/restore")
        assert [f["code"] for f in problem(client, refused, 422)["errors"]] == ["withdrawn_reference"]
    assert client.post(f"{used.at(record)}/restore").status_code == 200
    assert client.post(f"{user.at(holder)}/restore").status_code == 200


@every_reference
def test_references_take_slug_or_id_and_are_shown_as_slugs(
    client: httpx.Client, used: Builder, user: Builder, fields: builders.Fields
) -> None:
    record = used(client)
    for key in (record["slug"], record["id"], record["id"].upper()):
        holder = user(client, **fields(key))
        shown = fields(record["slug"])
        assert {name: holder[name] for name in shown} == shown
        assert client.get(user.at(holder)).json() == holder


@every_reference
def test_a_reference_to_what_is_unknown_or_withdrawn_is_refused_by_pointer(
    client: httpx.Client, used: Builder, user: Builder, fields: builders.Fields
) -> None:
    record = used(client)
    withdraw(client, used, record)
    wanted = {
        "no-such-record": "unknown_reference",
        UNUSED_ID: "unknown_reference",
        record["slug"]: "withdrawn_reference",
        record["id"]: "withdrawn_reference",
    }
    (name,) = fields("x")
    for key, code in wanted.items():
        draft = user.draft(client, **fields(key))
        with nothing_written(client):
            (fault,) = problem(client, client.post(user.path, json=draft), 422)["errors"]
        assert fault["code"] == code
        assert fault["pointer"].startswith(f"/{name}")


# --- ids and slugs --------------------------------------------------------------------------------------------------


@every_noun
def test_ids_and_slugs_name_the_same_record_in_every_path(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    keys = (record["slug"], record["id"], record["id"].upper())
    for suffix in ("", "/revisions", "/revisions/1"):
        first, *others = (client.get(noun.at(key) + suffix) for key in keys)
        assert first.status_code == 200
        assert [other.content.replace(key.encode(), b"") for other, key in zip(others, keys[1:], strict=True)] == [
            first.content.replace(key.encode(), b"") for key in keys[1:]
        ]
    assert client.patch(noun.at(record["id"]), json=noun.change, headers=ANY).status_code == 200
    replaced = client.put(noun.at(record["id"]), json=client.get(noun.at(record)).json(), headers=ANY)
    assert replaced.status_code == 200
    assert client.delete(noun.at(record["id"]), headers=ANY).status_code == 204
    assert client.post(f"{noun.at(record['id'])}/restore").json()["slug"] == record["slug"]


@every_noun
def test_a_slug_is_unique_and_never_used_twice(client: httpx.Client, noun: Builder) -> None:
    record = noun(client, slug="mine")
    assert record["slug"] == "mine"
    for _ in range(2):  # while it is there, and after it was withdrawn
        draft = noun.draft(client, slug="mine")
        with nothing_written(client):
            body = problem(client, client.post(noun.path, json=draft), 409)
        assert (body["existing"], pointers(body)) == ("mine", ["/slug"])
        client.delete(noun.at("mine"), headers=ANY)


@every_noun
def test_different_nouns_may_use_one_slug(client: httpx.Client, noun: Builder) -> None:
    organization(client, slug="shared") if noun is not organization else instrument(client, slug="shared")
    assert noun(client, slug="shared")["slug"] == "shared"


@every_noun
def test_a_slug_of_another_form_is_refused(client: httpx.Client, noun: Builder) -> None:
    draft = noun.draft(client)
    with nothing_written(client):
        for slug in ("", "Upper", "under_score", "-a", "a-", "a--b", "a b", "é", "a/b", "a" * 101, UNUSED_ID):
            refused = client.post(noun.path, json=draft | {"slug": slug})
            assert pointers(problem(client, refused, 422)) == ["/slug"], slug


# Titles, each beside the slugs that a first, second … record of it is given.
SLUGS = [
    ("Global Compact", "global-compact"),
    ("Global Compact!", "global-compact-2"),
    ("Global — Compact", "global-compact-3"),
    ("Œuvre d’été à Łódź", "oeuvre-dete-a-lodz"),
    ("ÅNGSTRÖM & Straße", "angstrom-strasse"),
    ("G20 / 2014", "g20-2014"),
]


@every_titled_noun
def test_a_slug_is_derived_from_the_title_and_numbered_where_it_is_taken(client: httpx.Client, noun: Builder) -> None:
    assert noun.title is not None
    derived = [(title, noun(client, **{noun.title: title})["slug"]) for title, _ in SLUGS]
    assert derived == SLUGS


@every_titled_noun
def test_a_derived_slug_avoids_those_of_withdrawn_records(client: httpx.Client, noun: Builder) -> None:
    assert noun.title is not None
    withdraw(client, noun, noun(client, **{noun.title: "Global Compact"}))
    assert noun(client, **{noun.title: "Global Compact"})["slug"] == "global-compact-2"


@every_titled_noun
def test_a_title_without_latin_letters_still_gets_a_slug(client: httpx.Client, noun: Builder) -> None:
    assert noun.title is not None
    record = noun(client, **{noun.title: "منظمة العمل الدولية"})
    assert record["slug"].startswith(next(r.name for r in RESOURCES if r.plural == noun.plural).replace(" ", "-"))
    assert client.get(noun.at(record)).json() == record


@every_titled_noun
def test_a_slug_stays_when_the_title_changes(client: httpx.Client, noun: Builder) -> None:
    assert noun.title is not None
    record = noun(client, **{noun.title: "Before"})
    assert patch(client, noun, record, **{noun.title: "After"})["slug"] == "before"


# --- conditional reading --------------------------------------------------------------------------------------------


@every_noun
def test_reading_with_a_known_etag_answers_304_until_something_changes(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    for path in (noun.at(record), noun.path, f"{noun.path}?limit=1&count=true", f"{noun.at(record)}?fields=slug"):
        tag = client.get(path).headers["etag"]
        for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
            answer = client.get(path, headers={"If-None-Match": known})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
        for unknown in ('"other"', "nonsense", ""):
            assert client.get(path, headers={"If-None-Match": unknown}).status_code == 200
    tags = {path: client.get(path).headers["etag"] for path in (noun.at(record), noun.path)}
    patch(client, noun, record, **noun.change)
    for path, tag in tags.items():
        answer = client.get(path, headers={"If-None-Match": tag})
        assert answer.status_code == 200
        assert answer.headers["etag"] != tag


@every_noun
def test_the_etag_of_a_list_is_the_registrys_sequence(client: httpx.Client, noun: Builder) -> None:
    noun(client)
    last = client.get("/v1/changes").json()["items"][-1]
    tag = client.get(noun.path).headers["etag"]
    assert tag.strip('"').split(".")[0] == f"s{last['sequence']}"


@every_noun
def test_a_withdrawal_is_seen_by_a_reader_who_holds_the_etag(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    tags = {path: client.get(path).headers["etag"] for path in (noun.at(record), noun.path)}
    withdraw(client, noun, record)
    assert client.get(noun.at(record), headers={"If-None-Match": tags[noun.at(record)]}).status_code == 410
    assert client.get(noun.path, headers={"If-None-Match": tags[noun.path]}).status_code == 200


# --- verbs ----------------------------------------------------------------------------------------------------------

VERBS = {
    "": ["GET", "HEAD", "OPTIONS", "POST"],
    "/{slug}": ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "PUT"],
    "/{slug}/restore": ["OPTIONS", "POST"],
    "/{slug}/revisions": ["GET", "HEAD", "OPTIONS"],
    "/{slug}/revisions/1": ["GET", "HEAD", "OPTIONS"],
}


@every_noun
def test_options_and_405_list_every_verb_of_a_path(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    for suffix, allowed in VERBS.items():
        path = noun.path + suffix.format(slug=record["slug"])
        options = client.options(path)
        assert (options.status_code, options.content) == (204, b"")
        assert options.headers["allow"].split(", ") == allowed
        assert ("accept-patch" in options.headers) == ("PATCH" in allowed)
        with nothing_written(client):
            for verb in {"GET", "POST", "PUT", "PATCH", "DELETE"}.difference(allowed):
                refused = client.request(verb, path, headers=ANY)
                problem(client, refused, 405)
                assert refused.headers["allow"].split(", ") == allowed


@every_noun
def test_head_answers_as_get_does_without_the_body(client: httpx.Client, noun: Builder) -> None:
    record, gone = noun(client), noun(client)
    withdraw(client, noun, gone)
    for path in (
        noun.path,
        noun.at(record),
        f"{noun.at(record)}/revisions",
        f"{noun.at(record)}/revisions/1",
        f"{noun.path}?limit=0",
        noun.at(gone),
        noun.at("no-such-record"),
    ):
        got, head = client.get(path), client.head(path)
        assert head.content == b""
        assert (head.status_code, _lasting(head)) == (got.status_code, _lasting(got))


def _lasting(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}


# --- history --------------------------------------------------------------------------------------------------------


@every_noun
def test_revisions_tell_who_when_why_and_what_newest_first(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    path = noun.at(record)
    reason = quote("Décision du 4 décembre ✓")
    client.patch(path, json=noun.change, headers=ANY | {"Change-Reason": reason})
    client.delete(path, headers=ANY | {"Change-Reason": "Plain words."})
    client.post(f"{path}/restore")
    found = walk(client, f"{path}/revisions")
    told = [(item["version"], item["action"], item["reason"], item["author"]) for item in found]
    assert told == [
        (4, "restored", None, "tester"),
        (3, "withdrawn", "Plain words.", "tester"),
        (2, "changed", "Décision du 4 décembre ✓", "tester"),
        (1, "created", None, "tester"),
    ]
    assert found[2]["changed"] == [*noun.change]
    assert {(item["noun"], item["id"], item["slug"]) for item in found} == {(noun.plural, record["id"], record["slug"])}
    moments = [item["at"] for item in found]
    assert moments == sorted(moments, reverse=True)
    assert found[-1]["at"] == record["created_at"]
    assert [item["sequence"] for item in found] == sorted((item["sequence"] for item in found), reverse=True)


@every_noun
def test_revisions_are_paged_and_stay_readable_after_withdrawal(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    for n in range(3):
        patch(client, noun, record, **(noun.change if n % 2 == 0 else {name: record[name] for name in noun.change}))
    withdraw(client, noun, record)
    whole = client.get(f"{noun.at(record)}/revisions").json()["items"]
    assert [item["version"] for item in whole] == [5, 4, 3, 2, 1]
    for limit, sizes in ((1, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (5, [5]), (200, [5])):
        walked = list(pages(client, f"{noun.at(record)}/revisions?limit={limit}"))
        assert [len(page["items"]) for page in walked] == sizes
        assert [item for page in walked for item in page["items"]] == whole


@every_noun
def test_each_revision_holds_the_record_as_it_was(client: httpx.Client, noun: Builder) -> None:
    record = noun(client, **noun.optional)
    states = [record, patch(client, noun, record, **noun.change), patch(client, noun, record, **noun.optional)]
    assert states[1] == states[2]
    states[2] = patch(client, noun, record, **dict.fromkeys(noun.optional))
    listed = client.get(f"{noun.at(record)}/revisions").json()["items"]
    for version, state in enumerate(states, start=1):
        answer = client.get(f"{noun.at(record)}/revisions/{version}")
        assert answer.headers["etag"] == f'"v{version}"'
        shown = answer.json()
        then = {name: value for name, value in state.items() if name not in COMPUTED[noun.plural]}
        assert shown.pop("record") == then
        assert shown == listed[-version]


@every_noun
def test_a_revision_that_is_not_there_answers_404(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    problem(client, client.get(f"{noun.at(record)}/revisions/2"), 404)
    for nonsense in ("0", "-1", "v1", "1.5", "9" * 10):
        problem(client, client.get(f"{noun.at(record)}/revisions/{nonsense}"), 422)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("Corrected the date", "Corrected the date"),
        (quote("à revoir"), "à revoir"),
        (quote("100% sûr"), "100% sûr"),
        ("50% of it", "50% of it"),
        (quote("  trimmed  "), "trimmed"),
        ("", None),
    ],
)
def test_change_reason_is_ascii_or_percent_encoded_utf8(client: httpx.Client, header: str, reason: str | None) -> None:
    record = organization(client)
    client.patch(organization.at(record), json={"acronym": "X"}, headers=ANY | {"Change-Reason": header})
    assert client.get(f"{organization.at(record)}/revisions/2").json()["reason"] == reason


@pytest.mark.parametrize("header", ["%FF", "%00", "a%0Ab", "%ED%A0%80", "x" * 501])
def test_a_change_reason_that_cannot_be_kept_is_refused(client: httpx.Client, header: str) -> None:
    record = organization(client)
    draft = organization.draft(client)
    headers = ANY | {"Change-Reason": header}
    with nothing_written(client):
        for refused in (
            client.post(organization.path, json=draft, headers=headers),
            *writes(client, organization, record, headers),
        ):
            problem(client, refused, 400)


@every_noun
def test_changes_list_every_write_in_commit_order_without_gaps(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    others = client.get("/v1/changes").json()["items"][:-1]  # what it refers to was written before
    patch(client, noun, record, **noun.change)
    problem(client, client.patch(noun.at(record), json={noun.required: None}, headers=ANY), 422)
    withdraw(client, noun, record, "No longer.")
    client.post(f"{noun.at(record)}/restore")
    found = client.get("/v1/changes").json()["items"]
    assert [item["sequence"] for item in found] == list(range(1, len(others) + 5))
    assert [(item["noun"], item["slug"], item["version"], item["action"]) for item in found[len(others) :]] == [
        (noun.plural, record["slug"], version, action)
        for version, action in enumerate(("created", "changed", "withdrawn", "restored"), start=1)
    ]
    revisions = walk(client, f"{noun.at(record)}/revisions")
    assert [item for item in found if item["id"] == record["id"]] == revisions[::-1]


def test_next_of_changes_is_always_where_to_go_on(client: httpx.Client) -> None:
    following = client.get("/v1/changes?limit=2").json()["next"]
    assert client.get(following).json() == {"items": [], "next": following}
    made = [organization(client)["slug"] for _ in range(5)]
    seen: list[str] = []
    for size in (2, 2, 1, 0):
        answer = client.get(following)
        assert answer.headers["link"] == f'<{answer.json()["next"]}>; rel="next"'
        assert len(answer.json()["items"]) == size
        seen += [item["slug"] for item in answer.json()["items"]]
        following = answer.json()["next"]
    assert seen == made
    later = source(client)
    assert [item["slug"] for item in client.get(following).json()["items"]] == [later["slug"]]


def test_changes_of_some_nouns_skip_the_others_and_go_on_behind_them(client: httpx.Client) -> None:
    first, _, third = organization(client), source(client), instrument(client)
    page = client.get("/v1/changes?noun=organizations,instruments").json()
    assert [item["slug"] for item in page["items"]] == [first["slug"], third["slug"]]
    source(client)
    empty = client.get(page["next"]).json()
    assert empty["items"] == []
    fourth = organization(client)
    assert [item["slug"] for item in client.get(empty["next"]).json()["items"]] == [fourth["slug"]]


# --- errors ---------------------------------------------------------------------------------------------------------


@every_noun
def test_what_does_not_exist_answers_404(client: httpx.Client, noun: Builder) -> None:
    with nothing_written(client):
        for key in (
            "no-such-record",
            UNUSED_ID,
            "Upper",
            "2147483648",
            "a" * 300,
            "%F0%9F%98%80",
        ):
            for refused in (
                client.get(noun.at(key)),
                client.patch(noun.at(key), json=noun.change, headers=ANY),
                client.delete(noun.at(key), headers=ANY),
                client.post(f"{noun.at(key)}/restore"),
                client.get(f"{noun.at(key)}/revisions"),
                client.get(f"{noun.at(key)}/revisions/1"),
            ):
                problem(client, refused, 404)
    for path in (f"{noun.path}/", f"{noun.path}x", f"/v2/{noun.plural}", f"/{noun.plural}", f"{noun.path}/a/b/c"):
        problem(client, client.get(path), 404)


@every_noun
def test_a_body_that_is_no_json_object_is_refused(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    refusals = [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b'{"a": 1, "a": 1}', "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
    ]
    with nothing_written(client):
        for body, media_type, status in refusals:
            headers = ANY | {"Content-Type": media_type}
            for refused in (
                client.post(noun.path, content=body, headers=headers),
                client.put(noun.at(record), content=body, headers=headers),
                client.patch(noun.at(record), content=body, headers=headers),
            ):
                problem(client, refused, status)


@every_noun
def test_parameters_that_mean_nothing_are_refused_by_name(client: httpx.Client, noun: Builder) -> None:
    record = noun(client)
    for path in (noun.at(record), f"{noun.at(record)}/revisions", "/v1/changes"):
        body = problem(client, client.get(path, params={"limitt": "1"}), 400)
        assert body["type"] == "/problems/unknown-parameter"
        assert parameters(body) == ["limitt"]
        assert "Allowed: " in body["errors"][0]["message"]


def test_in_a_batch_a_record_that_was_just_withdrawn_is_gone_and_just_changed_is_stale(client: httpx.Client) -> None:
    def batch(*operations: dict[str, object]) -> httpx.Response:
        return client.post("/v1/batch", json={"operations": list(operations)}, headers={"Change-Reason": "Tidying"})

    made = client.post("/v1/organizations", json={"name": "Harbour office", "kind": "other"}).json()
    which = {"noun": "organizations", "record": made["slug"]}
    gone = batch(which | {"verb": "withdraw", "if_match": "*"}, which | {"verb": "patch", "if_match": "*", "body": {}})
    assert gone.status_code == 410
    assert gone.json()["tombstone"]["reason"] == "Tidying"
    rename = which | {"verb": "patch", "if_match": "1", "body": {"acronym": "HO"}}
    stale = batch(rename, rename)
    assert stale.status_code == 412
    assert stale.json()["changed"] == ["acronym"]
    assert client.get(f"/v1/organizations/{made['slug']}").json() == made
