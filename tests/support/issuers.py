"""An OpenID Connect issuer on the loopback, as far as a registry sees one: its two documents, and the tokens it signs."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

DISCOVERY, JWKS = "/.well-known/openid-configuration", "/keys"
NOON = 1_772_362_800
"""When tokens are made: 2026-03-01T11:00:00Z; two hours after the tests' clock begins, which a test winds there."""


@cache
def private_key(kid: str) -> Any:
    """The private key that tests call by this id: its kind is in the name. Made once, as RSA takes its time."""
    kind = kid.partition("-")[0]
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    if kind == "weak":
        return rsa.generate_private_key(65537, 1024)  # noqa: S505  # to be refused
    if kind == "ed":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key({"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}[kind])


ALGORITHMS = {"rsa": "RS256", "weak": "RS256", "ed": "EdDSA", "p256": "ES256", "p384": "ES384", "p521": "ES512"}


def algorithm_of(kid: str) -> str:
    """How the key of this id signs, unless it is said otherwise."""
    return ALGORITHMS[kid.partition("-")[0]]


def jwk(kid: str, /, **more: Any) -> dict[str, Any]:
    """The public half, as it is published (RFC 7517), with other members. None takes one away."""
    algorithm: Any = get_default_algorithms()[algorithm_of(kid)]
    found = {**algorithm.to_jwk(private_key(kid).public_key(), as_dict=True), "kid": kid, "use": "sig", **more}
    return {name: value for name, value in found.items() if value is not None}


class LocalIssuer:
    """It counts what it is asked. `answers` puts another answer in the place of a document: status, headers, body."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys: list[dict[str, Any]] = [jwk("rsa-1"), jwk("p256-1"), jwk("ed-1")]
        self.discovery = {"issuer": url, "jwks_uri": url + JWKS}
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.asked: Counter[str] = Counter()
        self.seconds_a_byte = 0.0
        self.open = threading.Event()
        self.open.set()

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        self.asked[path] += 1
        self.open.wait(10)
        documents: dict[str, Any] = {DISCOVERY: self.discovery, JWKS: {"keys": self.keys}}
        if path in self.answers:
            return self.answers[path]
        return (200, {}, json.dumps(documents[path]).encode()) if path in documents else (404, {}, b"")

    def token(self, kid: str = "rsa-1", *, algorithm: str | None = None, header: Any = None, **claims: Any) -> str:
        """A token of this issuer that is good in every way, but for what is said. None takes a claim or `kid` away."""
        payload = {
            "iss": self.url, "aud": "registry", "sub": "u-17", "iat": NOON, "exp": NOON + 300,
            "roles": ["registry-editors"], **claims,
        }  # fmt: skip
        return jwt.encode(
            {name: value for name, value in payload.items() if value is not None},
            private_key(kid),
            algorithm or algorithm_of(kid),
            {name: value for name, value in {"kid": kid, **(header or {})}.items() if value is not None},
        )


@contextmanager
def issuing(tls: ssl.SSLContext | None = None) -> Iterator[LocalIssuer]:
    """An issuer that answers on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = issuer.answer(self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            pieces = [body[at : at + 1] for at in range(len(body))] if issuer.seconds_a_byte else [body]
            for piece in pieces:
                self.wfile.write(piece)
                time.sleep(issuer.seconds_a_byte)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name that it has there
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that hangs up is none."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        issuer = LocalIssuer(f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield issuer
        issuer.open.set()
        server.shutdown()
        thread.join(5)
