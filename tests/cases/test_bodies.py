"""Bodies that break services: A06, A07, A08, A10, A11, A12, A29, A30, A61 and A64, at every address that reads one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.kit.db import Database
from app.kit.strict_json import MAX_DEPTH
from tests.cases.places import (
    RESOURCE,
    Json,
    Place,
    encoded,
    every_address,
    every_write,
    full,
    numbers,
    objects,
    required,
    samples,
    texts,
    without_slug,
)  # fmt: skip
from tests.cases.refusals import blames_pointer, refused, same
from tests.support import costs
from tests.support.answers import pointers
from tests.support.builders import NOUNS, Builder, collaboration, collaboration_type, organization, patch
from tests.support.wire import AUTHORIZED, JSON, Wire, chunk

LIMIT = 1_048_576

# --- A08, A10, A12: what is no JSON object --------------------------------------------------------------------------

Spoil = Callable[[bytes], bytes]


def _spoilt(case: str, spoil: Spoil, status: int = 400, slug: str = "malformed-request") -> Any:
    return pytest.param(spoil, status, slug, id=case)


UNREADABLE = [
    _spoilt("A08-byte-ff", lambda body: body[:-1] + b"\xff}"),
    _spoilt("A08-byte-ff-in-a-text", lambda body: body.replace(b'"', b'"\xff', 1)),
    _spoilt("A08-surrogate-in-utf-8", lambda body: body.replace(b'"', b'"\xed\xa0\x80', 1)),
    _spoilt("A08-overlong-utf-8", lambda body: body.replace(b'"', b'"\xc0\xaf', 1)),
    _spoilt("A08-latin-1", lambda body: body.replace(b'"', b'"\xe9', 1)),
    _spoilt("A08-utf-16", lambda body: body.decode().encode("utf-16")),
    _spoilt("A08-utf-16-le", lambda body: body.decode().encode("utf-16-le")),
    _spoilt("A08-utf-32", lambda body: body.decode().encode("utf-32")),
    _spoilt("A08-byte-order-mark", lambda body: b"\xef\xbb\xbf" + body),
    _spoilt("A08-nul-behind", lambda body: body + b"\0"),
    _spoilt("A08-raw-control-character-in-a-text", lambda body: body.replace(b'"', b'"\x01', 1)),
    _spoilt("A12-no-body", lambda _: b""),
    _spoilt("A12-one-blank", lambda _: b" "),
    _spoilt("A12-null", lambda _: b"null", 422, "invalid"),
    _spoilt("A12-list", lambda _: b"[]", 422, "invalid"),
    _spoilt("A12-list-of-the-body", lambda body: b"[" + body + b"]", 422, "invalid"),
    _spoilt("A12-text", lambda _: b'"name"', 422, "invalid"),
    _spoilt("A12-number", lambda _: b"7", 422, "invalid"),
    _spoilt("A12-true", lambda _: b"true", 422, "invalid"),
    _spoilt("A12-two-objects", lambda body: body + body),
    _spoilt("A12-half-an-object", lambda body: body[: len(body) // 2]),
    _spoilt("A12-comma-at-the-end", lambda body: body[:-1] + b",}"),
    _spoilt("A12-single-quotes", lambda body: body.replace(b'"', b"'")),
    _spoilt("A12-form", lambda _: b"name=x&kind=other"),
    _spoilt("A07-nested-900", lambda body: _nested(body, 900)),
    _spoilt("A07-nested-5000", lambda body: _nested(body, 5_000)),
    _spoilt("A07-nested-100000", lambda body: _nested(body, 100_000)),
    _spoilt("A07-objects-nested-5000", lambda body: body[:-1] + b',"x":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}"),
    _spoilt("A07-nested-without-end", lambda _: b"[" * 100_000),
    _spoilt("A07-nested-just-too-deep", lambda body: _nested(body, MAX_DEPTH)),
    _spoilt("A06-nan", lambda body: body[:-1] + b',"x":NaN}'),
    _spoilt("A06-infinity", lambda body: body[:-1] + b',"x":Infinity}'),
    _spoilt("A06-minus-infinity", lambda body: body[:-1] + b',"x":[-Infinity]}'),
    _spoilt("A06-1e400", lambda body: body[:-1] + b',"x":1e400}', 422, "invalid"),
    _spoilt("A06-minus-1e400", lambda body: body[:-1] + b',"x":[{"y":-1e400}]}', 422, "invalid"),
    _spoilt("A06-integer-of-20-digits", lambda body: body[:-1] + b',"x":12345678901234567890}', 422, "invalid"),
    _spoilt("A06-integer-of-100000-digits", lambda body: body[:-1] + b',"x":' + b"9" * 100_000 + b"}", 422, "invalid"),
    _spoilt("A06-leading-zero", lambda body: body[:-1] + b',"x":01}'),
]  # fmt: skip


def _nested(body: bytes, depth: int) -> bytes:
    """The body with one more field, which is nested so deep below it."""
    return body[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize(("spoil", "status", "slug"), UNREADABLE)
def test_a_body_that_is_no_json_object_is_refused_at_every_address(
    client: httpx.Client, database: Database, wire: Wire, spoil: Spoil, status: int, slug: str
) -> None:
    record = organization(client)["slug"]
    addresses = every_address(client, organization, record)
    with same(client, database):
        for address in addresses:
            refused(address.send(wire, spoil(encoded(address.document))), status, slug)


def test_a12_no_address_of_any_noun_does_without_a_body(client: httpx.Client, database: Database, wire: Wire) -> None:
    samples(client)
    addresses = [address for noun in NOUNS.values() for address in every_address(client, noun, "sample")]
    with same(client, database):
        for address in addresses:
            body = refused(address.send(wire, b""), 400, "malformed-request")
            assert pointers(body) == [""]
            assert pointers(refused(address.send(wire, b"null"), 422, "invalid")) == [""]


def test_a07_a_body_may_be_64_levels_deep_and_brackets_in_texts_do_not_count(client: httpx.Client, wire: Wire) -> None:
    """The fields are then unknown, which says that the body was read."""
    address = every_address(client, organization, "none")[0]
    deep = _nested(encoded(address.document), MAX_DEPTH - 1)
    blames_pointer(address.send(wire, deep), "/x")
    for text in ("[" * 5_000, '\\"' + "{[" * 4_000, "]" * 5_000):
        assert organization(client, description=text)["description"] == text


REPEATED = [
    pytest.param("name", "name", id="A10-key-twice"),
    pytest.param("name", "na\\u006de", id="A10-key-twice-once-escaped"),
    pytest.param("x", "x", id="A10-unknown-key-twice"),
    pytest.param("", "", id="A10-empty-key-twice"),
    pytest.param("a/b~", "a/b~", id="A10-pointer-signs-twice"),
    pytest.param("a\\ud800", "a\\ud800", id="A10-surrogate-twice"),
]


@pytest.mark.parametrize(("first", "second"), REPEATED)
@pytest.mark.parametrize("level", ["", '"x":', '"x":[1,', '"x":{"y":['], ids=["outside", "object", "list", "deep"])
def test_a_repeated_key_is_refused_and_named(
    client: httpx.Client, database: Database, wire: Wire, first: str, second: str, level: str
) -> None:
    record = organization(client)["slug"]
    twice = f'{{"{first}":"A","{second}":"B"}}'
    closing = "".join({"{": "}", "[": "]"}.get(sign, "") for sign in reversed(level))
    document = twice if not level else f"{{{level}{twice}{closing}}}"
    addresses = every_address(client, organization, record)
    with same(client, database):
        for address in addresses:
            body = refused(address.send(wire, document.encode()), 400, "malformed-request")
            assert [fault["code"] for fault in body["errors"]] == ["repeated_key"]


def test_a10_keys_that_are_twice_in_different_objects_are_fine(client: httpx.Client) -> None:
    names = [{"value": "A", "lang": "en", "kind": "alias"}, {"value": "B", "lang": "en", "kind": "alias"}]
    assert organization(client, other_names=names)["other_names"] == names


def test_a10_the_pointer_to_a_repeated_key_is_escaped(client: httpx.Client, database: Database, wire: Wire) -> None:
    with same(client, database):
        answer = wire.request("POST", organization.path, headers=[JSON], body=b'{"a/b~":1,"a/b~":2}')
        assert pointers(refused(answer, 400, "malformed-request")) == ["/a~1b~0"]


# --- A06: numbers ---------------------------------------------------------------------------------------------------

NUMBERS = [
    pytest.param('"NaN"', id="A06-nan-as-text"),
    pytest.param('"Infinity"', id="A06-infinity-as-text"),
    pytest.param('"1"', id="A06-number-as-text"),
    pytest.param("true", id="A06-true-for-one"),
    pytest.param("1.5", id="A06-fraction"),
    pytest.param("1e30", id="A06-1e30"),
    pytest.param("-1", id="A06-minus-one"),
    pytest.param("-0.0", id="A06-minus-zero"),
    pytest.param("2147483648", id="A06-beyond-int4"),
    pytest.param("99999999999999999", id="A06-seventeen-digits"),
    pytest.param("[]", id="A06-list"),
    pytest.param("{}", id="A06-object"),
]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_its_column_does_not_mean_is_refused_by_pointer_through_every_verb(
    client: httpx.Client, database: Database, wire: Wire, number: str
) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            document = without_slug(full(noun.plural))
            for place in numbers(noun.plural):
                document = place.put(document, json.loads(number))
            for write in every_write(wire, noun, "sample", document) if numbers(noun.plural) else ():
                found = pointers(refused(write.answer, 422, "invalid"))
                assert found == [write.prefix + place.pointer for place in numbers(noun.plural)], write.verb


@pytest.mark.parametrize(
    ("digits", "read"),
    [
        pytest.param("9" * 18, True, id="A06-18-digits"),
        pytest.param("-" + "9" * 18, True, id="A06-18-digits-and-a-minus"),
        pytest.param("1" + "0" * 18, False, id="A06-19-digits"),
        pytest.param("-1" + "0" * 18, False, id="A06-19-digits-and-a-minus"),
        pytest.param("9" * 19, False, id="A06-19-digits-beyond-int8"),
    ],
)
def test_an_integer_has_at_most_18_digits(
    client: httpx.Client, database: Database, wire: Wire, digits: str, *, read: bool
) -> None:
    """One that is read is then a field that nobody knows."""
    with same(client, database):
        body = f'{{"kind":"other","name":"x","x":{digits}}}'.encode()
        problem = refused(wire.request("POST", organization.path, headers=[JSON], body=body), 422, "invalid")
        assert pointers(problem) == (["/x"] if read else [])
        assert ("18 digits" in problem["detail"]) != read


@pytest.mark.parametrize("number", [pytest.param(7, id="A06-number"), pytest.param(1.5, id="A06-fraction")])
def test_a_number_is_no_text(client: httpx.Client, database: Database, number: float) -> None:
    organization(client)
    with same(client, database):
        for noun in NOUNS.values():
            document = full(noun.plural)
            for place in texts(noun.plural):
                document = place.put(document, number)
            answer = client.post(noun.path, json=document)
            assert pointers(refused(answer, 422, "invalid")) == [place.pointer for place in texts(noun.plural)]


# --- A11: media types -----------------------------------------------------------------------------------------------

MEDIA_TYPES = [
    pytest.param(None, id="A11-none"),
    pytest.param("", id="A11-empty"),
    pytest.param("text/plain", id="A11-text"),
    pytest.param("text/json", id="A11-text-json"),
    pytest.param("application/x-www-form-urlencoded", id="A11-form"),
    pytest.param("multipart/form-data; boundary=x", id="A11-multipart"),
    pytest.param("application/octet-stream", id="A08-binary"),
    pytest.param("application/json; charset=bogus", id="A11-unknown-charset"),
    pytest.param("application/json; charset=utf-16", id="A11-utf-16"),
    pytest.param("application/json; charset=latin-1", id="A11-latin-1"),
    pytest.param("application/jsonp", id="A11-longer"),
    pytest.param("application/json, text/plain", id="A11-two"),
    pytest.param("text/plain; application/json", id="A11-as-a-parameter"),
    pytest.param("application/vnd.api+json", id="A11-json-of-another-kind"),
    pytest.param("application/json-patch+json", id="A11-json-patch"),
    pytest.param("application", id="A11-half"),
]


@pytest.mark.parametrize("media_type", MEDIA_TYPES)
def test_another_media_type_is_refused_and_told_which_one_it_should_be(
    client: httpx.Client, database: Database, wire: Wire, media_type: str | None
) -> None:
    record = organization(client)["slug"]
    addresses = every_address(client, organization, record)
    with same(client, database):
        for address in addresses:
            answer = address.send(wire, encoded(address.document), media_type=media_type)
            refused(answer, 415, "unsupported-media-type")
            header = answer.header("accept-patch" if address.verb == "PATCH" else "accept-post")
            assert "application/json" in str(header)


@pytest.mark.parametrize(
    "media_type",
    [
        pytest.param("application/json", id="A11-json"),
        pytest.param("Application/JSON", id="A11-json-in-capitals"),
        pytest.param("application/json; charset=utf-8", id="A11-json-with-charset"),
        pytest.param('application/json;charset="UTF-8"', id="A11-json-with-quoted-charset"),
    ],
)
def test_json_is_read_under_its_name_however_written(client: httpx.Client, wire: Wire, media_type: str) -> None:
    record = organization(client)["slug"]
    for address in every_address(client, organization, record):
        answer = address.send(wire, encoded(address.document), media_type=media_type)
        assert answer.status in (200, 201), answer


def test_a11_a_merge_patch_is_for_patch_alone(client: httpx.Client, database: Database, wire: Wire) -> None:
    record = organization(client)["slug"]
    for address in every_address(client, organization, record):
        if address.verb == "PATCH":
            assert address.send(wire, b"{}", media_type="application/merge-patch+json").status == 200
        else:
            with same(client, database):
                refused(
                    address.send(wire, b"{}", media_type="application/merge-patch+json"), 415, "unsupported-media-type"
                )


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "x-unknown"])
def test_a64_compressed_bodies_are_refused_unread(
    client: httpx.Client, database: Database, wire: Wire, encoding: str
) -> None:
    record = organization(client)["slug"]
    addresses = every_address(client, organization, record)
    with same(client, database):
        for address in addresses:
            answer = address.send(wire, b"\x1f\x8b\x08\0", ("Content-Encoding", encoding))
            refused(answer, 415, "unsupported-media-type")


# --- A64: size ------------------------------------------------------------------------------------------------------


def test_a64_a_body_of_the_limit_is_read(client: httpx.Client, wire: Wire) -> None:
    for address in every_address(client, organization, organization(client)["slug"]):
        body = encoded(address.document)
        answer = address.send(wire, body + b" " * (LIMIT - len(body)))
        assert answer.status in (200, 201), answer


def test_a64_a_body_that_announces_more_is_refused_before_it_is_sent(
    client: httpx.Client, database: Database, wire: Wire
) -> None:
    addresses = every_address(client, organization, organization(client)["slug"])
    with same(client, database):
        for address in addresses:
            for length in (LIMIT + 1, 10**9, 10**30):
                headers = [JSON, *address.headers, ("Content-Length", str(length))]
                answer = wire.request(address.verb, address.path, headers=headers)
                if length < 2**63:
                    refused(answer, 413, "body-too-large")
                else:
                    assert answer.status in (400, 413)  # the server's own parser may refuse such a number


def test_a64_a_body_without_an_announced_length_is_refused_at_the_limit(
    client: httpx.Client, database: Database, wire: Wire
) -> None:
    addresses = every_address(client, organization, organization(client)["slug"])
    with same(client, database):
        for address in addresses:
            head = f"{address.verb} {address.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in (*address.headers, *AUTHORIZED.items()))
            with wire.connect() as connection:
                connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
                connection.sendall(chunk(b'{"name":"' + b"a" * LIMIT))
                refused(wire.receive(connection), 413, "body-too-large")


def test_a64_a_chunked_body_is_read_like_any_other(client: httpx.Client, wire: Wire) -> None:
    body = encoded(organization.draft(client, name="In pieces"))
    head = b"POST /v1/organizations HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    head += b"".join(f"{name}: {value}\r\n".encode() for name, value in AUTHORIZED.items())
    head += b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = wire.send(head + b"".join(chunk(body[n : n + 1]) for n in range(len(body))) + chunk(b""))
    assert (answer.status, answer.json()["name"]) == (201, "In pieces")


def test_a49_a_body_that_breaks_off_writes_nothing(client: httpx.Client, database: Database, wire: Wire) -> None:
    addresses = every_address(client, organization, organization(client)["slug"])
    with same(client, database):
        for address in addresses:
            body = encoded(address.document)
            head = f"{address.verb} {address.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            head += "".join(f"{name}: {value}\r\n" for name, value in (*address.headers, *AUTHORIZED.items()))
            wire.abandon(head.encode() + b"Content-Length: %d\r\n\r\n" % (len(body) + 1) + body)
            wire.abandon(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(body))
        assert client.get("/livez").status_code == 200


# --- A29, A30: null, absent and empty -------------------------------------------------------------------------------

EMPTY = [
    pytest.param(None, id="A29-null"),
    pytest.param("", id="A29-empty"),
    pytest.param("   ", id="A29-blanks"),
    pytest.param("\n\t", id="A29-line-break"),
    pytest.param([], id="A29-list"),
    pytest.param({}, id="A29-object"),
    pytest.param(False, id="A29-false"),
]


@pytest.mark.parametrize("nothing", EMPTY)
def test_a_required_field_cannot_be_emptied(client: httpx.Client, database: Database, nothing: Any) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            for place in required(noun.plural):
                field = str(place.steps[0])
                document = {field: place.put(full(noun.plural), nothing)[field]}
                answer = client.patch(noun.at("sample"), json=document, headers={"If-Match": "*"})
                blames_pointer(answer, place.pointer)


def test_a29_a_required_field_cannot_be_left_out_by_put(client: httpx.Client, database: Database) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            for place in required(noun.plural):
                document = without_slug(full(noun.plural))
                inner: Any = document
                for step in place.steps[:-1]:
                    inner = inner[step]
                del inner[place.steps[-1]]
                answer = client.put(noun.at("sample"), json=document, headers={"If-Match": "*"})
                blames_pointer(answer, place.pointer)


def test_a30_every_optional_field_can_be_cleared_left_alone_and_set_again(client: httpx.Client) -> None:
    samples(client)
    for noun in NOUNS.values():
        fields = RESOURCE[noun.plural].write.model_fields
        record = client.post(noun.path, json=without_slug(full(noun.plural))).json()
        optional = [name for name, info in fields.items() if not info.is_required() and name != "slug"]
        for name in optional:
            cleared = patch(client, noun, record, **{name: None})
            default = fields[name].get_default(call_default_factory=True, validated_data={})
            assert shown(cleared) == shown(record) | {name: default, "version": record["version"] + 1}, name
            assert patch(client, noun, record, **{name: None}) == cleared, "a second time changes nothing"
            assert patch(client, noun, record) == cleared, "an empty patch changes nothing"
            record = patch(client, noun, record, **{name: record[name]})
            assert shown(record) == shown(cleared) | {name: record[name], "version": cleared["version"] + 1}, name
        revisions = client.get(f"{noun.at(record)}/revisions?limit=200").json()["items"]
        assert len(revisions) == record["version"] == 1 + 2 * len(optional)


def shown(record: Json) -> Json:
    """A record without what moves by itself."""
    by_itself = ("updated_at", "last_reviewed", "next_review_due", "review_status", "evidence", "warnings")
    return {name: value for name, value in record.items() if name not in by_itself}


# --- A61: fields that are nobody's to set ---------------------------------------------------------------------------

PRIVILEGED = (
    "role_", "scopes", "revision", "is_verified", "withdrawn_at", "claim", "shape", "document_", "author", "sequence", "seq",
    "name_key", "title_key", "part_of_id", "owner", "tenant", "password", "$ref", "@type", "_id", "__class__", "__proto__",
)  # fmt: skip
KEPT = {
    "id": "01935f7e-8c00-7000-8000-000000000001",
    "version": 99,
    "created_at": "1999-01-01T00:00:00Z",
    "updated_at": "1999-01-01T00:00:00Z",
}


def test_a61_unknown_fields_are_refused_in_every_object_through_every_verb(
    client: httpx.Client, database: Database, wire: Wire
) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            for steps in objects(noun.plural):
                document, above = without_slug(full(noun.plural)), Place(steps, None).pointer
                for name in PRIVILEGED:
                    document = Place((*steps, name), None).put(document, "x")
                for write in every_write(wire, noun, "sample", document):
                    found = pointers(refused(write.answer, 422, "invalid"))
                    assert found == [f"{write.prefix}{above}/{name}" for name in PRIVILEGED], (noun.plural, write.verb)


def test_a61_fields_that_the_registry_keeps_are_refused_through_every_verb(
    client: httpx.Client, database: Database, wire: Wire
) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            document = without_slug(full(noun.plural)) | KEPT
            for write in every_write(wire, noun, "sample", document):
                found = pointers(refused(write.answer, 422, "invalid"))
                assert sorted(map(str, found)) == sorted(f"{write.prefix}/{name}" for name in KEPT), write.verb


def test_a61_computed_fields_are_refused_through_every_verb(
    client: httpx.Client, database: Database, wire: Wire
) -> None:
    samples(client)
    computed = {"last_reviewed": "1999", "next_review_due": "1999-01-01", "review_status": "current"}
    with same(client, database):
        for write in every_write(wire, collaboration, "sample", without_slug(full("collaborations")) | computed):
            if write.verb.lower().endswith("put"):  # what GET answered can be sent back, however old
                continue
            found = pointers(refused(write.answer, 422, "invalid"))
            assert sorted(map(str, found)) == sorted(f"{write.prefix}/{name}" for name in computed), write.verb


@pytest.mark.parametrize(
    ("batch", "pointer"),
    [
        pytest.param({"operations": [], "x": 1}, "/x", id="A61-beside-operations"),
        pytest.param({"operations": [{"verb": "create", "noun": "sources", "body": {}, "author": "x"}]},
                     "/operations/0/author", id="A61-in-an-operation"),
        pytest.param({"operations": [{"verb": "withdraw", "noun": "organizations", "record": "sample", "if_match": "*",
                                      "reason": "x"}]}, "/operations/0/reason", id="A61-reason-in-an-operation"),
    ],
)  # fmt: skip
def test_unknown_fields_of_a_batch_are_refused(
    client: httpx.Client, database: Database, batch: Json, pointer: str
) -> None:
    samples(client)
    with same(client, database):
        assert pointer in pointers(refused(client.post("/v1/batch", json=batch), 422, "invalid"))


@pytest.mark.parametrize(
    ("operation", "pointer"),
    [
        pytest.param({"verb": "create", "noun": "nope", "body": {}}, "/operations/1/noun", id="A16-unknown-noun"),
        pytest.param({"verb": "create", "noun": "organization", "body": {}}, "/operations/1/noun", id="A16-one-of-a-noun"),
        pytest.param({"verb": "create", "noun": "", "body": {}}, "/operations/1/noun", id="A16-empty-noun"),
        pytest.param({"verb": "put", "noun": "organizations", "if_match": "*", "body": {}}, "/operations/1/record",
                     id="A12-put-without-a-record"),
        pytest.param({"verb": "patch", "noun": "organizations", "if_match": "*", "body": {}}, "/operations/1/record",
                     id="A12-patch-without-a-record"),
        pytest.param({"verb": "withdraw", "noun": "organizations", "if_match": "*"}, "/operations/1/record",
                     id="A12-withdraw-without-a-record"),
        pytest.param({"verb": "restore", "noun": "organizations"}, "/operations/1/record",
                     id="A12-restore-without-a-record"),
        pytest.param({"verb": "create", "noun": "organizations"}, "/operations/1/body", id="A12-create-without-a-body"),
        pytest.param({"verb": "upsert", "noun": "organizations", "body": {}}, "/operations/1/verb", id="A16-unknown-verb"),
    ],
)  # fmt: skip
def test_a_faulty_operation_is_pointed_at_and_takes_the_batch_with_it(
    client: httpx.Client, database: Database, operation: Json, pointer: str
) -> None:
    organization(client, slug="sample")
    fine = {"verb": "create", "noun": "organizations", "body": organization.draft(client)}
    with same(client, database):
        for query in ("", "?dry_run=true"):
            answer = client.post(f"/v1/batch{query}", json={"operations": [fine, operation]})
            assert pointers(refused(answer, 422, "invalid"))[0] == pointer


@pytest.mark.parametrize("addressed", ["unknown-{}", "01935f7e-8c00-7000-8000-{:012}"], ids=["A04-slugs", "A04-ids"])
def test_of_400_faults_that_the_registry_finds_100_are_told(
    client: httpx.Client, database: Database, addressed: str
) -> None:
    kind = collaboration_type(client)["slug"]
    parts = [{"organization": addressed.format(n), "role": "partner"} for n in range(200)]
    draft = {"title": "x", "type": kind, "participants": [part | {"on_behalf_of": "none"} for part in parts]}
    with same(client, database):
        assert len(refused(client.post(collaboration.path, json=draft), 422, "invalid")["errors"]) == 100


# --- what costs the server more than the sender -----------------------------------------------------------------------

HOSTILE = [
    pytest.param(b"[" * 1_000_000, id="A07-megabyte-of-brackets"),
    pytest.param(b'{"a":' * 200_000, id="A07-megabyte-of-objects"),
    pytest.param(b'"' * 1_000_000, id="A07-megabyte-of-quotes"),
    pytest.param(b'"' + b"\\" * 1_000_000, id="A07-megabyte-of-backslashes"),
    pytest.param(b'"' + b'\\"' * 500_000, id="A07-megabyte-of-escaped-quotes"),
    pytest.param(b" " * 1_000_000, id="A07-megabyte-of-blanks"),
    pytest.param(b'{"name":' + b"9" * 1_000_000 + b"}", id="A07-megabyte-of-digits"),
    pytest.param(b'{"name":0.' + b"9" * 1_000_000 + b"}", id="A07-megabyte-of-decimals"),
    pytest.param(b'{"name":1e' + b"9" * 1_000_000 + b"}", id="A07-megabyte-of-exponent"),
    pytest.param(('{"kind":"other","name":"e' + "\u0301" * 100_000 + '"}').encode(), id="A20-hundred-thousand-marks"),
    pytest.param(('{"kind":"other","name":"e' + "\u0301\u0316" * 50_000 + '"}').encode(), id="A20-marks-of-two-classes"),
    pytest.param(('{"kind":"other","name":"e' + "\u0f75\u0f73" * 160_000 + '"}').encode(), id="A20-marks-that-come-apart"),
    pytest.param(('{"kind":"other","description":"e' + "\u0f81\u0f73" * 160_000 + '"}').encode(),
                 id="A20-marks-that-come-apart-in-prose"),
    pytest.param(('{"kind":"other","description":"' + ("a" + "\u0316\u0301" * 15) * 16_000 + '"}').encode(),
                 id="A20-marks-on-many-letters"),
    pytest.param(('{"kind":"other","name":"' + "\ufdfa" * 300_000 + '"}').encode(), id="A20-ligatures-of-18-letters"),
    pytest.param(('{"kind":"other","name":"' + " " * 900_000 + '"}').encode(), id="A20-blank-name"),
    pytest.param(json.dumps(dict.fromkeys(map(str, range(85_000)), 1)).encode(), id="A61-85000-unknown-keys"),
    pytest.param(b'{"name":"x","other_names":[' + b"1," * 500_000 + b"1]}", id="A61-half-a-million-items"),
    pytest.param(b"{" + b'"a":1,' * 150_000 + b'"a":1}', id="A10-150000-times-one-key"),
    pytest.param(b'{"name":"x","url":"http://' + b"a." * 450_000 + b'"}', id="A20-long-address"),
    pytest.param(b'{"name":"x","founded":"' + b"1" * 900_000 + b'"}', id="A20-long-date"),
]  # fmt: skip


@pytest.mark.parametrize("body", HOSTILE)
def test_a_hostile_body_is_answered_with_less_than_a_second_of_work(
    client: httpx.Client, database: Database, body: bytes
) -> None:
    organization(client)
    with same(client, database), costs.within(1):
        answer = client.post(organization.path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 100_000, "a refusal is no longer than its request deserves"


@pytest.mark.parametrize(
    ("noun", "document"),
    [
        pytest.param(collaboration_type, {"labels": {str(n): 1 for n in range(20_000)}}, id="A61-20000-labels"),
        pytest.param(collaboration, {"participants": [{}] * 200_000}, id="A61-participants"),
        pytest.param(collaboration, {"instruments": [f"s{n}" for n in range(80_000)]}, id="A61-instruments"),
    ],
)
def test_a_list_that_is_too_long_is_answered_with_less_than_a_second_of_work(
    client: httpx.Client, database: Database, noun: Builder, document: Json
) -> None:
    record = noun(client)
    with same(client, database):
        with costs.within(1):
            answer = client.patch(noun.at(record), content=encoded(document), headers={"If-Match": "*"} | dict([JSON]))
        refused(answer, 422, "invalid")
    assert len(answer.content) < 100_000
