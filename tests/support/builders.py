"""One builder per noun: valid with no arguments; what a record refers to is created over HTTP on the way.

organization(client, country="CH")  # the stored record
organization.draft(client)          # a body that POST takes
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from app.exchange.passages import fingerprint

Json = dict[str, Any]
Draft = Callable[[httpx.Client, Mapping[str, Any]], Json]
Fields = Callable[[str], Json]

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Builder:
    """How records of a noun are made, and what the contract's tests may do to them."""

    plural: str
    _draft: Draft
    title: str | None
    """The field that a slug is derived from, and a text of any value; None where no such field is."""
    change: Json
    """A field that any record takes, with a value that no draft has."""
    optional: Json
    """A field that a record may lack, with a value."""
    required: str
    """A field that no record may lack."""

    @property
    def path(self) -> str:
        return f"/v1/{self.plural}"

    def draft(self, client: httpx.Client, **given: Any) -> Json:
        """A valid body with `given` in it."""
        return self._draft(client, given) | given

    def __call__(self, client: httpx.Client, **given: Any) -> Json:
        """The stored record, as its creation answered it."""
        answer = client.post(self.path, json=self.draft(client, **given))
        assert answer.status_code == 201, answer.text
        stored: Json = answer.json()
        return stored

    def at(self, record: Mapping[str, Any] | str) -> str:
        """The path of a record."""
        return f"{self.path}/{record if isinstance(record, str) else record['slug']}"


def _named(field: str, noun: str, **more: Any) -> Draft:
    def draft(_client: httpx.Client, _given: Mapping[str, Any]) -> Json:
        return {field: f"{noun} {next(_NUMBERS)}", **more}

    return draft


def _slug_of(builder: Builder, client: httpx.Client) -> str:
    slug: str = builder(client)["slug"]
    return slug


def _collaboration(client: httpx.Client, given: Mapping[str, Any]) -> Json:
    kind = {} if "type" in given else {"type": _slug_of(collaboration_type, client)}
    return {"title": f"Collaboration {next(_NUMBERS)}", **kind}


def _milestone(client: httpx.Client, given: Mapping[str, Any]) -> Json:
    subjects = ("collaboration", "instrument", "organization")
    subject = {} if any(name in given for name in subjects) else {"organization": _slug_of(organization, client)}
    return {"title": f"Milestone {next(_NUMBERS)}", "kind": "session", "status": "met", **subject}


def _citation(client: httpx.Client, given: Mapping[str, Any]) -> Json:
    draft: Json = {"support": "states"}
    if "source" not in given:
        draft["source"] = _slug_of(source, client)
    if "target" not in given:
        draft["target"] = {"noun": "organizations", "record": _slug_of(organization, client)}
    return draft


def _succession(client: httpx.Client, given: Mapping[str, Any]) -> Json:
    draft: Json = {"kind": "rename"}
    for name in ("predecessors", "successors"):
        if name not in given:
            draft[name] = [_slug_of(organization, client)]
    return draft


organization = Builder(
    "organizations",
    _named("name", "Organization", kind="other"),
    title="name",
    change={"description": "Described later."},
    optional={"url": "https://organization.example/about"},
    required="name",
)
collaboration_type = Builder(
    "collaboration-types",
    _named("label", "Type"),
    title="label",
    change={"exact_matches": ["https://concepts.example/later"]},
    optional={"definition": "What it is."},
    required="label",
)
instrument = Builder(
    "instruments",
    _named("title", "Instrument", kind="declaration"),
    title="title",
    change={"description": "Described later."},
    optional={"adopted": "1977"},
    required="kind",
)
collaboration = Builder(
    "collaborations",
    _collaboration,
    title="title",
    change={"summary": "Summed up later."},
    optional={"period": "1999/.."},
    required="type",
)
milestone = Builder(
    "milestones",
    _milestone,
    title="title",
    change={"place": "Geneva"},
    optional={"date": "2014-12"},
    required="status",
)
source = Builder(
    "sources",
    _named("title", "Source", kind="web_page"),
    title="title",
    change={"url": "https://source.example/later"},
    optional={"retrieved": "2026-02-01T08:30:00Z"},
    required="title",
)
citation = Builder(
    "citations",
    _citation,
    title=None,
    change={"field": "/name"},
    optional={"note": "Read twice."},
    required="support",
)
review = Builder(
    "reviews",
    _named("title", "Review", status="held"),
    title="title",
    change={"decision": "Decided later."},
    optional={"session": "322nd session"},
    required="status",
)

succession = Builder(
    "successions",
    _succession,
    title=None,
    change={"note": "Noted later."},
    optional={"date": "2006"},
    required="kind",
)

NOUNS: dict[str, Builder] = {
    builder.plural: builder
    for builder in (
        organization,
        collaboration_type,
        instrument,
        collaboration,
        milestone,
        source,
        citation,
        review,
        succession,
    )
}


def passage(section: int, paragraph: int, sentence: int, text: str) -> Json:
    """A passage of a source, with its fingerprint."""
    place = {"section": section, "paragraph": paragraph, "sentence": sentence}
    return {**place, "fingerprint": fingerprint(text), "text": text}


def together(client: httpx.Client, builder: Builder, drafts: Iterable[Json]) -> list[Json]:
    """Records that are created in one transaction, and so at one moment."""
    operations = [{"verb": "create", "noun": builder.plural, "body": draft} for draft in drafts]
    answer = client.post("/v1/batch", json={"operations": operations})
    assert answer.status_code == 200, answer.text
    return [client.get(builder.at(result["slug"])).json() for result in answer.json()["results"]]


def withdraw(client: httpx.Client, builder: Builder, record: Mapping[str, Any], reason: str | None = None) -> None:
    """Take a record out, whatever version it has."""
    headers = {"If-Match": "*"} | ({"Change-Reason": reason} if reason else {})
    answer = client.delete(builder.at(record["slug"]), headers=headers)
    assert answer.status_code == 204, answer.text


def patch(client: httpx.Client, builder: Builder, record: Mapping[str, Any], **fields: Any) -> Json:
    """Change fields of a record, whatever version it has; the record as it is then."""
    answer = client.patch(builder.at(record["slug"]), json=fields, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text
    changed: Json = answer.json()
    return changed
