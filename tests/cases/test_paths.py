"""Paths and verbs that break services: A04, A09, A19, A31, A36, A37 and A38, at every address there is."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from app.kit.db import Database
from tests.cases.places import Place, encoded, full, places, samples, without_slug
from tests.cases.refusals import blames_parameter, refused, same
from tests.support.answers import pointers
from tests.support.builders import NOUNS, organization, review, source, withdraw
from tests.support.wire import ANY, JSON, Wire

Json = dict[str, Any]
ONE = "/v1/organizations"
NOBODY = "01935f7e-8c00-7000-8000-000000000001"

# --- A04: what cannot be an id --------------------------------------------------------------------------------------

NO_KEYS = [
    pytest.param("2147483648", id="A04-beyond-int4"),
    pytest.param("9223372036854775808", id="A04-beyond-int8"),
    pytest.param("9" * 5_000, id="A04-5000-digits"),
    pytest.param("0", id="A04-zero"),
    pytest.param("-1", id="A04-minus-one"),
    pytest.param("1.5", id="A04-fraction"),
    pytest.param("1e400", id="A04-1e400"),
    pytest.param("NaN", id="A04-nan"),
    pytest.param("null", id="A04-null"),
    pytest.param(NOBODY, id="A04-id-of-nobody"),
    pytest.param("ffffffff-ffff-ffff-ffff-ffffffffffff", id="A04-greatest-id"),
    pytest.param("00000000-0000-0000-0000-000000000000", id="A04-least-id"),
    pytest.param("01935f7e8c0070008000000000000001", id="A04-id-without-hyphens"),
    pytest.param("%7B01935f7e-8c00-7000-8000-000000000001%7D", id="A04-id-in-braces"),
    pytest.param("urn:uuid:01935f7e-8c00-7000-8000-000000000001", id="A04-id-as-urn"),
    pytest.param("01935f7e-8c00-7000-8000-00000000000%D9%A1", id="A04-id-with-an-arabic-digit"),
    pytest.param("SAMPLE", id="A04-slug-in-capitals"),
    pytest.param("sample%20", id="A04-slug-and-a-blank"),
    pytest.param("sample.json", id="A04-slug-and-an-extension"),
    pytest.param("sample%27--", id="A04-slug-and-sql"),
    pytest.param("s%25", id="A04-slug-with-a-wildcard"),
    pytest.param("samp_e", id="A04-slug-with-another-wildcard"),
    pytest.param("sample;x=1", id="A19-path-parameter"),
    pytest.param("sample%3Fx", id="A19-escaped-question-mark"),
    pytest.param("sample%23", id="A19-escaped-hash"),
    pytest.param("%EF%BD%93ample", id="A09-fullwidth-letter"),
    pytest.param("%F0%9F%8C%8D", id="A09-four-byte"),
    pytest.param(".", id="A19-dot"),
    pytest.param("%2e%2e", id="A19-escaped-dots"),
]


@pytest.mark.parametrize("key", NO_KEYS)
def test_a_key_that_names_nothing_is_404_in_every_path(
    client: httpx.Client, database: Database, wire: Wire, key: str
) -> None:
    organization(client, slug="sample")
    with same(client, database):
        for noun in NOUNS.values() if key[0] in "29" else [organization]:  # all nouns share their routes
            at = f"{noun.path}/{key}"
            for path in (at, f"{at}/revisions", f"{at}/revisions/1"):
                refused(wire.request("GET", path), 404, "not-found")
            refused(wire.request("POST", f"{at}/restore"), 404, "not-found")
            refused(wire.request("PATCH", at, headers=[JSON, ANY], body=b"{}"), 404, "not-found")
            refused(wire.request("DELETE", at, headers=[ANY]), 404, "not-found")
            body = json.dumps(without_slug(full(noun.plural))).encode()
            refused(wire.request("PUT", at, headers=[JSON, ANY], body=body), 412, "precondition-failed")


@pytest.mark.parametrize(
    "version",
    [
        "0",
        "-1",
        "01",
        "1.0",
        "1e1",
        "x",
        "2147483648",
        "9223372036854775808",
        "9" * 5_000,
        "%D9%A1",
        "1%20",
        "+1",
        "null",
    ],
)
def test_a04_a_revision_that_cannot_be_is_no_error_of_the_server(
    client: httpx.Client, database: Database, version: str
) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            answer = client.get(f"{noun.at('sample')}/revisions/{version}")
            assert answer.status_code in (404, 422)
            refused(answer, answer.status_code, {404: "not-found", 422: "invalid"}[answer.status_code])


REFERENCES = [
    pytest.param("2147483648", id="A04-beyond-int4"),
    pytest.param("9223372036854775808", id="A04-beyond-int8"),
    pytest.param("9" * 5_000, id="A04-5000-digits"),
    pytest.param(NOBODY, id="A04-id-of-nobody"),
    pytest.param("ffffffff-ffff-ffff-ffff-ffffffffffff", id="A04-greatest-id"),
    pytest.param("Sample", id="A04-slug-in-capitals"),
    pytest.param("sample%", id="A18-wildcard"),
    pytest.param("", id="A04-empty"),
    pytest.param(2147483648, id="A04-number-beyond-int4"),
    pytest.param(10**17, id="A04-number-of-18-digits"),
    pytest.param(True, id="A04-true"),
    pytest.param({"slug": "sample"}, id="A04-object"),
]


@pytest.mark.parametrize("key", REFERENCES)
def test_a_reference_that_names_nothing_is_422_in_every_body_by_pointer(
    client: httpx.Client, database: Database, wire: Wire, key: Any
) -> None:
    samples(client)
    with same(client, database):
        for noun in NOUNS.values():
            document = without_slug(full(noun.plural))
            references = [place for place in places(noun.plural) if is_reference(place)]
            for place in references:
                document = place.put(document, key)
            answer = wire.request("POST", noun.path, headers=[JSON], body=encoded(document))
            assert pointers(refused(answer, 422, "invalid")) == [place.pointer for place in references], noun.plural


def is_reference(place: Place) -> bool:
    """Whether slugs and ids may stand there and nothing else."""
    return place.accepts("sample") and place.accepts(NOBODY) and not place.accepts("Not A Slug")


@pytest.mark.parametrize("key", [case for case in REFERENCES if isinstance(case.values[0], str)])
def test_a_reference_that_names_nothing_is_422_in_every_filter(
    client: httpx.Client, database: Database, wire: Wire, key: str
) -> None:
    samples(client)
    with same(client, database):
        for path, parameter in (
            ("/v1/organizations", "part_of"), ("/v1/collaboration-types", "broader"), ("/v1/instruments", "issuer"),
            ("/v1/instruments", "refers_to"), ("/v1/collaborations", "type"), ("/v1/collaborations", "organization"),
            ("/v1/collaborations", "instrument"), ("/v1/milestones", "collaboration"), ("/v1/sources", "publisher"),
            ("/v1/citations", "source"), ("/v1/reviews", "body"), ("/v1/reviews", "collaboration"),
        ):  # fmt: skip
            blames_parameter(wire.get(path, {parameter: key}), 422, "invalid", parameter)


@pytest.mark.parametrize("key", REFERENCES)
def test_a_record_that_a_batch_cannot_name_is_refused(client: httpx.Client, database: Database, key: Any) -> None:
    organization(client)
    with same(client, database):
        for verb in ("put", "patch", "withdraw", "restore"):
            operation = {"verb": verb, "noun": "organizations", "record": key, "if_match": "*"}
            operation |= {"body": {"name": "x", "kind": "other"}} if verb in ("put", "patch") else {}
            answer = client.post("/v1/batch", json={"operations": [operation]})
            if answer.status_code == 404:
                refused(answer, 404, "not-found")
            else:
                assert pointers(refused(answer, 422, "invalid")) == ["/operations/0/record"]


# --- A09, A19: escapes in paths -------------------------------------------------------------------------------------

PATHS = [
    pytest.param("/v1/organizations%2Fsample", 404, id="A19-escaped-slash-before-the-key"),
    pytest.param("/v1/organizations/sample%2Frevisions", 404, id="A19-escaped-slash-behind-the-key"),
    pytest.param("/v1/organizations/sample%2frevisions%2f1", 404, id="A19-escaped-slashes-in-small-letters"),
    pytest.param("/v1%2Forganizations", 404, id="A19-escaped-slash-before-the-noun"),
    pytest.param("/v1/organizations%5Csample", 404, id="A19-backslash"),
    pytest.param("/v1/organizations/%2e%2e/sources", 404, id="A19-escaped-dots-to-another-noun"),
    pytest.param("/v1/organizations/../sources", 404, id="A19-dots-to-another-noun"),
    pytest.param("//v1/organizations", 404, id="A19-two-slashes-in-front"),
    pytest.param("/v1//organizations", 404, id="A19-two-slashes"),
    pytest.param("/V1/organizations", 404, id="A19-capital-version"),
    pytest.param("/v1/Organizations", 404, id="A19-capital-noun"),
    pytest.param("/v1/organizationsx", 404, id="A19-longer-noun"),
    pytest.param("/v2/organizations", 404, id="A19-later-version"),
    pytest.param("/organizations", 404, id="A19-no-version"),
    pytest.param("/v1/organizations/%00", 404, id="A02-nul"),
    pytest.param("/v1/organizations/sample%00", 404, id="A02-nul-behind"),
    pytest.param("/v1/organizations/sample%0A", 404, id="A02-line-break"),
    pytest.param("/v1/organizations/sample%0D%0AX-Forged:%201", 404, id="A63-forged-header"),
    pytest.param("/v1/organizations/%1B%5B31m", 404, id="A63-escape-character"),
    pytest.param("/v1/organizations/%7F", 404, id="A02-delete"),
    pytest.param("/v1/organizations/%E2%80%AE", 404, id="A22-direction-override"),
    pytest.param("/v1/organizations/%C3", 400, id="A09-half-a-character"),
    pytest.param("/v1/organizations/%FF", 400, id="A09-byte-ff"),
    pytest.param("/v1/organizations/%ED%A0%80", 400, id="A09-surrogate"),
    pytest.param("/v1/organizations/%C0%AF", 400, id="A09-overlong-slash"),
    pytest.param("/v1/organizations/%zz", 400, id="A09-no-hexadecimal"),
    pytest.param("/v1/organizations/sample%", 400, id="A09-percent-alone"),
    pytest.param("/v1/organizations/sample/revisions/%FF", 400, id="A09-byte-ff-as-a-version"),
    pytest.param("/v1/organizations/sample/revisions/1%0A", 404, id="A02-line-break-behind-a-version"),
    pytest.param("/problems/%FF", 400, id="A09-byte-ff-as-a-problem"),
    pytest.param("/problems/%00", 404, id="A02-nul-as-a-problem"),
    pytest.param("/problems/..%2Fdocs", 404, id="A19-escaped-slash-as-a-problem"),
    pytest.param("/docs/assets/../__init__.py", 404, id="A59-dots-out-of-the-files"),
    pytest.param("/docs/assets/%2e%2e/__init__.py", 404, id="A59-escaped-dots-out-of-the-files"),
    pytest.param("/docs/assets/..%2F__init__.py", 404, id="A59-escaped-slash-out-of-the-files"),
    pytest.param("/docs/assets/..%5C__init__.py", 404, id="A59-backslash-out-of-the-files"),
    pytest.param("/docs/assets//etc/passwd", 404, id="A59-absolute-file"),
    pytest.param("/docs/assets/%00", 404, id="A59-nul-as-a-file"),
    pytest.param("/docs/assets/%FF", 400, id="A59-byte-ff-as-a-file"),
    pytest.param("/docs/assets/" + "a" * 5_000, 404, id="A59-long-file"),
    pytest.param("/docs/assets/", 404, id="A59-folder"),
    pytest.param("*", 404, id="A19-star"),
    pytest.param("/" + "a/" * 20_000, 404, id="A19-20000-slashes"),
]


@pytest.mark.parametrize(("path", "status"), PATHS)
def test_a_path_that_means_something_else_to_others_means_nothing_here(
    client: httpx.Client, database: Database, wire: Wire, path: str, status: int
) -> None:
    organization(client, slug="sample")
    slug = {404: "not-found", 400: "malformed-request"}[status]
    with same(client, database):
        refused(wire.request("GET", path), status, slug)
        assert wire.request("HEAD", path).status == status
        if path.startswith("/v1"):
            for verb in ("POST", "PUT", "PATCH", "DELETE"):
                assert wire.request(verb, path, headers=[JSON, ANY], body=b"{}").status in (status, 405), verb


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("/v1/organizations/é".encode(), id="A09-raw-utf-8"),
        pytest.param(b"/v1/organizations/\xff", id="A09-raw-byte-ff"),
        pytest.param(b"/v1/organizations/\0", id="A02-raw-nul"),
        pytest.param(b"/v1/organizations/a b", id="A09-raw-blank"),
        pytest.param(b"v1/organizations", id="A19-no-slash"),
        pytest.param(b"%2Fv1/organizations", id="A19-escaped-slash-in-front"),
    ],
)
def test_a_path_that_http_forbids_is_refused_by_the_servers_own_parser(
    client: httpx.Client, database: Database, wire: Wire, target: bytes
) -> None:
    with same(client, database):
        assert wire.request("GET", target).status in (400, 404)


def test_a19_ids_and_slugs_may_be_escaped_and_ids_written_in_capitals(client: httpx.Client, wire: Wire) -> None:
    record = organization(client, slug="sample")
    for key in ("%73ample", "samp%6ce", record["id"], record["id"].upper(), record["id"].replace("-", "%2D")):
        answer = wire.request("GET", f"{organization.path}/{key}")
        assert (answer.status, answer.json()["id"]) == (200, record["id"]), key


# --- A31: PUT where nothing is --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "missing", "gone"),
    [
        pytest.param([], (428, "precondition-required"), (410, "gone"), id="A31-without-a-precondition"),
        pytest.param([ANY], (412, "precondition-failed"), (410, "gone"), id="A31-if-match-star"),
        pytest.param([("If-Match", '"v1"')], (412, "precondition-failed"), (410, "gone"), id="A31-if-match"),
        pytest.param([("If-None-Match", "*")], (422, "invalid"), (410, "gone"), id="A31-if-none-match"),
    ],
)
def test_put_on_what_is_not_there_follows_one_table(
    client: httpx.Client,
    database: Database,
    wire: Wire,
    tags: list[tuple[str, str]],
    missing: tuple[int, str],
    gone: tuple[int, str],
) -> None:
    for noun in (organization, source, review):
        record = noun(client)
        withdraw(client, noun, record)
        body = json.dumps(noun.draft(client)).encode()
        with same(client, database):
            for key, expected in (
                (NOBODY, missing), (record["slug"], gone), (record["id"], gone),
            ):  # fmt: skip
                refused(wire.request("PUT", noun.at(key), headers=[JSON, *tags], body=body), *expected)


# --- A36, A37, A38: verbs and slashes -------------------------------------------------------------------------------


def addresses(client: httpx.Client) -> dict[str, set[str]]:
    """Every path of the description, with what is there put in, and its verbs; and the pages that it leaves out."""
    keys = {"version": "1", "slug": "gone"}
    for proposal in client.get("/v1/proposals").json()["items"]:
        keys["proposal_id"] = proposal["id"]
    described: Json = client.get("/openapi.json").json()["paths"]
    found = {
        re.sub(r"{(\w+)}", lambda match: keys.get(match[1], "sample"), path): {
            verb.upper() for verb in item if verb != "parameters"
        }
        for path, item in described.items()
    }
    return found | {page: {"GET"} for page in ("/", "/docs", "/openapi.json", "/problems", "/problems/gone")}


def needed(client: httpx.Client) -> dict[str, str]:
    """For each path that needs parameters these, with the values that the description shows."""
    described: Json = client.get("/openapi.json").json()["paths"]
    return {
        path: "?" + urlencode({each["name"]: each["example"] for each in parameters})
        for path, item in described.items()
        if (
            parameters := [p for p in item.get("get", {}).get("parameters", ()) if p["in"] == "query" and p["required"]]
        )
    }


def test_a36_head_answers_every_get_without_its_body(client: httpx.Client, wire: Wire) -> None:
    samples(client)
    organization(client, slug="oecd")  # what examples show
    queries = needed(client)
    read = [path + queries.get(path, "") for path, verbs in addresses(client).items() if "GET" in verbs]
    read.remove("/metrics")  # says something longer each time: tests/operations/test_metrics.py
    for path in [*read, "/docs/assets/favicon.png"]:
        got, head = wire.request("GET", path), wire.request("HEAD", path)
        assert (got.status, head.status, head.body) == (200, 200, b""), path
        assert alike(head.headers) == alike(got.headers), path


def test_a36_head_tells_errors_without_a_body_too(client: httpx.Client, wire: Wire) -> None:
    for path in (
        "/v1/organizations/none",
        "/v1/organizations?x=1",
        "/none",
        "/v1/organizations?limit=0",
        "/docs/assets/no",
    ):
        got, head = wire.request("GET", path), wire.request("HEAD", path)
        assert (head.status, head.body) == (got.status, b""), path
        assert alike(head.headers) == alike(got.headers)


def alike(headers: Any) -> list[tuple[str, str]]:
    """Without what is another of each answer, and without how a body is sent, which HEAD has none of (RFC 9110 §9.3.2)."""
    own = ("date", "x-request-id", "transfer-encoding")
    return sorted((name, value) for name, value in headers if name not in own)


def test_a36_options_lists_the_verbs_of_every_path(client: httpx.Client, database: Database, wire: Wire) -> None:
    samples(client)
    with same(client, database):
        for path, verbs in addresses(client).items():
            answer = wire.request("OPTIONS", path)
            assert (answer.status, answer.body) == (204, b""), path
            assert answer.header("allow") == allow(verbs), path
        assert wire.request("OPTIONS", "/none").status == 404


def test_a37_a_wrong_verb_is_405_and_told_every_right_one(client: httpx.Client, database: Database, wire: Wire) -> None:
    samples(client)
    with same(client, database):
        for path, verbs in addresses(client).items():
            for verb in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "LOCK"} - verbs:
                answer = wire.request(verb, path, headers=[JSON, ANY], body=b"{}")
                refused(answer, 405, "method-not-allowed")
                assert answer.header("allow") == allow(verbs), (verb, path)


@pytest.mark.parametrize("verb", ["get", "Get", "FETCH", "A" * 300, "G\0T", ""])
def test_a37_a_verb_that_http_does_not_know_is_refused_too(
    client: httpx.Client, database: Database, wire: Wire, verb: str
) -> None:
    with same(client, database):
        assert wire.request(verb, ONE).status in (400, 405, 501)


def allow(verbs: set[str]) -> str:
    return ", ".join(sorted(verbs | {"OPTIONS"} | ({"HEAD"} if "GET" in verbs else set())))


def test_a38_a_slash_at_the_end_is_404_and_never_a_redirect(
    client: httpx.Client, database: Database, wire: Wire
) -> None:
    samples(client)
    proxied = [
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "registry.example"),
        ("X-Forwarded-For", "192.0.2.1"),
    ]
    with same(client, database):
        for path, verbs in addresses(client).items():
            if path == "/":
                continue
            for verb in sorted(verbs | {"GET", "HEAD"}):
                for headers in ([], proxied):
                    answer = wire.request(
                        verb, f"{path}/", headers=[*headers, JSON, ANY], body=b"{}" if verb != "HEAD" else None
                    )
                    assert answer.status == 404, (verb, path)
                    assert answer.header("location") is None


def test_a38_what_a_proxy_says_of_itself_changes_no_address(client: httpx.Client, wire: Wire) -> None:
    """Addresses are paths, so that no scheme or host can be got wrong."""
    organization(client)
    proxied = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Prefix", "/evil")]
    body = json.dumps(organization.draft(client)).encode()
    created = wire.request("POST", ONE, headers=[JSON, *proxied], body=body)
    assert (created.status, str(created.header("location")).startswith(f"{ONE}/")) == (201, True)
    page = wire.request("GET", f"{ONE}?limit=1", headers=proxied)
    assert page.json()["next"].startswith(f"{ONE}?")
    assert str(page.header("link")).startswith(f"<{ONE}?")
    problem = wire.request("GET", f"{ONE}/none", headers=proxied).json()
    assert (problem["type"], problem["instance"]) == ("/problems/not-found", f"{ONE}/none")
