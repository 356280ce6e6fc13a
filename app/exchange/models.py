"""Every table that is no noun's, imported: migrations and the doctor compare the database with all that the program knows.

(The nouns' own come with `app.api.v1`, which lists them.)
"""

from __future__ import annotations

from app.auth import keys  # noqa: F401
from app.kit import repeats, revisions, search  # noqa: F401
from app.registry import merges, proposals  # noqa: F401
