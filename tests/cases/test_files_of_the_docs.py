"""A59: what has been wrong in servers of static files and in readers of forms: folders beside, Range, very many fields."""

from __future__ import annotations

import httpx
import pytest

from tests.cases.refusals import refused
from tests.support import costs
from tests.support.wire import Wire

ASSET = "/docs/assets/swagger-ui-bundle.js"
SECONDS = 1.0
"""On a machine that does other things as well; what is quadratic takes many times that."""


@pytest.mark.parametrize(
    "path",
    [
        "/docs/assets/../__init__.py", "/docs/assets/%2e%2e/__init__.py", "/docs/assets/..%2f__init__.py",
        "/docs/assets/....//__init__.py", "/docs/assets/..\\__init__.py", "/docs/assets/%2e%2e%5c__init__.py",
        "/docs/assets//etc/passwd", "/docs/assets../static1.txt", "/docs/assets/", "/docs/assets",
    ],
)  # fmt: skip
def test_a59_nothing_beside_the_files_of_the_docs_can_be_read(wire: Wire, path: str) -> None:
    refused(wire.request("GET", path), 404, "not-found")


def test_a59_many_ranges_cost_no_more_than_few(wire: Wire) -> None:
    for ranges in ("0-0," * 7_000, ",".join(f"{n}-{n}" for n in range(3_000)), "-" * 30_000, ",".join(["0-"] * 9_000)):
        with costs.within(SECONDS):
            answer = wire.request("GET", ASSET, headers=[("Range", f"bytes={ranges}")])
        assert answer.status in (200, 206, 400, 416), answer.status
    assert wire.request("GET", ASSET, headers=[("Range", "bytes=0-9")]).status == 206


def test_a59_a_form_of_very_many_fields_is_refused_in_no_time(client: httpx.Client, wire: Wire) -> None:
    body = "&".join(f"a{n}=" for n in range(100_000)).encode()
    form = [("Content-Type", "application/x-www-form-urlencoded")]
    with costs.within(3 * SECONDS):
        refused(wire.request("POST", "/v1/reconcile", headers=form, body=body), 400, "malformed-request")
        refused(wire.request("POST", "/v1/organizations", headers=form, body=body), 415, "unsupported-media-type")
        refused(wire.request("POST", "/v1/reconcile", headers=form, body=body * 2), 413, "body-too-large")
