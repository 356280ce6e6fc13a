"""Query strings and headers that break services: A02, A05, A09, A13, A14, A15 and A16, at every address that reads any."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from app.kit import paging, records
from app.kit.db import Database
from app.kit.history import ChangesQuery, HistoryQuery
from app.kit.views import RecordQuery
from tests.cases.places import RESOURCE, Json, samples
from tests.cases.refusals import blames_parameter, blames_pointer, refused, same
from tests.support.answers import parameters, pointers
from tests.support.builders import NOUNS, organization, patch, source, withdraw
from tests.support.wire import ANY, JSON, Wire

RECORD = "01935f7e-8c00-7000-8000-000000000001"
# Every address that reads parameters, and the parameters that it reads.
QUERIES: list[tuple[str, type[Any]]] = [
    *((noun.path, RESOURCE[noun.plural].query) for noun in NOUNS.values()),
    *((noun.at("sample"), RecordQuery) for noun in NOUNS.values()),
    *((f"{noun.at('sample')}/revisions", HistoryQuery) for noun in NOUNS.values()),
    ("/v1/changes", ChangesQuery),
]


def names(query: type[Any]) -> list[str]:
    return [info.alias or name for name, info in query.model_fields.items()]


# --- A02, A09: escapes ----------------------------------------------------------------------------------------------

ESCAPES = [
    pytest.param("%00", id="A02-nul"),
    pytest.param("a%00b", id="A02-nul-inside"),
    pytest.param("%FF", id="A09-byte-ff"),
]
MORE_ESCAPES = [
    pytest.param("%ED%A0%80", id="A09-surrogate"),
    pytest.param("%C0%80", id="A09-overlong-nul"),
    pytest.param("%C3", id="A09-half-a-character"),
    pytest.param("%zz", id="A09-no-hexadecimal"),
    pytest.param("%", id="A09-percent-alone"),
    pytest.param("%0", id="A09-half-an-escape"),
    pytest.param("%25%", id="A09-escaped-percent-and-a-percent"),
    pytest.param("%u0041", id="A09-escape-of-javascript"),
    pytest.param("%0A", id="A02-line-break"),
    pytest.param("%7F", id="A02-delete"),
    pytest.param("%1B", id="A02-escape-character"),
]


@pytest.mark.parametrize("value", ESCAPES)
def test_an_escape_that_is_no_text_is_refused_in_every_parameter(
    client: httpx.Client, database: Database, wire: Wire, value: str
) -> None:
    organization(client)
    with same(client, database):
        for path, query in QUERIES:
            for name in names(query):
                blames_parameter(wire.request("GET", f"{path}?{name}={value}"), 400, "malformed-request", name)


@pytest.mark.parametrize("value", [*ESCAPES, *MORE_ESCAPES])
def test_an_escape_that_is_no_text_is_refused_at_every_address(
    client: httpx.Client, database: Database, wire: Wire, value: str
) -> None:
    organization(client)
    with same(client, database):
        for path, query in QUERIES:
            name = names(query)[-1]
            blames_parameter(wire.request("GET", f"{path}?{name}={value}"), 400, "malformed-request", name)
            refused(wire.request("GET", f"{path}?{value}={name}"), 400, "malformed-request")
        body = json.dumps({"operations": []}).encode()
        answer = wire.request("POST", f"/v1/batch?dry_run={value}", headers=[JSON], body=body)
        blames_parameter(answer, 400, "malformed-request", "dry_run")


# --- A16: what has no meaning ---------------------------------------------------------------------------------------

UNKNOWN = [
    pytest.param("limitt", id="A16-typing-slip"),
    pytest.param("LIMIT", id="A16-capitals"),
    pytest.param("limit ", id="A16-blank-behind"),
    pytest.param("filter[nope]", id="A16-brackets"),
    pytest.param("kind[]", id="A16-list-brackets"),
    pytest.param("kind__in", id="A16-operator"),
    pytest.param("offset", id="A16-offset"),
    pytest.param("page", id="A16-page"),
    pytest.param("from_", id="A16-name-of-the-code"),
    pytest.param("id", id="A16-field-that-is-no-filter"),
    pytest.param("", id="A16-empty"),
    pytest.param("ｌｉｍｉｔ", id="A16-fullwidth"),
    pytest.param("a" * 3_000, id="A16-long"),
]


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_parameter_is_refused_at_every_address_naming_what_is_known(
    client: httpx.Client, database: Database, wire: Wire, name: str
) -> None:
    organization(client)
    with same(client, database):
        for path, query in QUERIES:
            body = blames_parameter(wire.get(path, {name: "1"}), 400, "unknown-parameter", name)
            told = body["errors"][0]["message"].removeprefix("Allowed: ").rstrip(".").split(", ")
            assert told == names(query)
        body = refused(client.post("/v1/batch", params={name: "1"}, json={"operations": []}), 400, "unknown-parameter")
        assert parameters(body) == [name]


def test_a16_of_4000_unknown_parameters_100_are_told(client: httpx.Client, database: Database, wire: Wire) -> None:
    """A refusal is no longer than its request deserves."""
    many = "&".join(f"a{n}" for n in range(4_000))
    with same(client, database):
        for path in ("/livez", *(path for path, _ in QUERIES)):
            answer = wire.request("GET", f"{path}?{many}")
            assert len(refused(answer, 400, "unknown-parameter")["errors"]) == 100, path
            assert len(answer.body) < 100_000


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        pytest.param("sort", "naem", id="A16-sort"),
        pytest.param("sort", "", id="A16-sort-empty"),
        pytest.param("sort", "-", id="A16-sort-minus"),
        pytest.param("sort", "--slug", id="A16-sort-minus-twice"),
        pytest.param("sort", "slug,created_at", id="A16-sort-two"),
        pytest.param("sort", "slug desc", id="A16-sort-sql"),
        pytest.param("sort", "document", id="A16-sort-column"),
        pytest.param("sort", "name_key", id="A16-sort-private-column"),
        pytest.param("fields", "x", id="A16-fields"),
        pytest.param("fields", "", id="A16-fields-empty"),
        pytest.param("fields", "slug,", id="A16-fields-comma"),
        pytest.param("fields", "document", id="A16-fields-column"),
        pytest.param("fields", "*", id="A16-fields-star"),
        pytest.param("include", "x", id="A16-include"),
        pytest.param("include", "", id="A16-include-empty"),
        pytest.param("include", "part_of.part_of", id="A16-include-too-deep"),
    ],
)
def test_an_unknown_name_in_a_parameter_is_refused_in_every_list(
    client: httpx.Client, database: Database, wire: Wire, parameter: str, value: str
) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            if parameter == "fields" and value in RESOURCE[noun.plural].read.model_fields:
                continue  # a review has a document
            answer = wire.get(noun.path, {parameter: value})
            blames_parameter(answer, 400, "unknown-parameter", parameter)
            if parameter != "sort":
                answer = wire.get(noun.at("sample"), {parameter: value})
                blames_parameter(answer, 400, "unknown-parameter", parameter)


def test_a13_every_parameter_stands_once(client: httpx.Client, database: Database) -> None:
    organization(client)
    with same(client, database):
        for path, query in QUERIES:
            for name in names(query):
                for twice in (f"{name}=1&{name}=2", f"{name}&{name}", f"{name}=1&%{ord(name[0]):X}{name[1:]}=1"):
                    blames_parameter(client.get(f"{path}?{twice}"), 400, "malformed-request", name)


# --- A05, A13: values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("1e248", id="A05-1e248"),
        pytest.param("99999-01-01", id="A05-year-99999"),
        pytest.param("99999-01-01T00:00:00Z", id="A05-moment-of-year-99999"),
        pytest.param("10000-01-01T00:00:00Z", id="A05-year-10000"),
        pytest.param("0000-01-01T00:00:00Z", id="A05-year-0"),
        pytest.param("-0001-01-01T00:00:00Z", id="A05-year-minus-1"),
        pytest.param("0001-01-01T00:00:00+01:00", id="A05-before-year-1-in-utc"),
        pytest.param("9999-12-31T23:59:59-01:00", id="A05-after-year-9999-in-utc"),
        pytest.param("1' or '1'='1", id="A05-sql"),
        pytest.param("2024-01-01T00:00:00Z'--", id="A05-sql-behind"),
        pytest.param("", id="A05-empty"),
        pytest.param("now", id="A05-now"),
        pytest.param("1711843200", id="A05-seconds-since-1970"),
        pytest.param("-1", id="A05-minus-one"),
        pytest.param("9" * 400, id="A05-400-digits"),
        pytest.param("2024-03-31", id="A05-day-alone"),
        pytest.param("2024-03-31T02:30:00", id="A26-no-zone"),
        pytest.param("2024-03-31T24:00:00Z", id="A26-hour-24"),
        pytest.param("2024-02-30T00:00:00Z", id="A26-30-february"),
        pytest.param("2024-03-31T02:30:00+24:00", id="A26-zone-of-24-hours"),
        pytest.param("２０２４-03-31T02:30:00Z", id="A26-fullwidth-digits"),
        pytest.param("2024-03-31T02:30:00Z\u2028", id="A05-line-separator-behind"),
    ],
)
def test_a_moment_that_is_none_is_refused_in_every_list_and_body(
    client: httpx.Client, database: Database, wire: Wire, moment: str
) -> None:
    source(client, slug="sample")
    with same(client, database):
        for noun in NOUNS.values():
            answer = wire.get(noun.path, {"updated_since": moment})
            blames_parameter(answer, 422, "invalid", "updated_since")
        blames_pointer(client.post(source.path, json=source.draft(client, retrieved=moment)), "/retrieved")
        body = json.dumps({"retrieved": moment}).encode()
        blames_pointer(wire.request("PATCH", source.at("sample"), headers=[JSON, ANY], body=body), "/retrieved")


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("0001-01-01T00:00:00Z", id="A05-first-moment"),
        pytest.param("9999-12-31T23:59:59.999999Z", id="A05-last-moment"),
        pytest.param("9999-12-31T23:59:59+14:00", id="A05-last-day-far-east"),
        pytest.param("0001-01-01T00:00:00-14:00", id="A05-first-day-far-west"),
    ],
)
def test_the_ends_of_the_calendar_are_moments_like_any_other(client: httpx.Client, wire: Wire, moment: str) -> None:
    samples(client)
    for noun in NOUNS.values():
        listed = wire.get(noun.path, {"updated_since": moment, "count": "true"})
        assert listed.status == 200
        assert (listed.json()["total"] > 0) == moment.startswith("0001")
    kept = patch(client, source, {"slug": "sample"}, retrieved=moment)["retrieved"]
    assert client.get(source.at("sample")).json()["retrieved"] == kept
    for sort in ("retrieved", "-retrieved"):
        following: str | None = f"{source.path}?limit=1&sort={sort}"
        while following:
            answer = client.get(following)
            assert answer.status_code == 200, answer.text
            following = answer.json()["next"]


LIMITS = [
    pytest.param("-1", id="A13-minus-one"),
    pytest.param("0", id="A13-zero"),
    pytest.param("201", id="A13-over-the-cap"),
    pytest.param("1000000000", id="A13-a-thousand-million"),
    pytest.param("1" + "0" * 30, id="A13-10-to-the-30"),
    pytest.param("9" * 5_000, id="A13-5000-digits"),
    pytest.param("1e2", id="A13-exponent"),
    pytest.param("1.5", id="A13-fraction"),
    pytest.param("0x10", id="A13-hexadecimal"),
    pytest.param("NaN", id="A13-nan"),
    pytest.param("", id="A13-empty"),
    pytest.param("null", id="A13-null"),
    pytest.param("１", id="A13-fullwidth"),
    pytest.param("1,2", id="A13-two"),
    pytest.param("all", id="A13-all"),
]


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_out_of_bounds_is_refused_in_every_list_and_the_cap_is_told(
    client: httpx.Client, database: Database, wire: Wire, limit: str
) -> None:
    organization(client)
    with same(client, database):
        for path, query in QUERIES:
            if "limit" in names(query):
                body = blames_parameter(wire.get(path, {"limit": limit}), 422, "invalid", "limit")
                if limit in ("201", "1000000000"):  # a number of too many digits has no other fault than these
                    assert "200" in body["errors"][0]["message"]


@pytest.mark.parametrize(
    ("query", "status", "slug", "parameter"),
    [
        pytest.param("after=-1", 422, "invalid", "after", id="A14-changes-after-minus-one"),
        pytest.param("after=9223372036854775808", 422, "invalid", "after", id="A04-changes-after-2-to-the-63"),
        pytest.param("after=" + "9" * 5_000, 422, "invalid", "after", id="A04-changes-after-5000-digits"),
        pytest.param("after=1e3", 422, "invalid", "after", id="A14-changes-after-exponent"),
        pytest.param("after=", 422, "invalid", "after", id="A14-changes-after-nothing"),
        pytest.param("noun=nope", 422, "invalid", "noun", id="A16-changes-of-no-noun"),
        pytest.param("noun=", 422, "invalid", "noun", id="A16-changes-of-an-empty-noun"),
        pytest.param("cursor=1", 400, "unknown-parameter", "cursor", id="A16-changes-have-no-cursor"),
    ],
)
def test_changes_read_their_parameters_as_strictly(
    client: httpx.Client, database: Database, query: str, status: int, slug: str, parameter: str
) -> None:
    organization(client)
    with same(client, database):
        blames_parameter(client.get(f"/v1/changes?{query}"), status, slug, parameter)


def test_a04_changes_after_the_greatest_number_are_none(client: httpx.Client) -> None:
    organization(client)
    answer = client.get(f"/v1/changes?after={2**63 - 1}")
    assert (answer.status_code, answer.json()["items"]) == (200, [])


@pytest.mark.parametrize("cursor", ["x", "0", "-1", "01", "1.0", "9999999999", "9" * 5_000, "null", "[]", ""])
def test_a14_the_cursor_of_revisions_is_as_strict(
    client: httpx.Client, database: Database, wire: Wire, cursor: str
) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            answer = wire.get(f"{noun.at('sample')}/revisions", {"cursor": cursor})
            blames_parameter(answer, 422, "invalid", "cursor")


# --- A14: cursors, with a digest that is right ------------------------------------------------------------------------

SHAPES = [
    "null", "[]", "{}", '{"k":-1}', "7", '"text"', "[1]", '["a"]', '["a","b","c"]', '["a","x"]', '["a",1]', '["a",null]',
    '["a",{}]', "[[],[]]", "{", "", "[" * 900, "[" * 20_000,
]  # fmt: skip
VALUES: dict[str, list[Any]] = {
    "text": [-1, 1.5, True, [], {}, None, "a\0b"],
    "moment": [-1, True, [], {}, None, "", "x", "2024-01-01", "2024-01-01T00:00:00", "0001-01-01T00:00:00+01:00",
               "9999-12-31T23:59:59-01:00", "10000-01-01T00:00:00Z"],
    "date": [-1, True, [], {}, "", "x", "2024-13-01", "2024-00-00", "2024", "10000-01-01", "2024-01-01T00:00:00Z"],
}  # fmt: skip
OF_SORT = {
    "slug": "text", "name": "text", "label": "text", "title": "text", "created_at": "moment", "updated_at": "moment",
    "retrieved": "moment",
}  # fmt: skip


def forged(plural: str, sort: str, body: str) -> str:
    """A cursor as the list would make it: anybody who reads the code can."""
    resource = RESOURCE[plural]
    context = records._context(resource, resource.query(sort=sort))
    raw = body.encode()
    return paging._text(paging._digest(raw, context) + raw)


@pytest.mark.parametrize("down", ["", "-"], ids=["A14-forged-cursor-up", "A14-forged-cursor-down"])
def test_a_forged_cursor_never_yields_a_page_nor_an_error_of_the_server(
    client: httpx.Client, database: Database, wire: Wire, down: str
) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            for sort in RESOURCE[noun.plural].sorts:
                values = [v for v in VALUES[OF_SORT.get(sort, "date")] if v is not None or sort != "retrieved"]
                shapes = SHAPES if sort == "slug" else []
                for body in [*shapes, *(json.dumps([value, RECORD]) for value in values)]:
                    cursor = forged(noun.plural, down + sort, body)
                    answer = wire.get(noun.path, {"sort": down + sort, "cursor": cursor})
                    refused(answer, 400, "invalid-cursor")


def test_a14_a_cursor_that_the_list_could_have_made_is_no_error(client: httpx.Client, wire: Wire) -> None:
    """A record may be gone by the time its cursor is used."""
    samples(client)
    for noun in NOUNS.values():
        for sort, value in (("slug", "zzz"), ("created_at", "9999-12-31T23:59:59Z")):
            cursor = forged(noun.plural, sort, json.dumps([value, RECORD]))
            answer = wire.get(noun.path, {"sort": sort, "cursor": cursor})
            assert (answer.status, answer.json()["items"]) == (200, [])


# --- A15: entity-tags -----------------------------------------------------------------------------------------------

TAGS = [
    pytest.param("abc", 400, id="A15-bare-word"),
    pytest.param("v1", 400, id="A15-without-quotes"),
    pytest.param("1", 400, id="A15-bare-number"),
    pytest.param('"abc', 400, id="A15-not-closed"),
    pytest.param('abc"', 400, id="A15-not-opened"),
    pytest.param("W/", 400, id="A15-weak-nothing"),
    pytest.param("W/v1", 400, id="A15-weak-without-quotes"),
    pytest.param('w/"v1"', 400, id="A15-small-w"),
    pytest.param('W / "v1"', 400, id="A15-weak-with-blanks"),
    pytest.param('*, "v1"', 400, id="A15-star-and-tag"),
    pytest.param('"v1", *', 400, id="A15-tag-and-star"),
    pytest.param("**", 400, id="A15-two-stars"),
    pytest.param('"*', 400, id="A15-star-not-closed"),
    pytest.param("", 400, id="A15-empty"),
    pytest.param(",", 400, id="A15-comma"),
    pytest.param("," * 10_000, 400, id="A15-10000-commas"),
    pytest.param('"v1",' * 2_000, 400, id="A15-2000-tags"),
    pytest.param('"v1" "v2"', 400, id="A15-no-comma"),
    pytest.param("'v1'", 400, id="A15-single-quotes"),
    pytest.param(b'"\xffv1"\xfe', 400, id="A15-bytes-behind"),
    pytest.param('"a","b"', 412, id="A15-foreign-tags"),
    pytest.param('""', 412, id="A15-empty-tag"),
    pytest.param('"*"', 412, id="A15-star-in-quotes"),
    pytest.param('"v2"', 412, id="A15-later-version"),
    pytest.param('"v01"', 412, id="A15-leading-zero"),
    pytest.param('"V1"', 412, id="A15-capital"),
    pytest.param('"v1-gzip"', 412, id="A34-tag-of-a-compressing-proxy"),
    pytest.param('"v1;gzip"', 412, id="A34-tag-of-another-proxy"),
    pytest.param('W/"v1"', 412, id="A34-weak-tag"),
    pytest.param('"v1.x"', 412, id="A15-unknown-part"),
    pytest.param('"s1"', 412, id="A15-tag-of-a-list"),
    pytest.param('"v999999999999999999"', 412, id="A04-eighteen-digits"),
    pytest.param('"v99999999999999999999999"', 412, id="A04-23-digits"),
    pytest.param(b'"\xff\xfe"', 412, id="A15-bytes-in-quotes"),
    pytest.param('"v\u00b2"', 412, id="A15-superscript"),
]


@pytest.mark.parametrize(("tag", "status"), TAGS)
def test_an_if_match_that_names_no_version_stops_every_write(
    client: httpx.Client, database: Database, wire: Wire, tag: str | bytes, status: int
) -> None:
    at, gone = organization.at(organization(client)), organization(client)
    patch(client, organization, gone, **organization.change)
    withdraw(client, organization, gone)  # which makes it version 3
    draft = json.dumps(organization.draft(client)).encode()
    with same(client, database):
        for verb, path, body in (
            ("PUT", at, draft),
            ("PATCH", at, b'{"description":"x"}'),
            ("PATCH", at, b"{}"),
            ("DELETE", at, None),
            ("POST", f"{at}/restore", None),
            ("POST", f"{organization.at(gone)}/restore", None),
        ):
            headers = [("If-Match", tag), *([JSON] if body else [])]
            answer = wire.request(verb, path, headers=headers, body=body)
            refused(answer, status, "malformed-request" if status == 400 else "precondition-failed")


def test_a15_an_if_none_match_that_names_no_answer_is_as_if_it_were_not_there(client: httpx.Client, wire: Wire) -> None:
    at = organization.at(organization(client))
    tags: list[Any] = [case.values[0] for case in TAGS]
    for tag in (tag for tag in tags if tag not in ('W/"v1"', '"s1"')):
        for path in (at, organization.path, "/v1/changes", f"{at}/revisions", f"{at}/revisions/1"):
            assert wire.request("GET", path, headers=[("If-None-Match", tag)]).status == 200, (tag, path)


@pytest.mark.parametrize("tag", ['"v1"', "abc", "", "W/", '*, "v1"', "," * 10_000])
def test_a15_put_creates_with_a_star_alone(client: httpx.Client, database: Database, wire: Wire, tag: str) -> None:
    organization(client)
    body = json.dumps(organization.draft(client)).encode()
    with same(client, database):
        headers = [JSON, ("If-None-Match", tag)]
        refused(wire.request("PUT", organization.at("fresh"), headers=headers, body=body), 400, "malformed-request")


def test_a15_tags_in_several_headers_are_one_list(client: httpx.Client, database: Database, wire: Wire) -> None:
    at = organization.at(organization(client))
    old, new = ("If-Match", '"v9"'), ("If-Match", '"v1"')
    assert wire.request("PATCH", at, headers=[JSON, old, new], body=b"{}").status == 200
    with same(client, database):
        refused(wire.request("PATCH", at, headers=[JSON, old, old], body=b"{}"), 412, "precondition-failed")
        refused(wire.request("PATCH", at, headers=[JSON, new, ANY], body=b"{}"), 400, "malformed-request")


@pytest.mark.parametrize("version", ["abc", "0", "-1", "1e3", 'W/"v1"', '"s1"', "v1", "", " *", "１", "9" * 20, "1\n"])
def test_a15_a_batch_names_versions_as_strictly(client: httpx.Client, database: Database, version: str) -> None:
    record = organization(client)["slug"]
    with same(client, database):
        for verb in ("put", "patch", "withdraw", "restore"):
            operation: Json = {"verb": verb, "noun": "organizations", "record": record, "if_match": version, "body": {}}
            if verb in ("withdraw", "restore"):
                del operation["body"]
            answer = client.post("/v1/batch", json={"operations": [operation]})
            assert pointers(refused(answer, 422, "invalid")) == ["/operations/0/if_match"], verb


# --- headers that no library sends -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        pytest.param((b"If-Match", b'"v1\0"'), id="A15-nul"),
        pytest.param((b"If-Match", b'"v1"\x01'), id="A15-control-character"),
        pytest.param((b"If-Match\0", b"*"), id="A15-nul-in-the-name"),
        pytest.param((b"If Match", b"*"), id="A15-blank-in-the-name"),
        pytest.param((b"Content-Length", b"-1"), id="A12-negative-length"),
        pytest.param((b"Content-Length", b"x"), id="A12-length-of-letters"),
        pytest.param((b"Transfer-Encoding", b"gzip"), id="A64-unknown-transfer-encoding"),
    ],
)
def test_a_header_that_http_forbids_is_refused_and_writes_nothing(
    client: httpx.Client, database: Database, wire: Wire, header: tuple[bytes, bytes]
) -> None:
    at = organization.at(organization(client))
    with same(client, database):
        answer = wire.request("PATCH", at, headers=[JSON, header], body=b'{"description":"x"}')
        assert answer.status in (400, 428, 501), answer
