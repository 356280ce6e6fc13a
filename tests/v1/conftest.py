"""The registry that each of these tests begins with."""

from tests.support.databases import database, emptied

__all__ = ["database", "emptied"]
