"""Milestones over HTTP."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.api.v1.evidence import CitableOut, CitableQuery, cited
from app.api.v1.lineage import LineageQuery
from app.kit.fields import CommaSeparated, Distinct, EdtfDate, Key, Name, Prose, RecordIn, Title, WebAddress
from app.kit.filters import Equals, Overlaps, Refers, Windowed
from app.kit.resource import Reference, Resource
from app.registry import milestones
from app.registry.citations import CitedNoun, evidence_of
from app.registry.milestones import Milestone, MilestoneKind, MilestoneStatus
from app.registry.successions import lineage_of

EXAMPLE = {
    "title": "Launch of the project",
    "kind": "launch",
    "collaboration": "responsible-supply-chains-asia",
    "status": "met",
}


class MilestoneIn(RecordIn, json_schema_extra={"examples": [EXAMPLE]}):
    """A milestone as it is written. It belongs to a collaboration, an instrument or an organization, or to several."""

    title: Title
    kind: MilestoneKind
    collaboration: Annotated[Key, Reference()] | None = None
    instrument: Annotated[Key, Reference()] | None = None
    organization: Annotated[Key, Reference()] | None = None
    date: EdtfDate | None = Field(default=None, description="When it happened. Empty: not stated.")
    due: EdtfDate | None = Field(default=None, description="When it was promised for.")
    status: MilestoneStatus
    description: Prose | None = None
    place: Name | None = None
    url: WebAddress | None = None

    @model_validator(mode="after")
    def has_a_subject(self) -> Self:
        if self.collaboration is None and self.instrument is None and self.organization is None:
            raise PydanticCustomError(
                "no_subject", "A milestone belongs to a collaboration, an instrument or an organization"
            )
        return self


class MilestoneOut(CitableOut, MilestoneIn):
    """A milestone."""


class MilestoneQuery(LineageQuery, CitableQuery, Windowed):
    """Which milestones. The window asks when they happened."""

    span = Overlaps(Milestone, "date")

    kind: Annotated[list[MilestoneKind] | None, CommaSeparated, Distinct, Equals(Milestone.kind)] = None
    status: Annotated[list[MilestoneStatus] | None, CommaSeparated, Distinct, Equals(Milestone.status)] = None
    collaboration: Annotated[Key | None, Refers(Milestone.collaboration_id)] = None
    instrument: Annotated[Key | None, Refers(Milestone.instrument_id)] = None
    organization: Annotated[Key | None, Refers(Milestone.organization_id, lineage=lineage_of)] = None


RESOURCE = Resource(
    name="milestone",
    plural="milestones",
    model=Milestone,
    write=MilestoneIn,
    read=MilestoneOut,
    query=MilestoneQuery,
    sorts={
        "slug": Milestone.slug,
        "title": Milestone.title_key,
        "date": Milestone.date,
        "due": Milestone.due,
        "created_at": Milestone.created_at,
        "updated_at": Milestone.updated_at,
    },
    titled=lambda data: data.title,
    texts=milestones.texts,
    computed=(evidence_of(CitedNoun.milestones),),
    collected=cited(CitedNoun.milestones),
)
