"""The registry: every noun, the history and the clock

Revision ID: 20261125_registry
Revises: 
"""

import sqlalchemy as sa
from alembic import op

revision = '20261125_registry'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('clock',
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('seq', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_clock'))
    )
    op.execute("INSERT INTO clock (id, seq) VALUES (1, 0)")
    op.create_table('collaboration_type',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('slug', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('label', sa.String(length=255), nullable=False),
    sa.Column('label_key', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('labels', sa.JSON(), nullable=False),
    sa.Column('definition', sa.Text(), nullable=True),
    sa.Column('broader_id', sa.Uuid(), nullable=True),
    sa.Column('exact_matches', sa.JSON(), nullable=False),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('claim', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=True),
    sa.Column('shape', sa.String(length=8), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['broader_id'], ['collaboration_type.id'], name=op.f('fk_collaboration_type_broader_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_collaboration_type')),
    sa.UniqueConstraint('claim', name=op.f('uq_collaboration_type_claim')),
    sa.UniqueConstraint('slug', name=op.f('uq_collaboration_type_slug')),
    info={'noun': 'collaboration-types'}
    )
    with op.batch_alter_table('collaboration_type', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_collaboration_type_broader_id'), ['broader_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_collaboration_type_created_at'), ['created_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_collaboration_type_label_key'), ['label_key', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_collaboration_type_updated_at'), ['updated_at', 'id'], unique=False)

    op.create_table('organization',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('slug', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('name_key', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('acronym', sa.String(length=100), nullable=True),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.Column('part_of_id', sa.Uuid(), nullable=True),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('country', sa.String(length=2), nullable=True),
    sa.Column('founded_edtf', sa.String(length=64), nullable=True),
    sa.Column('founded_earliest', sa.Date(), nullable=True),
    sa.Column('founded_begun', sa.Date(), nullable=True),
    sa.Column('founded_ended', sa.Date(), nullable=True),
    sa.Column('founded_latest', sa.Date(), nullable=True),
    sa.Column('dissolved_edtf', sa.String(length=64), nullable=True),
    sa.Column('dissolved_earliest', sa.Date(), nullable=True),
    sa.Column('dissolved_begun', sa.Date(), nullable=True),
    sa.Column('dissolved_ended', sa.Date(), nullable=True),
    sa.Column('dissolved_latest', sa.Date(), nullable=True),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('claim', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=True),
    sa.Column('shape', sa.String(length=8), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['part_of_id'], ['organization.id'], name=op.f('fk_organization_part_of_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_organization')),
    sa.UniqueConstraint('claim', name=op.f('uq_organization_claim')),
    sa.UniqueConstraint('slug', name=op.f('uq_organization_slug')),
    info={'noun': 'organizations'}
    )
    with op.batch_alter_table('organization', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_organization_country'), ['country', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_organization_created_at'), ['created_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_organization_founded_earliest'), ['founded_earliest', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_organization_kind'), ['kind', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_organization_name_key'), ['name_key', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_organization_part_of_id'), ['part_of_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_organization_updated_at'), ['updated_at', 'id'], unique=False)

    op.create_table('revision',
    sa.Column('seq', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('noun', sa.String(length=40), nullable=False),
    sa.Column('record_id', sa.Uuid(), nullable=False),
    sa.Column('slug', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('action', sa.String(length=40), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('author', sa.String(length=255), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('changed', sa.Text(), nullable=False),
    sa.Column('shape', sa.String(length=8), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_revision')),
    sa.UniqueConstraint('record_id', 'version', name=op.f('uq_revision_record_id_version'))
    )
    with op.batch_alter_table('revision', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_revision_noun'), ['noun', 'seq'], unique=False)

    op.create_table('collaboration',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('slug', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('title', sa.String(length=500), nullable=False),
    sa.Column('title_key', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('summary', sa.Text(), nullable=True),
    sa.Column('type_id', sa.Uuid(), nullable=False),
    sa.Column('status', sa.String(length=40), nullable=False),
    sa.Column('period_edtf', sa.String(length=64), nullable=True),
    sa.Column('period_earliest', sa.Date(), nullable=True),
    sa.Column('period_begun', sa.Date(), nullable=True),
    sa.Column('period_ended', sa.Date(), nullable=True),
    sa.Column('period_latest', sa.Date(), nullable=True),
    sa.Column('part_of_id', sa.Uuid(), nullable=True),
    sa.Column('review_every_months', sa.Integer(), nullable=True),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('claim', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=True),
    sa.Column('shape', sa.String(length=8), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['part_of_id'], ['collaboration.id'], name=op.f('fk_collaboration_part_of_id')),
    sa.ForeignKeyConstraint(['type_id'], ['collaboration_type.id'], name=op.f('fk_collaboration_type_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_collaboration')),
    sa.UniqueConstraint('claim', name=op.f('uq_collaboration_claim')),
    sa.UniqueConstraint('slug', name=op.f('uq_collaboration_slug')),
    info={'noun': 'collaborations'}
    )
    with op.batch_alter_table('collaboration', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_collaboration_created_at'), ['created_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_collaboration_part_of_id'), ['part_of_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_collaboration_period_earliest'), ['period_earliest', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_collaboration_status'), ['status', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_collaboration_title_key'), ['title_key', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_collaboration_type_id'), ['type_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_collaboration_updated_at'), ['updated_at', 'id'], unique=False)

    op.create_table('instrument',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('slug', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('title', sa.String(length=500), nullable=False),
    sa.Column('title_key', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('short_title', sa.String(length=255), nullable=True),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('issuer_id', sa.Uuid(), nullable=True),
    sa.Column('adopted_edtf', sa.String(length=64), nullable=True),
    sa.Column('adopted_earliest', sa.Date(), nullable=True),
    sa.Column('adopted_begun', sa.Date(), nullable=True),
    sa.Column('adopted_ended', sa.Date(), nullable=True),
    sa.Column('adopted_latest', sa.Date(), nullable=True),
    sa.Column('revised_edtf', sa.String(length=64), nullable=True),
    sa.Column('revised_earliest', sa.Date(), nullable=True),
    sa.Column('revised_begun', sa.Date(), nullable=True),
    sa.Column('revised_ended', sa.Date(), nullable=True),
    sa.Column('revised_latest', sa.Date(), nullable=True),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('replaces_id', sa.Uuid(), nullable=True),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('claim', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=True),
    sa.Column('shape', sa.String(length=8), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['issuer_id'], ['organization.id'], name=op.f('fk_instrument_issuer_id')),
    sa.ForeignKeyConstraint(['replaces_id'], ['instrument.id'], name=op.f('fk_instrument_replaces_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_instrument')),
    sa.UniqueConstraint('claim', name=op.f('uq_instrument_claim')),
    sa.UniqueConstraint('slug', name=op.f('uq_instrument_slug')),
    info={'noun': 'instruments'}
    )
    with op.batch_alter_table('instrument', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_instrument_adopted_earliest'), ['adopted_earliest', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_instrument_created_at'), ['created_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_instrument_issuer_id'), ['issuer_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_instrument_kind'), ['kind', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_instrument_replaces_id'), ['replaces_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_instrument_revised_earliest'), ['revised_earliest', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_instrument_title_key'), ['title_key', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_instrument_updated_at'), ['updated_at', 'id'], unique=False)

    op.create_table('organization_identifier',
    sa.Column('organization_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('scheme', sa.String(length=100), nullable=False),
    sa.Column('value', sa.String(length=255), nullable=False),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('claim', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=True),
    sa.ForeignKeyConstraint(['organization_id'], ['organization.id'], name=op.f('fk_organization_identifier_organization_id')),
    sa.PrimaryKeyConstraint('organization_id', 'position', name=op.f('pk_organization_identifier')),
    sa.UniqueConstraint('claim', name=op.f('uq_organization_identifier_claim'))
    )
    op.create_table('organization_name',
    sa.Column('organization_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('value', sa.String(length=255), nullable=False),
    sa.Column('value_key', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('lang', sa.String(length=35), nullable=True),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.ForeignKeyConstraint(['organization_id'], ['organization.id'], name=op.f('fk_organization_name_organization_id')),
    sa.PrimaryKeyConstraint('organization_id', 'position', name=op.f('pk_organization_name'))
    )
    with op.batch_alter_table('organization_name', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_organization_name_value_key'), ['value_key'], unique=False)

    op.create_table('source',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('slug', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('title', sa.String(length=500), nullable=False),
    sa.Column('title_key', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.Column('publisher_id', sa.Uuid(), nullable=True),
    sa.Column('symbol', sa.String(length=100), nullable=True),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('language', sa.String(length=35), nullable=True),
    sa.Column('published_edtf', sa.String(length=64), nullable=True),
    sa.Column('published_earliest', sa.Date(), nullable=True),
    sa.Column('published_begun', sa.Date(), nullable=True),
    sa.Column('published_ended', sa.Date(), nullable=True),
    sa.Column('published_latest', sa.Date(), nullable=True),
    sa.Column('retrieved', sa.DateTime(timezone=True), nullable=True),
    sa.Column('replaces_id', sa.Uuid(), nullable=True),
    sa.Column('sha256', sa.String(length=64), nullable=True),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('claim', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=True),
    sa.Column('shape', sa.String(length=8), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['publisher_id'], ['organization.id'], name=op.f('fk_source_publisher_id')),
    sa.ForeignKeyConstraint(['replaces_id'], ['source.id'], name=op.f('fk_source_replaces_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_source')),
    sa.UniqueConstraint('claim', name=op.f('uq_source_claim')),
    sa.UniqueConstraint('slug', name=op.f('uq_source_slug')),
    info={'noun': 'sources'}
    )
    with op.batch_alter_table('source', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_source_created_at'), ['created_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_source_kind'), ['kind', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_source_published_earliest'), ['published_earliest', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_source_publisher_id'), ['publisher_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_source_replaces_id'), ['replaces_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_source_retrieved'), ['retrieved', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_source_title_key'), ['title_key', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_source_updated_at'), ['updated_at', 'id'], unique=False)

    op.create_table('citation',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('slug', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('source_id', sa.Uuid(), nullable=False),
    sa.Column('target_noun', sa.String(length=40), nullable=False),
    sa.Column('target_record_id', sa.Uuid(), nullable=False),
    sa.Column('field', sa.String(length=200), nullable=False),
    sa.Column('support', sa.String(length=40), nullable=False),
    sa.Column('note', sa.Text(), nullable=True),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('claim', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=True),
    sa.Column('shape', sa.String(length=8), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['source_id'], ['source.id'], name=op.f('fk_citation_source_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_citation')),
    sa.UniqueConstraint('claim', name=op.f('uq_citation_claim')),
    sa.UniqueConstraint('slug', name=op.f('uq_citation_slug')),
    info={'noun': 'citations'}
    )
    with op.batch_alter_table('citation', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_citation_created_at'), ['created_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_citation_source_id'), ['source_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_citation_support'), ['support', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_citation_target_noun'), ['target_noun', 'target_record_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_citation_updated_at'), ['updated_at', 'id'], unique=False)

    op.create_table('collaboration_instrument',
    sa.Column('collaboration_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('instrument_id', sa.Uuid(), nullable=False),
    sa.ForeignKeyConstraint(['collaboration_id'], ['collaboration.id'], name=op.f('fk_collaboration_instrument_collaboration_id')),
    sa.ForeignKeyConstraint(['instrument_id'], ['instrument.id'], name=op.f('fk_collaboration_instrument_instrument_id')),
    sa.PrimaryKeyConstraint('collaboration_id', 'position', name=op.f('pk_collaboration_instrument'))
    )
    with op.batch_alter_table('collaboration_instrument', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_collaboration_instrument_instrument_id'), ['instrument_id'], unique=False)

    op.create_table('collaboration_participant',
    sa.Column('collaboration_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('organization_id', sa.Uuid(), nullable=False),
    sa.Column('role', sa.String(length=40), nullable=False),
    sa.Column('period_edtf', sa.String(length=64), nullable=True),
    sa.Column('period_earliest', sa.Date(), nullable=True),
    sa.Column('period_begun', sa.Date(), nullable=True),
    sa.Column('period_ended', sa.Date(), nullable=True),
    sa.Column('period_latest', sa.Date(), nullable=True),
    sa.Column('on_behalf_of_id', sa.Uuid(), nullable=True),
    sa.Column('note', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['collaboration_id'], ['collaboration.id'], name=op.f('fk_collaboration_participant_collaboration_id')),
    sa.ForeignKeyConstraint(['on_behalf_of_id'], ['organization.id'], name=op.f('fk_collaboration_participant_on_behalf_of_id')),
    sa.ForeignKeyConstraint(['organization_id'], ['organization.id'], name=op.f('fk_collaboration_participant_organization_id')),
    sa.PrimaryKeyConstraint('collaboration_id', 'position', name=op.f('pk_collaboration_participant'))
    )
    with op.batch_alter_table('collaboration_participant', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_collaboration_participant_on_behalf_of_id'), ['on_behalf_of_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_collaboration_participant_organization_id'), ['organization_id'], unique=False)

    op.create_table('collaboration_sdg',
    sa.Column('collaboration_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('goal', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['collaboration_id'], ['collaboration.id'], name=op.f('fk_collaboration_sdg_collaboration_id')),
    sa.PrimaryKeyConstraint('collaboration_id', 'position', name=op.f('pk_collaboration_sdg'))
    )
    with op.batch_alter_table('collaboration_sdg', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_collaboration_sdg_goal'), ['goal'], unique=False)

    op.create_table('instrument_reference',
    sa.Column('instrument_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('refers_to_id', sa.Uuid(), nullable=False),
    sa.ForeignKeyConstraint(['instrument_id'], ['instrument.id'], name=op.f('fk_instrument_reference_instrument_id')),
    sa.ForeignKeyConstraint(['refers_to_id'], ['instrument.id'], name=op.f('fk_instrument_reference_refers_to_id')),
    sa.PrimaryKeyConstraint('instrument_id', 'position', name=op.f('pk_instrument_reference'))
    )
    with op.batch_alter_table('instrument_reference', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_instrument_reference_refers_to_id'), ['refers_to_id'], unique=False)

    op.create_table('milestone',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('slug', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('title', sa.String(length=500), nullable=False),
    sa.Column('title_key', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.Column('collaboration_id', sa.Uuid(), nullable=True),
    sa.Column('instrument_id', sa.Uuid(), nullable=True),
    sa.Column('organization_id', sa.Uuid(), nullable=True),
    sa.Column('date_edtf', sa.String(length=64), nullable=True),
    sa.Column('date_earliest', sa.Date(), nullable=True),
    sa.Column('date_begun', sa.Date(), nullable=True),
    sa.Column('date_ended', sa.Date(), nullable=True),
    sa.Column('date_latest', sa.Date(), nullable=True),
    sa.Column('due_edtf', sa.String(length=64), nullable=True),
    sa.Column('due_earliest', sa.Date(), nullable=True),
    sa.Column('due_begun', sa.Date(), nullable=True),
    sa.Column('due_ended', sa.Date(), nullable=True),
    sa.Column('due_latest', sa.Date(), nullable=True),
    sa.Column('status', sa.String(length=40), nullable=False),
    sa.Column('description', sa.Text(), nullable=True),
    sa.Column('place', sa.String(length=255), nullable=True),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('claim', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=True),
    sa.Column('shape', sa.String(length=8), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.CheckConstraint('collaboration_id IS NOT NULL OR instrument_id IS NOT NULL OR organization_id IS NOT NULL', name=op.f('ck_milestone_subject')),
    sa.ForeignKeyConstraint(['collaboration_id'], ['collaboration.id'], name=op.f('fk_milestone_collaboration_id')),
    sa.ForeignKeyConstraint(['instrument_id'], ['instrument.id'], name=op.f('fk_milestone_instrument_id')),
    sa.ForeignKeyConstraint(['organization_id'], ['organization.id'], name=op.f('fk_milestone_organization_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_milestone')),
    sa.UniqueConstraint('claim', name=op.f('uq_milestone_claim')),
    sa.UniqueConstraint('slug', name=op.f('uq_milestone_slug')),
    info={'noun': 'milestones'}
    )
    with op.batch_alter_table('milestone', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_milestone_collaboration_id'), ['collaboration_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_milestone_created_at'), ['created_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_milestone_date_earliest'), ['date_earliest', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_milestone_due_earliest'), ['due_earliest', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_milestone_instrument_id'), ['instrument_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_milestone_kind'), ['kind', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_milestone_organization_id'), ['organization_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_milestone_status'), ['status', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_milestone_title_key'), ['title_key', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_milestone_updated_at'), ['updated_at', 'id'], unique=False)

    op.create_table('review',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('slug', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('title', sa.String(length=500), nullable=False),
    sa.Column('title_key', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=False),
    sa.Column('body_id', sa.Uuid(), nullable=True),
    sa.Column('session', sa.String(length=255), nullable=True),
    sa.Column('date_edtf', sa.String(length=64), nullable=True),
    sa.Column('date_earliest', sa.Date(), nullable=True),
    sa.Column('date_begun', sa.Date(), nullable=True),
    sa.Column('date_ended', sa.Date(), nullable=True),
    sa.Column('date_latest', sa.Date(), nullable=True),
    sa.Column('document_id', sa.Uuid(), nullable=True),
    sa.Column('status', sa.String(length=40), nullable=False),
    sa.Column('summary', sa.Text(), nullable=True),
    sa.Column('decision', sa.Text(), nullable=True),
    sa.Column('withdrawn_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('claim', sa.String().with_variant(sa.String(collation='C'), 'postgresql'), nullable=True),
    sa.Column('shape', sa.String(length=8), nullable=False),
    sa.Column('document', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['body_id'], ['organization.id'], name=op.f('fk_review_body_id')),
    sa.ForeignKeyConstraint(['document_id'], ['source.id'], name=op.f('fk_review_document_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_review')),
    sa.UniqueConstraint('claim', name=op.f('uq_review_claim')),
    sa.UniqueConstraint('slug', name=op.f('uq_review_slug')),
    info={'noun': 'reviews'}
    )
    with op.batch_alter_table('review', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_review_body_id'), ['body_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_review_created_at'), ['created_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_review_date_earliest'), ['date_earliest', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_review_document_id'), ['document_id', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_review_status'), ['status', 'slug'], unique=False)
        batch_op.create_index(batch_op.f('ix_review_title_key'), ['title_key', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_review_updated_at'), ['updated_at', 'id'], unique=False)

    op.create_table('source_passage',
    sa.Column('source_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('section', sa.Integer(), nullable=False),
    sa.Column('paragraph', sa.Integer(), nullable=False),
    sa.Column('sentence', sa.Integer(), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('text', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['source_id'], ['source.id'], name=op.f('fk_source_passage_source_id')),
    sa.PrimaryKeyConstraint('source_id', 'position', name=op.f('pk_source_passage'))
    )
    with op.batch_alter_table('source_passage', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_source_passage_fingerprint'), ['fingerprint'], unique=False)

    op.create_table('citation_passage',
    sa.Column('citation_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('section', sa.Integer(), nullable=False),
    sa.Column('paragraph', sa.Integer(), nullable=False),
    sa.Column('sentence', sa.Integer(), nullable=False),
    sa.ForeignKeyConstraint(['citation_id'], ['citation.id'], name=op.f('fk_citation_passage_citation_id')),
    sa.PrimaryKeyConstraint('citation_id', 'position', name=op.f('pk_citation_passage'))
    )
    op.create_table('review_item',
    sa.Column('review_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('collaboration_id', sa.Uuid(), nullable=False),
    sa.Column('finding', sa.String(length=40), nullable=False),
    sa.Column('note', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['collaboration_id'], ['collaboration.id'], name=op.f('fk_review_item_collaboration_id')),
    sa.ForeignKeyConstraint(['review_id'], ['review.id'], name=op.f('fk_review_item_review_id')),
    sa.PrimaryKeyConstraint('review_id', 'position', name=op.f('pk_review_item'))
    )
    with op.batch_alter_table('review_item', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_review_item_collaboration_id'), ['collaboration_id'], unique=False)



def downgrade() -> None:
    with op.batch_alter_table('review_item', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_review_item_collaboration_id'))

    op.drop_table('review_item')
    op.drop_table('citation_passage')
    with op.batch_alter_table('source_passage', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_source_passage_fingerprint'))

    op.drop_table('source_passage')
    with op.batch_alter_table('review', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_review_updated_at'))
        batch_op.drop_index(batch_op.f('ix_review_title_key'))
        batch_op.drop_index(batch_op.f('ix_review_status'))
        batch_op.drop_index(batch_op.f('ix_review_document_id'))
        batch_op.drop_index(batch_op.f('ix_review_date_earliest'))
        batch_op.drop_index(batch_op.f('ix_review_created_at'))
        batch_op.drop_index(batch_op.f('ix_review_body_id'))

    op.drop_table('review')
    with op.batch_alter_table('milestone', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_milestone_updated_at'))
        batch_op.drop_index(batch_op.f('ix_milestone_title_key'))
        batch_op.drop_index(batch_op.f('ix_milestone_status'))
        batch_op.drop_index(batch_op.f('ix_milestone_organization_id'))
        batch_op.drop_index(batch_op.f('ix_milestone_kind'))
        batch_op.drop_index(batch_op.f('ix_milestone_instrument_id'))
        batch_op.drop_index(batch_op.f('ix_milestone_due_earliest'))
        batch_op.drop_index(batch_op.f('ix_milestone_date_earliest'))
        batch_op.drop_index(batch_op.f('ix_milestone_created_at'))
        batch_op.drop_index(batch_op.f('ix_milestone_collaboration_id'))

    op.drop_table('milestone')
    with op.batch_alter_table('instrument_reference', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_instrument_reference_refers_to_id'))

    op.drop_table('instrument_reference')
    with op.batch_alter_table('collaboration_sdg', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_collaboration_sdg_goal'))

    op.drop_table('collaboration_sdg')
    with op.batch_alter_table('collaboration_participant', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_collaboration_participant_organization_id'))
        batch_op.drop_index(batch_op.f('ix_collaboration_participant_on_behalf_of_id'))

    op.drop_table('collaboration_participant')
    with op.batch_alter_table('collaboration_instrument', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_collaboration_instrument_instrument_id'))

    op.drop_table('collaboration_instrument')
    with op.batch_alter_table('citation', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_citation_updated_at'))
        batch_op.drop_index(batch_op.f('ix_citation_target_noun'))
        batch_op.drop_index(batch_op.f('ix_citation_support'))
        batch_op.drop_index(batch_op.f('ix_citation_source_id'))
        batch_op.drop_index(batch_op.f('ix_citation_created_at'))

    op.drop_table('citation')
    with op.batch_alter_table('source', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_source_updated_at'))
        batch_op.drop_index(batch_op.f('ix_source_title_key'))
        batch_op.drop_index(batch_op.f('ix_source_retrieved'))
        batch_op.drop_index(batch_op.f('ix_source_replaces_id'))
        batch_op.drop_index(batch_op.f('ix_source_publisher_id'))
        batch_op.drop_index(batch_op.f('ix_source_published_earliest'))
        batch_op.drop_index(batch_op.f('ix_source_kind'))
        batch_op.drop_index(batch_op.f('ix_source_created_at'))

    op.drop_table('source')
    with op.batch_alter_table('organization_name', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_organization_name_value_key'))

    op.drop_table('organization_name')
    op.drop_table('organization_identifier')
    with op.batch_alter_table('instrument', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_instrument_updated_at'))
        batch_op.drop_index(batch_op.f('ix_instrument_title_key'))
        batch_op.drop_index(batch_op.f('ix_instrument_revised_earliest'))
        batch_op.drop_index(batch_op.f('ix_instrument_replaces_id'))
        batch_op.drop_index(batch_op.f('ix_instrument_kind'))
        batch_op.drop_index(batch_op.f('ix_instrument_issuer_id'))
        batch_op.drop_index(batch_op.f('ix_instrument_created_at'))
        batch_op.drop_index(batch_op.f('ix_instrument_adopted_earliest'))

    op.drop_table('instrument')
    with op.batch_alter_table('collaboration', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_collaboration_updated_at'))
        batch_op.drop_index(batch_op.f('ix_collaboration_type_id'))
        batch_op.drop_index(batch_op.f('ix_collaboration_title_key'))
        batch_op.drop_index(batch_op.f('ix_collaboration_status'))
        batch_op.drop_index(batch_op.f('ix_collaboration_period_earliest'))
        batch_op.drop_index(batch_op.f('ix_collaboration_part_of_id'))
        batch_op.drop_index(batch_op.f('ix_collaboration_created_at'))

    op.drop_table('collaboration')
    with op.batch_alter_table('revision', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_revision_noun'))

    op.drop_table('revision')
    with op.batch_alter_table('organization', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_organization_updated_at'))
        batch_op.drop_index(batch_op.f('ix_organization_part_of_id'))
        batch_op.drop_index(batch_op.f('ix_organization_name_key'))
        batch_op.drop_index(batch_op.f('ix_organization_kind'))
        batch_op.drop_index(batch_op.f('ix_organization_founded_earliest'))
        batch_op.drop_index(batch_op.f('ix_organization_created_at'))
        batch_op.drop_index(batch_op.f('ix_organization_country'))

    op.drop_table('organization')
    with op.batch_alter_table('collaboration_type', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_collaboration_type_updated_at'))
        batch_op.drop_index(batch_op.f('ix_collaboration_type_label_key'))
        batch_op.drop_index(batch_op.f('ix_collaboration_type_created_at'))
        batch_op.drop_index(batch_op.f('ix_collaboration_type_broader_id'))

    op.drop_table('collaboration_type')
    op.drop_table('clock')
