"""The index of flagged answers; apart from the migration that adds their column, as in 0004."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_index(
        "ix_feedback_flagged_survey_id", "feedback", ["survey", "id"], postgresql_where=sa.text("flags <> '{}'")
    )


def downgrade() -> None:
    op.drop_index("ix_feedback_flagged_survey_id", table_name="feedback")
