"""Tables: rows of Markdown, and how they say whether something is as it must be."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""What prints a line."""


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def mark(well: bool) -> str:  # noqa: FBT001  # it is all that it shows
    return "✓" if well else "✗"
