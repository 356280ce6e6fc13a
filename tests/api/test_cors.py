"""A41: pages of other sites. What a browser would let them do follows from these headers and nothing else."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from app.kit import records
from tests.api.conftest import Make
from tests.support.asgi import ask, scope_of
from tests.support.wire import Answer

pytestmark = pytest.mark.parametrize("server", ["sqlite"], indirect=True)  # no database has a part in this
OURS, OTHER, EVIL = "https://app.example", "http://localhost:8080", "https://evil.example"
LIST = "/v1/organizations"
TOO_LONG = f"{LIST}?q={'a' * 40_000}"
ANSWERS = {
    200: LIST, 304: LIST, 400: f"{LIST}?x=1", 404: "/v1/organizations/none", 405: "/v1", 414: TOO_LONG, 422: f"{LIST}?limit=0",
}  # fmt: skip


def get(app: FastAPI, target: str, origin: str | None, method: str = "GET", **headers: str) -> Answer:
    named = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return asyncio.run(
        ask(app, scope_of(target, method=method, headers=[*named, *([("Origin", origin)] if origin else [])]))
    )


def allowed(answer: Answer) -> list[str]:
    """The values of Access-Control-Allow-Origin: a browser takes exactly one."""
    assert answer.header("access-control-allow-credentials") is None
    return [value for name, value in answer.headers if name == "access-control-allow-origin"]


def varies(answer: Answer) -> bool:
    return "origin" in ",".join(value for name, value in answer.headers if name == "vary").lower()


def test_nothing_is_said_to_pages_of_other_sites_unless_it_is_set(make: Make) -> None:
    app = make()
    for target in (LIST, "/none", "/docs"):
        for method in ("GET", "OPTIONS", "POST"):
            answer = get(app, target, OURS, method, Access_Control_Request_Method="GET")
            assert not [name for name, _ in answer.headers if name.startswith("access-control")]
            assert not varies(answer)


@pytest.mark.parametrize(
    ("origins", "origin", "told"),
    [
        ((OURS, OTHER), OURS, OURS), ((OURS, OTHER), OTHER, OTHER), ((OURS,), EVIL, None), ((OURS,), None, None),
        ((OURS,), "null", None), ((OURS,), f"{OURS}.evil.example", None), ((OURS,), "http://app.example", None),
        (("*",), EVIL, "*"), (("*",), None, "*"), (("*", OURS), OURS, OURS), (("*", OURS), EVIL, "*"),
    ],
)  # fmt: skip
def test_every_answer_says_who_may_read_it_and_that_it_depends_on_who_asks(
    make: Make, origins: tuple[str, ...], origin: str | None, told: str | None
) -> None:
    app = make(cors_origins=origins)
    tag = str(get(app, LIST, None).header("etag"))
    for status, target in ANSWERS.items():
        method, headers = ("DELETE" if status == 405 else "GET"), ({"If_None_Match": tag} if status == 304 else {})
        answer = get(app, target, origin, method, **headers)
        assert answer.status == status
        assert allowed(answer) == ([told] if told else []), status
        assert varies(answer), status
        assert ("RateLimit" in str(answer.header("access-control-expose-headers"))) == (told is not None)


def test_a_crash_and_a_refusal_for_asking_too_often_can_be_read_too(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make(cors_origins=(OURS,), rate_limit=1)
    monkeypatch.setattr(records, "browse", None)  # whatever it is: a fault of ours
    for status in (500, 429):
        answer = get(app, LIST, OURS)
        assert (answer.status, allowed(answer), varies(answer)) == (status, [OURS], True)
    assert "Retry-After" in str(answer.header("access-control-expose-headers"))


def test_a_listed_site_may_write_with_its_key_and_any_other_may_read_at_most(make: Make) -> None:
    app = make(cors_origins=(OURS, "*"))
    question = {"Access_Control_Request_Method": "PATCH", "Access_Control_Request_Headers": "authorization,if-match"}
    for target in (f"{LIST}/ilo", "/no/such/page"):
        answer = get(app, target, OURS, "OPTIONS", **question)
        assert (answer.status, allowed(answer), varies(answer)) == (204, [OURS], True)
        assert "PATCH" in str(answer.header("access-control-allow-methods"))
        assert {"Authorization", "If-Match", "Content-Type"} <= set(
            str(answer.header("access-control-allow-headers")).split(", ")
        )
        assert answer.header("access-control-max-age")
        answer = get(app, target, EVIL, "OPTIONS", **question)
        assert allowed(answer) == ["*"]
        assert answer.header("access-control-allow-methods") == "GET, HEAD"
        assert "Authorization" not in str(answer.header("access-control-allow-headers"))


def test_a_site_that_is_not_listed_gets_the_answer_to_any_options(make: Make) -> None:
    answer = get(make(cors_origins=(OURS,)), LIST, EVIL, "OPTIONS", Access_Control_Request_Method="POST")
    assert (answer.status, allowed(answer), varies(answer)) == (204, [], True)
    assert answer.header("allow") == "GET, HEAD, OPTIONS, POST"
    assert answer.header("access-control-allow-methods") is None


@pytest.mark.parametrize("origins", [(), (OURS,), ("*",)])
def test_reconciliation_is_open_to_all_and_says_so_once(make: Make, origins: tuple[str, ...]) -> None:
    app = make(cors_origins=origins)
    for target in ("/v1/reconcile", "/v1/reconcile?callback=x", "/v1/reconcile/preview?id=none"):
        for origin in (OURS, EVIL, None):
            assert allowed(get(app, target, origin)) == ["*"], target


def test_what_the_edge_says_survives_a_real_server(registry: httpx.Client) -> None:
    answer = registry.get(LIST, headers={"Origin": OURS})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers
