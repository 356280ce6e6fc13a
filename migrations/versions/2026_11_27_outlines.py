"""outlines: the shape of a document tells which of its fields hold something

No table changes. The shapes of records that are there follow behind it (`backfill.outline`), and whoever meets one that does not
tell reads the document, as the program before this one does.

Revision ID: 20261127_outlines
Revises: 20261126_proposals
"""

revision = '20261127_outlines'
down_revision = '20261126_proposals'
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
