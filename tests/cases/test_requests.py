"""Requests that are broken below the body: headers that stand twice, lengths that contradict each other, targets of other
forms. What proxies read in two ways is refused, and nothing is written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, MutableMapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.kit.db import Database
from tests.cases.places import Address, encoded, every_address, samples
from tests.cases.refusals import blames_parameter, refused, same
from tests.support.builders import NOUNS, organization
from tests.support.wire import ANY, AUTHORIZED, JSON, Wire, chunk

# --- headers that stand twice ----------------------------------------------------------------------------------------

TWICE = [
    pytest.param(("Content-Type", "text/plain"), "content-type", id="A11-another-type-behind"),
    pytest.param(("Content-Type", "application/json"), "content-type", id="A11-the-same-type-behind"),
    pytest.param(("CONTENT-TYPE", "multipart/form-data; boundary=x"), "content-type", id="A11-form-in-capitals"),
    pytest.param(("Host", "evil.example"), "host", id="A38-another-host-behind"),
    pytest.param(("Host", "127.0.0.1"), "host", id="A38-the-same-host-behind"),
]


def every_write_of_every_noun(client: httpx.Client) -> list[Address]:
    samples(client)
    return [address for noun in NOUNS.values() for address in every_address(client, noun, "sample")]


@pytest.mark.parametrize(("header", "name"), TWICE)
def test_a_header_that_can_stand_once_is_refused_when_it_stands_twice(
    client: httpx.Client, database: Database, wire: Wire, header: tuple[str, str], name: str
) -> None:
    addresses = every_write_of_every_noun(client)
    with same(client, database):
        for address in addresses:
            # Of the two, the server would read the first, which is in order.
            answer = wire.request(
                address.verb, address.path, headers=[JSON, *address.headers, header], body=encoded(address.document)
            )
            blames_parameter(answer, 400, "malformed-request", name)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        pytest.param("Origin", "http://localhost", "https://evil.example", id="A11-two-origins"),
        pytest.param("Change-Reason", "Typing slip.", "Another.", id="A10-two-reasons"),
        pytest.param("Host", "evil.example", "evil.example", id="A38-three-hosts"),
    ],
)
def test_writes_without_a_body_are_as_strict(
    client: httpx.Client, database: Database, wire: Wire, name: str, first: str, second: str
) -> None:
    samples(client)
    at = organization.at("sample")
    with same(client, database):
        for verb, path in (("DELETE", at), ("POST", f"{at}/restore")):
            answer = wire.request(verb, path, headers=[ANY, (name, first), (name, second)])
            blames_parameter(answer, 400, "malformed-request", name.lower())


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/livez", "/problems", "/v1/changes", "/v1/organizations"]
)
def test_a38_two_hosts_are_refused_by_every_page(
    client: httpx.Client, database: Database, wire: Wire, path: str
) -> None:
    with same(client, database):
        blames_parameter(wire.request("GET", path, headers=[("Host", "x")]), 400, "malformed-request", "host")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("identity", "gzip", id="A64-compressed-behind-identity"),
        pytest.param("gzip", "identity", id="A64-identity-behind-compressed"),
    ],
)
def test_a_body_is_compressed_when_any_of_its_headers_says_so(
    client: httpx.Client, database: Database, wire: Wire, first: str, second: str
) -> None:
    addresses = every_write_of_every_noun(client)
    with same(client, database):
        for address in addresses:
            encodings = [("Content-Encoding", first), ("Content-Encoding", second)]
            answer = address.send(wire, encoded(address.document), *encodings)
            refused(answer, 415, "unsupported-media-type")


# --- what is no request ------------------------------------------------------------------------------------------------

BODY = encoded({"name": "Smuggled", "kind": "other"})
POST = b"POST /v1/organizations HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
BROKEN = [
    pytest.param(POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(BODY) + chunk(b""),
                 id="A64-length-and-chunks"),
    pytest.param(POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + chunk(BODY) + chunk(b""),
                 id="A64-chunks-and-length"),
    pytest.param(POST + b"Content-Length: 3\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY, id="A12-two-lengths"),
    pytest.param(POST + b"Content-Length: %d, 3\r\n\r\n" % len(BODY) + BODY, id="A12-two-lengths-in-one"),
    pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="A64-chunk-without-a-length"),
    pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n", id="A64-chunk-of-a-negative-length"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="A63-http-2"),
    pytest.param(b"GET /v1/organizations HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n", id="A63-http-9.9"),
    pytest.param(b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example\r\n\r\n", id="A63-tunnel"),
    pytest.param(b"GET http://evil.example HTTP/1.1\r\nHost: evil.example\r\n\r\n", id="A19-host-without-a-path"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="A63-tls"),
]  # fmt: skip


@pytest.mark.parametrize("raw", BROKEN)
def test_what_is_no_request_is_refused_and_the_next_one_is_answered(
    client: httpx.Client, database: Database, wire: Wire, raw: bytes
) -> None:
    with same(client, database):
        refused(wire.send(raw), 400, "malformed-request")
        assert wire.request("GET", "/livez").status == 200


def test_a19_a_whole_address_as_target_is_its_path_and_its_host_goes_nowhere(client: httpx.Client, wire: Wire) -> None:
    for _ in range(2):
        organization(client)
    answer = wire.request("GET", "http://evil.example/v1/organizations?limit=1")
    assert (answer.status, answer.json()["next"].startswith("/v1/organizations?")) == (200, True)
    assert b"evil" not in answer.body
    missing = refused(wire.request("GET", "http://evil.example/v1/organizations/none"), 404, "not-found")
    assert missing["instance"] == "/v1/organizations/none"


def test_a12_a_body_of_a_request_that_needs_none_is_not_read(client: httpx.Client, wire: Wire) -> None:
    samples(client)
    for path in ("/v1/organizations", organization.at("sample"), "/v1/changes", "/livez"):
        assert wire.request("GET", path, headers=[JSON], body=b"\xff[[[").status == 200
    assert wire.request("POST", f"{organization.at('sample')}/restore", headers=[ANY], body=b"\xff[").status == 200


def test_a49_a_client_that_leaves_in_the_middle_of_its_body_is_no_error_of_the_server(
    client: httpx.Client, app: FastAPI, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    pieces: Iterator[MutableMapping[str, Any]] = iter(
        [{"type": "http.request", "body": BODY, "more_body": True}, {"type": "http.disconnect"}]
    )
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return next(pieces)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
    headers += [(name.lower().encode(), value.encode()) for name, value in AUTHORIZED.items()]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/v1/organizations", "raw_path": b"/v1/organizations", "query_string": b"", "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": {},
    }  # fmt: skip
    with same(client, database), caplog.at_level(logging.DEBUG, logger="concord"):
        asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 400
    (line,) = (record for record in caplog.records if record.name.startswith("concord"))
    assert (line.name, line.levelname) == ("concord.access", "INFO")  # a request like any other
