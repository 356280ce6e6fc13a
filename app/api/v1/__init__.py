"""Version 1: one file per noun, and this list of them."""

from __future__ import annotations

from app.api.v1 import (
    citations,
    collaboration_types,
    collaborations,
    instruments,
    milestones,
    organizations,
    reviews,
    sources,
    successions,
)

RESOURCES = (
    organizations.RESOURCE,
    collaboration_types.RESOURCE,
    instruments.RESOURCE,
    collaborations.RESOURCE,
    milestones.RESOURCE,
    sources.RESOURCE,
    citations.RESOURCE,
    reviews.RESOURCE,
    successions.RESOURCE,
)
