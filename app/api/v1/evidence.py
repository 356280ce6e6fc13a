"""What every citable noun says of its evidence, and how its lists ask for it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from app.kit.fields import Flag, Key, Part, Pointer, RecordOut, Slug
from app.kit.filters import ListQuery
from app.kit.resource import Collected
from app.registry.citations import CitedFrom, CitedNoun, Contradicted, Uncited, citations_of


class Evidence(Part):
    """How a record is covered by citations. What contradicts it does not count here."""

    cited_fields: list[Pointer] = Field(
        default=[], description="Fields that a citation stands for; the empty pointer is the record as a whole."
    )
    citable_fields: list[Pointer] = Field(default=[], description="Fields that hold something that could be cited for.")
    sources: list[Slug] = Field(default=[], description="The sources cited.")
    oldest_retrieved: datetime | None = Field(default=None, description="When the one that was read first was read.")


class CitableOut(RecordOut):
    """What a noun answers that citations may be for."""

    evidence: Evidence = Field(default=Evidence(), description="Computed on each reading.")


class CitableQuery(ListQuery):
    """How lists of such a noun ask for evidence."""

    uncited: Annotated[Flag | None, Uncited()] = Field(
        default=None, description="`true`: records for which nothing is cited; `false`: those for which something is."
    )
    source: Annotated[Key | None, CitedFrom()] = Field(
        default=None, description="A source that is cited for the record."
    )
    contradicted: Annotated[Flag | None, Contradicted()] = Field(
        default=None, description="`true`: records that some passage contradicts; `false`: the others."
    )


def cited(noun: CitedNoun) -> dict[str, tuple[str, Collected]]:
    """What `include` may add to records of a citable noun."""
    return {"citations": ("citation", citations_of(noun))}
