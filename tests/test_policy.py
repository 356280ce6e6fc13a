"""Until there are keys, only this machine writes, and no page of another site makes it write."""

from __future__ import annotations

import httpx
import pytest

from app.api.deps import FORWARDED
from app.auth import policy
from app.kit.errors import Forbidden


@pytest.mark.parametrize(
    ("address", "host", "origin"),
    [
        ("127.0.0.1", "127.0.0.1:8000", None),
        ("::1", "[::1]:8000", None),
        ("127.0.0.1", "localhost", "http://localhost:8000"),
        ("127.0.0.1", "127.0.0.1", "http://[::1]:8000"),
    ],
)
def test_this_machine_may_write(address: str, host: str, origin: str | None) -> None:
    assert policy.writer(policy.Caller(address, host, origin), "why").reason == "why"


@pytest.mark.parametrize(
    ("address", "host", "origin"),
    [
        ("192.0.2.7", "127.0.0.1", None),
        (None, "127.0.0.1", None),
        ("127.0.0.1", "rebound.example", None),
        ("127.0.0.1", "", None),
        ("127.0.0.1", "127.0.0.1", "https://other.example"),
        ("127.0.0.1", "127.0.0.1", "null"),
        ("127.0.0.1", "127.0.0.1", "http://127.0.0.1.other.example"),
        ("127.0.0.1", "127.0.0.1", "http://[broken"),
    ],
)
def test_nobody_else_may(address: str | None, host: str, origin: str | None) -> None:
    with pytest.raises(Forbidden):
        policy.writer(policy.Caller(address, host, origin), None)


def test_a_form_of_another_site_restores_nothing(client: httpx.Client) -> None:
    made = client.post("/v1/organizations", json={"name": "Harbour office", "kind": "other"}).json()
    path = f"/v1/organizations/{made['slug']}"
    assert client.delete(path, headers={"If-Match": "*"}).status_code == 204
    refused = client.post(f"{path}/restore", data={"a": "b"}, headers={"Origin": "https://other.example"})
    assert refused.status_code == 403
    assert refused.headers["content-type"] == "application/problem+json"
    assert client.get(path).status_code == 410
    assert client.post(f"{path}/restore").status_code == 200


@pytest.mark.parametrize("header", FORWARDED)
def test_what_a_proxy_passes_on_is_not_this_machine(client: httpx.Client, header: str) -> None:
    made = {"name": "Harbour office", "kind": "other"}
    refused = client.post(
        "/v1/organizations", json=made, headers={header: "https" if "proto" in header else "192.0.2.7"}
    )
    assert refused.status_code == 403
    assert client.post("/v1/organizations", json=made).status_code == 201
