"""What the documents say is so: the README's request and answer, the table of filters, the dates."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

from app.api.v1 import RESOURCES
from app.kit import edtf
from app.kit.filters import ListQuery

ROOT = Path(__file__).parent.parent
README, HTTP, DATES = (ROOT / name for name in ("README.md", "docs/http.md", "docs/dates.md"))
MEANINGS = {"never": "9999-12-31"}


def test_the_request_in_the_readme_has_the_answer_in_the_readme(registry: httpx.Client) -> None:
    text = README.read_text()
    address = re.search(r"curl 'http://127\.0\.0\.1:8000(/[^']+)'", text)
    answer = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert address
    assert answer
    assert registry.get(address[1]).json() == json.loads(answer[1])


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.plural)
def test_every_filter_and_sort_is_in_the_table(resource: object) -> None:
    noun = next(r for r in RESOURCES if r is resource)
    row = next(line for line in HTTP.read_text().splitlines() if line.startswith(f"| {noun.plural} |"))
    _, _, filters, sorts, _ = row.split("|")
    names = set(re.findall(r"\w+", filters))
    for name, info in noun.query.model_fields.items():
        assert name in ListQuery.model_fields or (info.alias or name) in names
    assert {name.strip() for name in sorts.split(",")} - {""} == set(noun.sorts) - {"slug", "created_at", "updated_at"}


def test_every_form_of_a_date_in_the_documents_is_one() -> None:
    forms = re.findall(r"^\| (`.*?`) \|", DATES.read_text(), re.MULTILINE)
    dates = [
        date
        for form in forms
        for date in re.findall(r"`([^`]+)`", form)
        if date not in ("earliest", "begun", "ended", "latest")
    ]
    assert len(dates) > 15
    for date in dates:
        assert edtf.parse(date).text == date


def test_the_bounds_in_the_documents_are_the_bounds() -> None:
    rows = re.findall(
        r"^\| `(earliest|begun|ended|latest)`.*?\| (.*?) \| (.*?) \| (.*?) \|$", DATES.read_text(), re.MULTILINE
    )
    assert len(rows) == 4
    for bound, *days in rows:
        for text, day in zip(("2014", "2014/2016", "1999/.."), days, strict=True):
            assert str(getattr(edtf.parse(text), bound)) == MEANINGS.get(day, day)
