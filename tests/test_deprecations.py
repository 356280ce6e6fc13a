"""Deprecated operations say so: in headers (RFC 9745, RFC 8594) and in OpenAPI, from one table."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from app.api.deprecations import Deprecation
from app.kit import migrations
from app.main import create_app
from app.settings import MIGRATIONS, Settings
from tests.conftest import serving

OLD = Deprecation(
    verb="GET",
    path="/v1/organizations",
    since=datetime(2026, 1, 1, tzinfo=UTC),
    sunset=datetime(2027, 6, 30, 12, tzinfo=UTC),
    page="/docs",
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = f"sqlite:///{tmp_path_factory.mktemp('old')}/registry.db"
    migrations.migrate(made, MIGRATIONS)
    return made


def test_a_deprecated_operation_carries_its_dates_and_a_page_that_says_more(url: str) -> None:
    with serving(create_app(Settings(database_url=url), deprecated=[OLD])) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/organizations", timeout=30)
        document = httpx.get(f"http://127.0.0.1:{port}/openapi.json", timeout=30).json()
    assert answer.headers["deprecation"] == "@1767225600"
    assert answer.headers["sunset"] == "Wed, 30 Jun 2027 12:00:00 GMT"
    assert '</docs>; rel="deprecation"' in answer.headers.get_list("link")
    assert document["paths"]["/v1/organizations"]["get"]["deprecated"] is True
    assert "deprecated" not in document["paths"]["/v1/organizations"]["post"]


def test_other_operations_carry_nothing_of_it(url: str) -> None:
    with serving(create_app(Settings(database_url=url), deprecated=[OLD])) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/v1/instruments", timeout=30)
    assert answer.status_code == 200
    assert not {"deprecation", "sunset", "link"} & set(answer.headers)
