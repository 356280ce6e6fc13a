"""HTTP byte by byte: what a well-behaved client library refuses to send, and a hostile or broken one sends anyway."""

from __future__ import annotations

import itertools
import json
import os
import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

KEY = "concord_of-the-tests-0123456789abcdefghijklmnop"
"""The key of an admin that every registry of the tests has."""
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
UNTRUSTING = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients that speak plain HTTP: to read which authorities all the world trusts costs each of them 22 ms."""
Header = tuple[str | bytes, str | bytes]
JSON = ("Content-Type", "application/json")
ANY = ("If-Match", "*")


LOWEST, HIGHEST = 10_000, 32_767
"""Below the ports that systems give to whoever asks for any."""


def _ports() -> Iterator[int]:
    """Every worker of the tests has ports of its own; where it begins is another in each run."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = range(LOWEST + worker, HIGHEST, workers)
    begin = os.getpid() * 101 % len(own)
    return itertools.cycle(itertools.chain(own[begin:], own[:begin]))


PORTS = _ports()


def free_port() -> int:
    """A port of the loopback on which nobody listens, for a server that is still to start. Until it does no other test is
    given the same one, as happens with the ports of the system: one server then answered the test of another."""
    while True:
        port = next(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@dataclass(frozen=True)
class Answer:
    """One answer as it came over the wire."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header of this name (lower case)."""
        return next((value for known, value in self.headers if known == name), None)

    @property
    def is_whole(self) -> bool:
        """Whether the line was not cut before the end of the body. (An answer to HEAD has none, whatever it announces.)"""
        return len(self.body) == int(self.header("content-length") or len(self.body))

    def json(self) -> Any:
        """The body as JSON. Raises ValueError for one that is no UTF-8."""
        return json.loads(self.body.decode())


@dataclass(frozen=True)
class Wire:
    """A client of 127.0.0.1 that sends what it is told, one request a connection."""

    port: int

    def request(
        self, method: str, target: str | bytes, *, headers: Iterable[Header] = (), body: bytes | None = None
    ) -> Answer:
        """Send one request; `target` and `headers` go out as they are, a Content-Length where there is a body, and the
        tests' key where no other is."""
        headers = [*headers]
        if not any(_bytes(name).lower() == b"authorization" for name, _ in headers):
            headers += AUTHORIZED.items()
        lines = [_bytes(method) + b" " + _bytes(target) + b" HTTP/1.1", b"Host: 127.0.0.1", b"Connection: close"]
        lines += [_bytes(name) + b": " + _bytes(value) for name, value in headers]
        if body is not None:
            lines.append(b"Content-Length: %d" % len(body))
        return self.send(b"\r\n".join(lines) + b"\r\n\r\n" + (body or b""))

    def get(self, path: str, parameters: Mapping[str, str]) -> Answer:
        """GET with a query string that is escaped as it should be."""
        return self.request("GET", f"{path}?{urlencode(parameters)}")

    def send(self, raw: bytes) -> Answer:
        """Send `raw`, leave the line open, and read one answer."""
        with self.connect() as connection:
            connection.sendall(raw)
            return self.receive(connection)

    def abandon(self, raw: bytes) -> None:
        """Send `raw`, and hang up without waiting for an answer."""
        with self.connect() as connection:
            connection.sendall(raw)

    def receive(self, connection: socket.socket) -> Answer:
        """The answer on `connection`. Raises TimeoutError when none comes, ConnectionError when the line is cut before."""
        return _receive(connection)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


def _receive(connection: socket.socket) -> Answer:
    with connection.makefile("rb") as stream:
        line = stream.readline()
        if not line:
            raise ConnectionError("the server hung up without an answer")
        headers = []
        while (text := stream.readline().strip()) != b"":
            name, _, value = text.partition(b":")
            headers.append((name.decode("latin-1").lower(), value.strip().decode("latin-1")))
        announced = next((value for name, value in headers if name == "content-length"), None)
        body = stream.read(int(announced)) if announced is not None else stream.read()
        return Answer(int(line.split()[1]), headers, body)


def chunk(data: bytes) -> bytes:
    """One piece of a chunked body (RFC 9112 §7.1)."""
    return b"%x\r\n" % len(data) + data + b"\r\n"


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
