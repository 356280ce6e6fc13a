"""Verification: what a newer text of a source means for the citations of it, and taking that text in as a new edition."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from pydantic_core import PydanticCustomError

from app.exchange import pages, passages
from app.exchange.drift import Comparison, Finding, Old, Place, Verdict, compare, verdict_of
from app.exchange.passages import MOST_PASSAGES, Document, DocumentError, Passage
from app.kit import records
from app.kit.db import Transaction, table_of
from app.kit.errors import Conflict
from app.kit.fields import NOTE_LENGTH
from app.kit.resource import Resource
from app.kit.text import SLUG_LENGTH, clean_prose
from app.registry.citations import CITATION, Citation, CitationPassage
from app.registry.sources import Source

Resources = Mapping[str, Resource[Any]]
PLACE = ("section", "paragraph", "sentence")
CARRIED = ("field", "stated_value", "support", "note", "target")
"""What a citation of the newer edition has from the one of the older."""
DESCRIBED = ("title", "kind", "publisher", "symbol", "url", "language")
"""What a newer edition has from the older one, until somebody says otherwise."""
TEXT = "text/plain"


def read(data: bytes, media_type: str) -> Document:
    """The document in `data`, a plain text or a page of HTML. Raises DocumentError."""
    document = pages.read(data) if media_type == pages.MEDIA_TYPE else passages.read(data)
    if len(document.passages) > MOST_PASSAGES:
        raise DocumentError(f"The text has {len(document.passages)} sentences; a source has {MOST_PASSAGES} at most.")
    return document


@dataclass(frozen=True, slots=True)
class Cited:
    """A citation of the source, and the places that it names."""

    slug: str
    document: Mapping[str, Any]
    places: Sequence[Place]


@dataclass(frozen=True, slots=True)
class Verification:
    """What became of each citation, and the passages that nothing cites."""

    source: str
    citations: Sequence[tuple[Cited, Verdict, float | None, Sequence[Finding]]]
    comparison: Comparison

    def shown(self, accepted: str | None = None) -> dict[str, Any]:
        """As it is answered."""
        counted = Counter(str(verdict) for _, verdict, _, _ in self.citations)
        return {
            "source": self.source,
            "summary": {str(verdict): counted[verdict] for verdict in Verdict} | {"uncited": len(self.comparison.uncited)},
            "citations": [
                {
                    "citation": cited.slug, "target": cited.document["target"], "field": cited.document["field"],
                    "verdict": verdict, "was": [_shown(place) for place in cited.places],
                    "now": [_shown(finding.now) for finding in findings if finding.now is not None],
                    "similarity": similarity,
                }
                for cited, verdict, similarity, findings in self.citations
            ],
            "uncited": [_shown((p.section, p.paragraph, p.sentence)) | {"text": p.text} for p in self.comparison.uncited],
            "accepted": accepted,
        }  # fmt: skip


def _shown(place: Place) -> dict[str, Any]:
    return dict(zip(PLACE, place, strict=True))


def verify(tx: Transaction, nouns: Resources, source: str, newer: Document) -> Verification:
    """How the citations of a source stand in a newer text of it. Raises NotFound, Gone."""
    stored = records.fetch(tx, nouns["sources"], source)
    older = [_old(passage) for passage in msgspec.json.decode(stored.body)["passages"]]
    cited = _citations(tx, stored.id)
    comparison = compare(older, newer, {place for each in cited for place in each.places})
    found = []
    for each in cited:
        findings = [comparison.findings.get(place) or Finding(Verdict.gone, place, None, None) for place in each.places]
        found.append((each, *verdict_of(findings), findings))
    return Verification(stored.slug, found, comparison)


def _old(passage: Mapping[str, Any]) -> Old:
    return Old((passage["section"], passage["paragraph"], passage["sentence"]), passage["fingerprint"], passage["text"])


def _citations(tx: Transaction, source: UUID) -> list[Cited]:
    place = table_of(CitationPassage).c
    statement = (
        sa.select(CITATION.slug, CITATION.document, place.section, place.paragraph, place.sentence)
        .select_from(table_of(Citation).outerjoin(table_of(CitationPassage), place.citation_id == CITATION.id))
        .where(CITATION.source_id == source, CITATION.withdrawn_at.is_(None))
        .order_by(CITATION.slug, place.position)
    )
    documents: dict[str, str] = {}
    places: dict[str, list[Place]] = defaultdict(list)
    for row in tx.execute(statement):
        documents[row.slug] = row.document
        if row.section is not None:
            places[row.slug].append((row.section, row.paragraph, row.sentence))
    return [Cited(slug, msgspec.json.decode(text), places[slug]) for slug, text in documents.items()]


# --- a new edition ----------------------------------------------------------------------------------------------------


def accept(tx: Transaction, nouns: Resources, source: str, newer: Document, published: str | None) -> dict[str, Any]:
    """Take the newer text in: a source that replaces the older one, and a citation of it for each that holds or moved.
    Nothing else is touched, the older edition and its citations neither. All or nothing; answers the verification.
    Raises NotFound, Gone, Invalid, Conflict (this text is there already)."""
    verification = verify(tx, nouns, source, newer)
    older = records.locate(tx, nouns["sources"], source, to_write=True)
    _insist_on_news(tx, older.id, newer.sha256)
    edition = records.create(
        tx, nouns["sources"], records.validated(nouns["sources"], _edition(tx, older, newer, published)),
        slug=_free(tx, nouns["sources"], f"{older.slug[: SLUG_LENGTH - 15]}-{tx.today}"),
    )  # fmt: skip
    for cited, verdict, _, findings in verification.citations:
        if verdict in (Verdict.holds, Verdict.moved):
            values = {name: cited.document[name] for name in CARRIED} | {
                "source": edition.slug, "passages": [_shown(f.now) for f in findings if f.now is not None],
            }  # fmt: skip
            records.create(tx, nouns["citations"], records.validated(nouns["citations"], values))
    return verification.shown(edition.slug)


def _insist_on_news(tx: Transaction, older: UUID, sha256: str) -> None:
    table = table_of(Source)
    same = sa.select(table.c.slug).where(
        sa.or_(table.c.id == older, table.c.replaces_id == older),
        table.c.sha256 == sha256,
        table.c.withdrawn_at.is_(None),
    )
    if (slug := tx.execute(same.order_by(table.c.slug).limit(1)).scalar()) is not None:
        raise Conflict(f"The source {slug!r} is this very text.", existing=slug)


def _edition(tx: Transaction, older: Any, newer: Document, published: str | None) -> dict[str, Any]:
    document = msgspec.json.decode(older.document)
    return {name: document[name] for name in DESCRIBED} | {
        "published": published, "retrieved": tx.now.astimezone(UTC).isoformat(), "replaces": older.slug,
        "sha256": newer.sha256, "passages": list(_passages(newer.passages)),
    }  # fmt: skip


def _passages(read: Iterable[Passage]) -> Iterable[dict[str, Any]]:
    for passage in read:
        place = _shown((passage.section, passage.paragraph, passage.sentence))
        yield place | {"fingerprint": passage.fingerprint, "text": _kept(passage)}


def _kept(passage: Passage) -> str | None:
    """The text of a passage, if the registry can hold it as it is; its fingerprint stands in any case."""
    try:
        text = clean_prose(passage.text)
    except PydanticCustomError:
        return None
    return text if len(text) <= NOTE_LENGTH and passages.fingerprint(text) == passage.fingerprint else None


def _free(tx: Transaction, sources: Resource[Any], slug: str) -> str:
    """The slug, numbered where it is taken."""
    n, free = 1, slug
    while records.exists(tx, sources.table, free):
        n += 1
        free = f"{slug}-{n}"
    return free
