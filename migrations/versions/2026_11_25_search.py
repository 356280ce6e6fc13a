"""search: the texts of every record, and the index of their words

Revision ID: 20261125_search
Revises: 20261125_review_intervals
"""

import sqlalchemy as sa
from alembic import op

revision = '20261125_search'
down_revision = '20261125_review_intervals'
branch_labels = None
depends_on = None

SQLITE = ["CREATE VIRTUAL TABLE search_index USING fts5(words, tokenize = 'ascii', prefix = '2 3')"]
# Names and longer texts apart, so that the planner knows how often a word is in each. New rows wait in a list that every search
# reads: a short one.
POSTGRESQL = [
    "CREATE TABLE search_index (rowid BIGINT CONSTRAINT pk_search_index PRIMARY KEY, words TSVECTOR NOT NULL) "
    "PARTITION BY RANGE (rowid)",
    f"CREATE TABLE search_index_names PARTITION OF search_index FOR VALUES FROM (MINVALUE) TO ({5 << 60})",
    f"CREATE TABLE search_index_texts PARTITION OF search_index FOR VALUES FROM ({5 << 60}) TO (MAXVALUE)",
    *(
        f"CREATE INDEX ix_search_index_{part}_words ON search_index_{part} USING gin (words) WITH (gin_pending_list_limit = 256)"
        for part in ("names", "texts")
    ),
]


def upgrade() -> None:
    op.create_table('search_text',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('noun', sa.String(length=40), nullable=False),
    sa.Column('record_id', sa.Uuid(), nullable=False),
    sa.Column('key', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_search_text'))
    )
    with op.batch_alter_table('search_text', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_search_text_key'), ['key', 'noun'], unique=False)
        batch_op.create_index(batch_op.f('ix_search_text_record_id'), ['record_id'], unique=False)
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE search_index")
    op.drop_table('search_text')
