"""Tokens of an issuer: which of them open the registry, with which role, and what happens while the issuer is away."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.algorithms import OKPAlgorithm

from app.auth import jwks, keys
from app.auth.oidc import LEEWAY, LONGEST_NAME, Issuer, Verifier
from app.auth.policy import Caller, Role
from app.kit.db import Database
from app.kit.errors import IssuerUnavailable
from app.main import create_app
from app.settings import SIGNATURES, Settings
from tests.conftest import TESTER, Ticking
from tests.support.answers import problem
from tests.support.issuers import DISCOVERY, JWKS, NOON, LocalIssuer, issuing, jwk, private_key
from tests.support.wire import UNTRUSTING

NOW = datetime.fromtimestamp(NOON + 1, UTC)
ROLES = {"registry-admins": Role.admin, "registry-editors": Role.editor, "registry-reviewers": Role.reviewer}


@pytest.fixture
def issuer() -> Iterator[LocalIssuer]:
    with issuing() as made:
        yield made


def verifier(issuer: LocalIssuer, **other: Any) -> Verifier:
    said: dict[str, Any] = {
        "url": issuer.url, "audience": "registry", "roles": ROLES, "roles_claim": "roles", "name_claim": "sub",
        "algorithms": ("RS256", "ES256", "EdDSA"), **other,
    }  # fmt: skip
    return Verifier(Issuer(**said))


def find(asked: Verifier, token: str, now: datetime = NOW) -> Caller | None:
    return asyncio.run(asked.find(token, now))


EDITOR = Caller("oidc:u-17", Role.editor)


# --- tokens -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kid", "algorithm"),
    [("rsa-1", "RS256"), ("rsa-1", "RS384"), ("rsa-1", "RS512"), ("rsa-1", "PS256"), ("rsa-1", "PS384"), ("rsa-1", "PS512"),
     ("p256-1", "ES256"), ("p384-1", "ES384"), ("p521-1", "ES512"), ("ed-1", "EdDSA")],
)  # fmt: skip
def test_a_token_of_the_issuer_opens_by_each_algorithm(issuer: LocalIssuer, kid: str, algorithm: str) -> None:
    issuer.keys = [jwk(kid)]
    token = issuer.token(kid, algorithm=algorithm)
    assert find(verifier(issuer, algorithms=SIGNATURES), token) == EDITOR
    others = tuple(name for name in SIGNATURES if name != algorithm)
    assert find(verifier(issuer, algorithms=others), token) is None


def _hmac_with_the_public_key(issuer: LocalIssuer) -> str:
    """The classic confusion (RFC 8725 §2.1): what checks a signature taken as the secret that makes one."""
    public = private_key("rsa-1").public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    head, body = (_part(part) for part in ({"alg": "HS256", "kid": "rsa-1", "typ": "JWT"}, claims))
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(f"{head}.{body}".encode(), pem)
    return f"{head}.{body}.{_base64(signature)}"


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _part(document: Any) -> str:
    return _base64(json.dumps(document).encode())


def _unsigned(issuer: LocalIssuer) -> str:
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    return f"{_part({'alg': 'none', 'kid': 'rsa-1'})}.{_part(claims)}."


def _promoted(issuer: LocalIssuer) -> str:
    """The claims of another token under a good signature."""
    head, _, signature = issuer.token().split(".")
    return ".".join((head, issuer.token(roles=["registry-admins"]).split(".")[1], signature))


def _deep(issuer: LocalIssuer) -> str:
    return f"{_base64(b'[' * 5000)}.{_part({})}.AAAA"


NAMES = st.sampled_from(["alg", "kid", "crit", "b64", "typ", "iss", "aud", "exp", "sub", "x"])
BAD: dict[str, Callable[[LocalIssuer], str]] = {
    "another audience": lambda it: it.token(aud="another"),
    "no audience": lambda it: it.token(aud=None),
    "other audiences": lambda it: it.token(aud=["another", "registry2"]),
    "another issuer": lambda it: it.token(iss="https://id.example.org"),
    "its issuer but for a slash": lambda it: it.token(iss=it.url + "/"),
    "no issuer": lambda it: it.token(iss=None),
    "expired": lambda it: it.token(exp=NOON - LEEWAY),
    "no expiry": lambda it: it.token(exp=None),
    "a text for expiry": lambda it: it.token(exp=str(NOON + 300)),
    "true for expiry": lambda it: it.token(exp=True),
    "an endless expiry": lambda it: it.token(exp=float("inf")),
    "no number for expiry": lambda it: it.token(exp=float("nan")),
    "not yet": lambda it: it.token(nbf=NOON + 60),
    "issued later": lambda it: it.token(iat=NOON + 60),
    "a null for not before": lambda it: _signed(it, nbf=None),
    "no subject": lambda it: it.token(sub=None),
    "an empty subject": lambda it: it.token(sub=""),
    "a space behind the name": lambda it: it.token(sub="u-17 "),
    "a line break in the name": lambda it: it.token(sub="u\n17"),
    "turned text in the name": lambda it: it.token(sub="u\u202e17"),
    "a letter of two pieces in the name": lambda it: it.token(sub="Zoe\u0308"),
    "half a character in the name": lambda it: it.token(sub="u\ud800"),
    "a name that is too long": lambda it: it.token(sub="u" * (LONGEST_NAME + 1)),
    "unsigned": _unsigned,
    "signed with the public key as a secret": _hmac_with_the_public_key,
    "other claims under a good signature": _promoted,
    "another key under a known id": lambda it: it.token("rsa-2", header={"kid": "rsa-1"}),
    "a key of another type": lambda it: it.token("p256-1", header={"kid": "rsa-1"}),
    "a key that nobody knows": lambda it: it.token("rsa-2"),
    "a number for the key's id": lambda it: _headed(it, kid=1),
    "a list for the algorithm": lambda it: _headed(it, alg=["RS256"]),
    "no algorithm": lambda it: _headed(it, alg=None),
    "something critical that nobody knows": lambda it: it.token(header={"crit": ["exp2"], "exp2": 1}),
    "its key at an address": lambda it: it.token("rsa-2", header={"jku": it.url + "/others"}),
    "its key within": lambda it: it.token("rsa-2", header={"jwk": jwk("rsa-2")}),
    "not a token": lambda _: "a.b.c",
    "deeply nested": _deep,
    "no object": lambda it: ".".join((it.token().split(".")[0], _part([1]), "AAAA")),
}


def _signed(issuer: LocalIssuer, **claims: Any) -> str:
    """With claims that are null, which `token` leaves out."""
    payload = jwt.decode(issuer.token(), options={"verify_signature": False}) | claims
    return jwt.encode(payload, private_key("rsa-1"), "RS256", {"kid": "rsa-1"})


def _headed(issuer: LocalIssuer, **header: Any) -> str:
    _, body, signature = issuer.token().split(".")
    return f"{_part({'alg': 'RS256', 'kid': 'rsa-1'} | header)}.{body}.{signature}"


@pytest.mark.parametrize("kind", BAD)
def test_a_token_with_anything_wrong_opens_nothing(
    issuer: LocalIssuer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked, token = verifier(issuer), BAD[kind](issuer)
    with caplog.at_level(logging.DEBUG):
        assert find(asked, token) is None
    assert find(asked, issuer.token()) == EDITOR, "a good one is taken by the same"
    assert set(issuer.asked) == {DISCOVERY, JWKS}, "no address of the token is asked"
    assert not any(piece in caplog.text for piece in ("u-17", "rsa-", *token.split(".")) if len(piece) > 3)
    assert "a token was refused: " in caplog.text


@given(st.data())
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_whatever_comes_instead_of_a_part_is_only_refused(issuer: LocalIssuer, data: st.DataObject) -> None:
    json_like = st.recursive(st.none() | st.floats() | st.text(max_size=9), lambda inner: st.dictionaries(NAMES, inner))
    part = st.text("abcXYZ019_-.", max_size=80) | st.binary(max_size=40).map(_base64) | json_like.map(_part)
    parts, changed = issuer.token().split("."), data.draw(st.integers(0, 2))
    parts[changed] = data.draw(part)
    assert find(verifier(issuer), ".".join(parts)) is None


@pytest.mark.parametrize(
    "claims",
    [{"exp": NOON - LEEWAY + 2}, {"nbf": NOON + LEEWAY}, {"iat": NOON + LEEWAY}, {"iat": None}, {"exp": NOON + 0.5},
     {"aud": ["another", "registry"]}],
)  # fmt: skip
def test_clocks_may_differ_a_little(issuer: LocalIssuer, claims: dict[str, Any]) -> None:
    assert find(verifier(issuer), issuer.token(**claims)) == EDITOR


# --- claims -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        (["registry-editors"], Role.editor),
        (["registry-editors", "registry-admins", "x"], Role.admin),
        (["registry-reviewers", "registry-editors"], Role.reviewer),
        ("registry-reviewers", Role.reviewer),
        ("openid registry-editors", Role.editor),
        (["openid registry-editors"], None),
        (["Registry-Admins", "admin"], None),
        ([], None),
        (None, None),
        (["*"], None),
        ([["registry-admins"], 1, None], None),
        ({"registry-admins": True}, None),
        (7, None),
    ],
)
def test_the_highest_role_wins_and_none_is_none(issuer: LocalIssuer, roles: Any, role: Role | None) -> None:
    assert find(verifier(issuer), issuer.token(roles=roles)) == Caller("oidc:u-17", role)


def test_all_whom_the_issuer_knows_may_be_given_a_role(issuer: LocalIssuer) -> None:
    asked = verifier(issuer, roles=ROLES | {"*": Role.reader})
    assert find(asked, issuer.token(roles=None)) == Caller("oidc:u-17", Role.reader)
    assert find(asked, issuer.token()) == EDITOR


@pytest.mark.parametrize(
    ("claim", "claims"),
    [
        ("realm_access.roles", {"realm_access": {"roles": ["registry-admins"]}}),
        ("https://example.org/roles", {"https://example.org/roles": ["registry-admins"]}),
        ("resource_access.concord.roles", {"resource_access": {"concord": {"roles": "registry-admins"}}}),
    ],
)
def test_roles_are_where_the_issuer_has_them(issuer: LocalIssuer, claim: str, claims: dict[str, Any]) -> None:
    asked = verifier(issuer, roles_claim=claim)
    assert find(asked, issuer.token(**claims)) == Caller("oidc:u-17", Role.admin)
    assert find(asked, issuer.token(realm_access="registry-admins")) == Caller("oidc:u-17", None)


def test_the_name_is_the_claim_that_the_operator_chose(issuer: LocalIssuer) -> None:
    asked = verifier(issuer, name_claim="preferred_username")
    assert find(asked, issuer.token(preferred_username="Zoë Ångström")) == Caller("oidc:Zoë Ångström", Role.editor)
    assert find(asked, issuer.token()) is None


# --- keys ---------------------------------------------------------------------------------------------------------------


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_keys_are_fetched_once_for_their_lifetime(issuer: LocalIssuer) -> None:
    asked = verifier(issuer)
    for second in (0, 10, 200, 299):
        assert find(asked, issuer.token(exp=NOON + 900), later(second)) == EDITOR
    assert issuer.asked == {DISCOVERY: 1, JWKS: 1}
    assert find(asked, issuer.token(exp=NOON + 900), later(301)) == EDITOR
    assert issuer.asked == {DISCOVERY: 2, JWKS: 2}


def test_an_unknown_key_is_asked_for_but_not_again_and_again(issuer: LocalIssuer) -> None:
    asked = verifier(issuer)
    for second in range(20):
        assert find(asked, issuer.token("rsa-1", header={"kid": f"rsa-{second}-of-nobody"}), later(second)) is None
    assert issuer.asked[JWKS] == 2


def test_a_new_key_opens_soon_and_an_old_one_no_more_once_it_is_gone(issuer: LocalIssuer) -> None:
    asked, old, new = verifier(issuer), issuer.token("rsa-1", exp=NOON + 900), issuer.token("rsa-2", exp=NOON + 900)
    assert find(asked, old) == EDITOR
    issuer.keys = [jwk("rsa-1"), jwk("rsa-2")]
    assert find(asked, new, later(11)) == EDITOR
    assert find(asked, old, later(12)) == EDITOR
    assert issuer.asked[JWKS] == 2
    issuer.keys = [jwk("rsa-2")]
    assert find(asked, old, later(13)) == EDITOR
    assert find(asked, old, later(11 + 301)) is None
    assert find(asked, new, later(11 + 302)) == EDITOR


def test_without_an_id_the_only_key_that_fits_is_meant(issuer: LocalIssuer) -> None:
    token = issuer.token("rsa-1", header={"kid": None})
    assert find(verifier(issuer), token) == EDITOR
    issuer.keys.append(jwk("rsa-2"))
    assert find(verifier(issuer), token) is None
    issuer.keys = [jwk("rsa-1", kid=None)]
    assert find(verifier(issuer), token) == EDITOR


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"}, {"alg": "PS256"}, {"key_ops": ["encrypt"]}, {"key_ops": 7}, {"n": "!"}, {"n": None}, {"n": 7},
        {"e": "AA"}, {"kid": ["rsa-1"]}, {"kty": "rsa"}, {"kty": ["RSA"]}, {"kty": None},
        {"kty": "oct", "k": "c2VjcmV0"},
    ],
)  # fmt: skip
def test_a_key_that_is_not_for_this_spoils_no_other(issuer: LocalIssuer, change: dict[str, Any]) -> None:
    key = jwk("rsa-1", **change)
    issuer.keys = [key, jwk("p256-1")]
    asked = verifier(issuer)
    assert find(asked, issuer.token("rsa-1")) is None
    assert find(asked, issuer.token("p256-1")) == EDITOR


def test_a_key_whose_private_half_is_published_is_anybodys(issuer: LocalIssuer) -> None:
    issuer.keys = [jwk("ed-1", d=OKPAlgorithm.to_jwk(private_key("ed-1"), as_dict=True)["d"]), jwk("p256-1")]
    asked = verifier(issuer)
    assert find(asked, issuer.token("ed-1")) is None
    assert find(asked, issuer.token("p256-1")) == EDITOR


def test_a_key_that_is_too_short_opens_nothing(issuer: LocalIssuer) -> None:
    issuer.keys = [jwk("weak-1")]
    with pytest.warns(jwt.warnings.InsecureKeyLengthWarning):  # of the one who signs
        token = issuer.token("weak-1")
    assert find(verifier(issuer), token) is None


def test_many_who_come_at_once_ask_once(issuer: LocalIssuer) -> None:
    async def many() -> list[Caller | None]:
        asked, token = verifier(issuer), issuer.token()
        return await asyncio.gather(*(asked.find(token, later(number / 100)) for number in range(50)))

    assert asyncio.run(many()) == [EDITOR] * 50
    assert issuer.asked == {DISCOVERY: 1, JWKS: 1}


def test_one_who_hangs_up_does_not_end_it_for_the_others(issuer: LocalIssuer) -> None:
    async def two() -> Caller | None:
        asked, token = verifier(issuer), issuer.token()
        issuer.open.clear()
        first, second = (asyncio.create_task(asked.find(token, NOW)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        issuer.open.set()
        return await second

    assert asyncio.run(two()) == EDITOR
    assert issuer.asked[JWKS] == 1


# --- an issuer that is away -----------------------------------------------------------------------------------------------


Answers = dict[str, tuple[int, dict[str, str], bytes]]
MADE_UP = "http://127.0.0.1:1"
BROKEN: dict[str, Callable[[LocalIssuer], Answers]] = {
    "an error": lambda _: {DISCOVERY: (500, {}, b"")},
    "no key set": lambda _: {JWKS: (404, {}, b"")},
    "another issuer": lambda it: {DISCOVERY: _json({"issuer": "https://id.example.org", "jwks_uri": it.url + JWKS})},
    "the issuer but for a slash": lambda it: {DISCOVERY: _json({"issuer": it.url + "/", "jwks_uri": it.url + JWKS})},
    "a redirect": lambda it: {DISCOVERY: (302, {"Location": it.url + "/elsewhere"}, b"")},
    "keys that are elsewhere": lambda it: {JWKS: (307, {"Location": it.url + "/elsewhere"}, b"")},
    "keys on another port": lambda it: {DISCOVERY: _json({"issuer": it.url, "jwks_uri": MADE_UP + JWKS})},
    "keys in a file": lambda it: {DISCOVERY: _json({"issuer": it.url, "jwks_uri": "file:///etc/hostname"})},
    "keys nowhere": lambda it: {DISCOVERY: _json({"issuer": it.url, "jwks_uri": "https://[::1"})},
    "no address of keys": lambda it: {DISCOVERY: _json({"issuer": it.url})},
    "a huge document": lambda _: {JWKS: _json({"keys": [jwk("rsa-1")], "more": "x" * jwks.MOST_BYTES})},
    "no JSON": lambda _: {JWKS: (200, {}, b"<html>")},
    "a deep document": lambda _: {JWKS: (200, {}, b'{"keys":' + b"[" * 100_000)},
    "half a document": lambda _: {JWKS: (200, {"Content-Length": "5000"}, b'{"keys": [')},
    "no keys": lambda _: {JWKS: _json({"keys": []})},
    "no list of keys": lambda _: {JWKS: _json({"keys": jwk("rsa-1")})},
    "only keys of no use": lambda _: {JWKS: _json({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]})},
}


def _json(document: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps(document).encode()


@pytest.mark.parametrize("kind", BROKEN)
def test_an_issuer_that_cannot_be_understood_is_away_until_it_can(issuer: LocalIssuer, kind: str) -> None:
    asked, issuer.answers = verifier(issuer), BROKEN[kind](issuer)
    with pytest.raises(IssuerUnavailable):
        find(asked, issuer.token())
    assert issuer.asked["/elsewhere"] == 0
    issuer.answers = {}
    with pytest.raises(IssuerUnavailable):
        find(asked, issuer.token(), later(5))
    assert issuer.asked[DISCOVERY] == 1, "not again at once"
    assert find(asked, issuer.token(), later(11)) == EDITOR


def test_the_keys_that_there_are_go_on_while_the_issuer_is_away(issuer: LocalIssuer) -> None:
    asked, token = verifier(issuer), issuer.token(exp=NOON + 90_000)
    assert find(asked, token) == EDITOR
    issuer.answers = {DISCOVERY: (503, {}, b"")}
    last = (jwks.LIFETIME + jwks.GRACE).total_seconds()
    for second in (301, 302, 1800, last - 1):
        assert find(asked, token, later(second)) == EDITOR
    assert issuer.asked[DISCOVERY] == 4
    with pytest.raises(IssuerUnavailable):  # it may have made that key since
        find(asked, issuer.token("rsa-2"), later(last - 0.5))
    with pytest.raises(IssuerUnavailable):
        find(asked, token, later(last + 1))
    issuer.answers = {}
    assert find(asked, token, later(last + 20)) == EDITOR


def test_a_clock_that_is_put_back_does_not_keep_keys_for_ever(issuer: LocalIssuer) -> None:
    asked = verifier(issuer)
    assert find(asked, issuer.token(exp=NOON + 9000), later(7200)) == EDITOR
    assert find(asked, issuer.token()) == EDITOR
    assert issuer.asked[JWKS] == 2


def test_keys_that_are_elsewhere_need_https(issuer: LocalIssuer) -> None:
    with issuing() as other:
        issuer.discovery["jwks_uri"] = other.url + JWKS
        with pytest.raises(IssuerUnavailable):
            find(verifier(issuer), issuer.token())
    assert not other.asked


def test_nobody_is_there(issuer: LocalIssuer) -> None:
    issuer.url = MADE_UP
    with pytest.raises(IssuerUnavailable):
        find(verifier(issuer), issuer.token())


def test_an_issuer_that_is_slow_is_not_waited_for_long(issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "TIMEOUT", 0.1)
    issuer.open.clear()
    with pytest.raises(IssuerUnavailable):
        find(verifier(issuer), issuer.token())


def test_a_document_that_drips_is_given_up(issuer: LocalIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "TIMEOUT", 0.1)
    issuer.seconds_a_byte = 0.02
    began = time.monotonic()
    with pytest.raises(IssuerUnavailable):
        find(verifier(issuer), issuer.token())  # returns when the thread that reads has ended, too
    assert time.monotonic() - began < 0.02 * len(json.dumps(issuer.discovery))


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of 127.0.0.1 that signs itself, and its key."""
    import ipaddress

    key, name = private_key("p256-tls"), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    today = datetime.now(UTC)  # TLS asks the machine's clock
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1)).not_valid_after(today + timedelta(days=1))
        .add_extension(here, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file = tmp_path / "issuer.pem"
    file.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return file


def test_an_issuer_must_have_a_certificate_that_this_machine_trusts(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with issuing(tls) as issuer:
        with pytest.raises(IssuerUnavailable):
            find(verifier(issuer), issuer.token())
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert find(verifier(issuer), issuer.token()) == EDITOR


# --- over HTTP ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def signed_on(app: FastAPI, client: httpx.Client, clock: Ticking, issuer: LocalIssuer) -> Iterator[httpx.Client]:
    """A client without a key of a registry that trusts the issuer, at noon."""
    clock.now = NOW
    app.state.oidc = verifier(issuer)
    with httpx.Client(base_url=client.base_url, timeout=30, verify=UNTRUSTING) as stranger:
        yield stranger
    app.state.oidc = None


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


ORGANIZATION = {"name": "Harbour office", "kind": "other"}


def test_who_signs_on_writes_under_their_name(signed_on: httpx.Client, issuer: LocalIssuer) -> None:
    made = signed_on.post("/v1/organizations", json=ORGANIZATION, headers=bearer(issuer.token()))
    assert made.status_code == 201, made.text
    assert signed_on.get("/v1/organizations/harbour-office/revisions").json()["items"][0]["author"] == "oidc:u-17"
    assert signed_on.get("/v1/keys", headers=bearer(issuer.token(roles=["registry-admins"]))).status_code == 200
    refused = signed_on.get("/v1/keys", headers=bearer(issuer.token()))
    assert "oidc:u-17 has the role editor" in problem(signed_on, refused, 403)["detail"]
    assert refused.headers["www-authenticate"] == 'Bearer realm="concord", error="insufficient_scope"'


def test_without_a_role_one_may_do_what_anybody_may(signed_on: httpx.Client, issuer: LocalIssuer) -> None:
    nobody = bearer(issuer.token(roles=[]))
    assert signed_on.get("/v1/organizations", headers=nobody).status_code == 200
    body = problem(signed_on, signed_on.post("/v1/organizations", json=ORGANIZATION, headers=nobody), 403)
    assert "no role" in body["detail"]


@pytest.mark.usefixtures("private")
def test_without_a_role_one_reads_nothing_that_is_not_public(signed_on: httpx.Client, issuer: LocalIssuer) -> None:
    problem(signed_on, signed_on.get("/v1/organizations", headers=bearer(issuer.token(roles=[]))), 403)
    problem(signed_on, signed_on.get("/v1/organizations"), 401)
    assert signed_on.get("/v1/organizations", headers=bearer(issuer.token())).status_code == 200


def test_a_token_that_opens_nothing_is_answered_like_a_wrong_key(
    signed_on: httpx.Client, issuer: LocalIssuer, clock: Ticking
) -> None:
    token = issuer.token()
    assert signed_on.get("/v1/organizations", headers=bearer(token)).status_code == 200
    clock.now += timedelta(seconds=300 + LEEWAY)
    for sent in (token, issuer.token(aud="another"), "concord_x.y.z", "x"):
        refused = signed_on.get("/v1/organizations", headers=bearer(sent))
        assert "u-17" not in problem(signed_on, refused, 401)["detail"]
        assert refused.headers["www-authenticate"] == 'Bearer realm="concord", error="invalid_token"'
        assert sent not in refused.text or sent == "x"


def test_keys_go_on_beside_it_also_while_the_issuer_is_away(
    client: httpx.Client, signed_on: httpx.Client, issuer: LocalIssuer
) -> None:
    issuer.answers = {DISCOVERY: (503, {}, b"")}
    away = signed_on.get("/v1/organizations", headers=bearer(issuer.token()))
    assert problem(signed_on, away, 503)["type"] == "/problems/issuer-unavailable"
    assert away.headers["retry-after"] == "10"
    assert client.get("/v1/keys").status_code == 200
    assert signed_on.get("/v1/organizations").status_code == 200


def test_a_key_that_looks_like_a_token_is_a_key(
    signed_on: httpx.Client, issuer: LocalIssuer, database: Database
) -> None:
    secret = ".".join(("a-secret-of-the-form", "of-a-token", "0123456789"))
    database.write(lambda tx: keys.make(tx, "pointed", Role.admin, secret=secret), TESTER)
    assert signed_on.get("/v1/keys", headers=bearer(secret)).status_code == 200
    assert not issuer.asked


def test_a_live_stream_ends_when_its_token_does(
    client: httpx.Client, signed_on: httpx.Client, issuer: LocalIssuer, clock: Ticking
) -> None:
    headers = bearer(issuer.token()) | {"Accept": "text/event-stream"}
    with signed_on.stream("GET", "/v1/changes", headers=headers, timeout=20) as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry")
        clock.now += timedelta(seconds=300 + LEEWAY)
        client.post("/v1/organizations", json=ORGANIZATION)
        assert [line for line in lines if line.startswith("data")] == []


def test_without_an_issuer_a_token_is_a_wrong_key(client: httpx.Client, issuer: LocalIssuer) -> None:
    problem(client, client.get("/v1/organizations", headers=bearer(issuer.token())), 401)
    assert not issuer.asked


def test_what_the_operator_sets_is_what_holds_and_what_the_description_says(
    tmp_path: Path, issuer: LocalIssuer
) -> None:
    given = {
        "DATABASE_URL": f"sqlite:///{tmp_path / 'unused.db'}", "PUBLIC_READ": "false", "OIDC_ISSUER": issuer.url,
        "OIDC_AUDIENCE": "here", "OIDC_ROLES": "registry-editors:reviewer", "OIDC_ROLES_CLAIM": "groups",
        "OIDC_NAME_CLAIM": "email", "OIDC_ALGORITHMS": "ES256",
    }  # fmt: skip
    app = create_app(Settings.from_environment({f"CONCORD_{name}": value for name, value in given.items()}))
    app.state.database.close()
    claims: dict[str, Any] = {
        "aud": "here",
        "groups": ["registry-editors"],
        "roles": None,
        "email": "maria@example.org",
    }
    assert find(app.state.oidc, issuer.token("p256-1", **claims)) == Caller("oidc:maria@example.org", Role.reviewer)
    assert find(app.state.oidc, issuer.token("rsa-1", **claims)) is None
    document = app.openapi()
    assert document["components"]["securitySchemes"]["oidc"]["openIdConnectUrl"] == issuer.url + DISCOVERY
    listing = document["paths"]["/v1/organizations"]["get"]
    assert listing["security"] == [{"key": []}, {"oidc": []}]
    assert "403" in listing["responses"]
