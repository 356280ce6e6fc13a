"""Sources over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from app.api.v1.evidence import CitableOut, CitableQuery, cited
from app.exchange.passages import MOST_PASSAGES, fingerprint
from app.kit.fields import (
    CommaSeparated,
    Distinct,
    EdtfDate,
    Key,
    Language,
    Moment,
    Note,
    Part,
    RecordIn,
    Title,
    WebAddress,
    Word,
)
from app.kit.filters import Equals, Overlaps, Refers, Windowed
from app.kit.resource import Reference, Resource
from app.kit.rules import acyclic
from app.registry import sources
from app.registry.citations import CitedNoun, evidence_of
from app.registry.sources import Source, SourceKind

Count = Annotated[int, Field(ge=0, le=100_000, strict=True)]
Sha256 = Annotated[
    str, Field(pattern=r"^[0-9a-f]{64}$", examples=["84505fa67f5398089c7c4588cc4449ad183bfb33891157cb6e73bbcc589cf509"])
]


class Passage(Part):
    """A sentence of the source: where it stands, its fingerprint, and its text where the document was given."""

    section: Count = Field(description="0: before the first heading.")
    paragraph: Count
    sentence: Count
    fingerprint: Sha256 = Field(description="SHA-256 of the sentence in normal form.")
    text: Note | None = None

    @model_validator(mode="after")
    def text_has_the_fingerprint(self) -> Self:
        if self.text is not None and fingerprint(self.text) != self.fingerprint:
            raise PydanticCustomError("fingerprint", "The fingerprint is not this text's")
        return self


def _one_place_each(passages: list[Any]) -> list[Any]:
    seen: set[tuple[int, int, int]] = set()
    for passage in passages:
        place = (passage.section, passage.paragraph, passage.sentence)
        if place in seen:
            raise PydanticCustomError("repeated", "Two passages stand at {place}", {"place": ".".join(map(str, place))})
        seen.add(place)
    return passages


EXAMPLE = {
    "title": "Collaboration and partnerships promoting the MNE Declaration, edition of 28 March 2024",
    "kind": "web_page",
    "publisher": "ilo",
    "language": "en",
    "published": "2024-03-28",
    "replaces": "mne-declaration-page",
}


class SourceIn(RecordIn, json_schema_extra={"examples": [EXAMPLE]}):
    """A source as it is written, with its passages."""

    title: Title
    kind: SourceKind
    publisher: Annotated[Key, Reference()] | None = None
    symbol: Word | None = Field(default=None, description="A document's symbol.", examples=["GB.322/POL/8"])
    url: WebAddress | None = None
    language: Language | None = Field(default=None, description="BCP 47 language tag.")
    published: EdtfDate | None = None
    retrieved: Moment | None = Field(default=None, description="When it was read; RFC 3339 with zone.")
    replaces: Annotated[Key, Reference()] | None = Field(default=None, description="The earlier edition.")
    sha256: Sha256 | None = Field(default=None, description="Of the bytes that were read.")
    passages: Annotated[list[Passage], AfterValidator(_one_place_each)] = Field(default=[], max_length=MOST_PASSAGES)


class SourceOut(CitableOut, SourceIn):
    """A source."""


class SourceQuery(CitableQuery, Windowed):
    """Which sources. The window asks when they were published."""

    span = Overlaps(Source, "published")

    kind: Annotated[list[SourceKind] | None, CommaSeparated, Distinct, Equals(Source.kind)] = None
    publisher: Annotated[Key | None, Refers(Source.publisher_id)] = None
    replaces: Annotated[Key | None, Refers(Source.replaces_id)] = None


RESOURCE = Resource(
    name="source",
    plural="sources",
    model=Source,
    write=SourceIn,
    read=SourceOut,
    query=SourceQuery,
    sorts={
        "slug": Source.slug,
        "title": Source.title_key,
        "published": Source.published,
        "retrieved": Source.retrieved,
        "created_at": Source.created_at,
        "updated_at": Source.updated_at,
    },
    titled=lambda data: data.symbol or data.title,
    texts=sources.texts,
    rules=(acyclic(Source.replaces_id, "replaces"),),
    computed=(evidence_of(CitedNoun.sources),),
    collected=cited(CitedNoun.sources),
)
