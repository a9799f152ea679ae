"""Indexes of the review queue and of the answers drawn by lot.

Apart from the migration that adds their columns: to make them takes as long as all feedback takes to read. Meanwhile
workers wait and everybody else reads; with the columns, nobody could.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for name in ("queued", "sampled"):
        op.create_index(f"ix_feedback_{name}_survey_id", "feedback", ["survey", "id"], postgresql_where=sa.text(name))


def downgrade() -> None:
    for name in ("queued", "sampled"):
        op.drop_index(f"ix_feedback_{name}_survey_id", table_name="feedback")
