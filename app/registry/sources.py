"""Sources: the documents that facts are taken from, passage by passage."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.kit import edtf
from app.kit.db import FILTERED, SORTED, Base, Record, UtcDateTime, dated, folded, reference, vocabulary
from app.kit.search import Rank, texts_of
from app.kit.vocabularies import Vocabulary
from app.registry.organizations import Organization


class SourceKind(Vocabulary):
    """What sort of document a source is."""

    web_page = "web_page", "A page on the web."
    report = "report", "A report or study."
    meeting_document = "meeting_document", "A document of a meeting, with a symbol."
    agreement = "agreement", "The text of an agreement."
    press_release = "press_release", "An announcement to the press."
    dataset = "dataset", "A set of data."
    correspondence = "correspondence", "A letter or message."
    other = "other", "None of the above."


class SourcePassage(Base):
    """A sentence of a source: where it stands, its fingerprint, and its text where the document was given."""

    __tablename__ = "source_passage"

    source_id: Mapped[UUID] = mapped_column(sa.ForeignKey("source.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    section: Mapped[int]
    paragraph: Mapped[int]
    sentence: Mapped[int]
    fingerprint: Mapped[str] = mapped_column(sa.String(64), index=True)
    text: Mapped[str | None] = mapped_column(sa.Text)


class Source(Record):
    """A document, in one edition."""

    __tablename__ = "source"

    title: Mapped[str] = mapped_column(sa.String(500))
    title_key: Mapped[str] = folded("title")
    kind: Mapped[SourceKind] = mapped_column(vocabulary(SourceKind), info=FILTERED)
    publisher_id: Mapped[UUID | None] = reference(Organization)
    symbol: Mapped[str | None] = mapped_column(sa.String(100))
    url: Mapped[str | None] = mapped_column(sa.Text)
    language: Mapped[str | None] = mapped_column(sa.String(35))
    published: Mapped[edtf.Edtf | None] = dated("published", sort=True)
    retrieved: Mapped[datetime | None] = mapped_column(UtcDateTime, info=SORTED)
    replaces_id: Mapped[UUID | None] = reference("source")
    sha256: Mapped[str | None] = mapped_column(sa.String(64))

    passages: Mapped[list[SourcePassage]] = relationship(viewonly=True, order_by=SourcePassage.position)


texts = texts_of({"title": Rank.title, "symbol": Rank.acronym})
"""By what a source is found."""
