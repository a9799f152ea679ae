"""The index of the comments' words; apart, as in 0004."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    words = sa.text("to_tsvector('english'::regconfig, comment)")
    op.create_index("ix_feedback_words", "feedback", [words], postgresql_using="gin")


def downgrade() -> None:
    op.drop_index("ix_feedback_words", table_name="feedback")
