"""What is on its way out: one table, from which the headers and OpenAPI are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime


@dataclass(frozen=True, slots=True)
class Deprecation:
    """An operation that is deprecated since a moment (RFC 9745), perhaps to be gone at another (RFC 8594), and the
    address of a page that says what to use instead. Moments are in UTC."""

    verb: str
    path: str  # as in OpenAPI: /v1/organizations/{organization_id}
    since: datetime
    page: str
    sunset: datetime | None = None

    def headers(self) -> dict[str, str]:
        """Deprecation is a structured date: `@` and seconds. Sunset is an HTTP date."""
        found = {"Deprecation": f"@{int(self.since.timestamp())}", "Link": f'<{self.page}>; rel="deprecation"'}
        return found | ({"Sunset": format_datetime(self.sunset, usegmt=True)} if self.sunset else {})


DEPRECATIONS: tuple[Deprecation, ...] = ()
"""Nothing is, yet."""

Table = Mapping[tuple[str, str], Deprecation]


def table(rows: Iterable[Deprecation]) -> Table:
    return {(row.verb, row.path): row for row in rows}
