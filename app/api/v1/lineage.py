"""What every list with the filter `organization` says of where that organization came from."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from app.kit.db import Transaction
from app.kit.fields import Flag, Key
from app.kit.filters import ListQuery
from app.registry.successions import events_behind


class LineageQuery(ListQuery):
    """How a list goes back in the lineage of an organization."""

    lineage: Flag = Field(
        default=False,
        description="With `organization`: also what its predecessors did, at any distance. The answer says under `lineage` "
        "through which events it came from them.",
    )

    organization: Key | None = None  # which column it asks is the list's to say

    def beside(self, tx: Transaction) -> dict[str, Any]:
        return {"lineage": events_behind(tx, self.organization)} if self.lineage and self.organization else {}
