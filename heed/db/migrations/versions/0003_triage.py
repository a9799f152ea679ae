"""Triage: decisions, readings, the review queue, verdicts, former scores. Earlier versions leave all of it empty.

Surveys lose the threshold that version 0.1.0 gave each of them: it was VADER's, and the model knows its own.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    # Constant defaults: no row is rewritten.
    op.add_column("feedback", sa.Column("decision", sa.Text(), nullable=True))
    op.add_column("feedback", sa.Column("reading", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("feedback", sa.Column("sampled", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("feedback", sa.Column("queued", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.create_table(
        "verdicts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("feedback_id", sa.UUID(), nullable=False),
        sa.Column("needs_person", sa.Boolean(), nullable=False),
        sa.Column("judge", sa.Text(), nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["feedback_id"], ["feedback.id"], name=op.f("fk_verdicts_feedback_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
    )
    op.create_index("ix_verdicts_feedback_id_id", "verdicts", ["feedback_id", "id"])
    op.create_table(
        "former_scores",
        sa.Column("feedback_id", sa.UUID(), nullable=False),
        sa.Column("scorer", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("compound", sa.Float(), nullable=False),
        sa.Column("p_negative", sa.Float(), nullable=True),
        sa.Column("scores", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("reading", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("replaced_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["feedback_id"], ["feedback.id"], name=op.f("fk_former_scores_feedback_id")),
        sa.PrimaryKeyConstraint("feedback_id", "scorer", name=op.f("pk_former_scores")),
    )
    op.execute("UPDATE surveys SET definition = definition - 'threshold' WHERE definition ->> 'threshold' = '0.65'")


def downgrade() -> None:
    op.drop_table("former_scores")
    op.drop_table("verdicts")
    for name in ("queued", "sampled", "reading", "decision"):
        op.drop_column("feedback", name)
