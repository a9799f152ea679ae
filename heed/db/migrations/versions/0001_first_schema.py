"""The first schema: surveys, feedback, rollup, outbox, tickets, quarantine."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "cursors",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "quarantine",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("feedback_id", sa.UUID(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("replay_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
        sa.UniqueConstraint("kind", "source", name=op.f("uq_quarantine_kind_source")),
    )
    op.create_index("ix_quarantine_feedback_id", "quarantine", ["feedback_id"], unique=False)
    op.create_index(
        "ix_quarantine_unresolved",
        "quarantine",
        ["id"],
        unique=False,
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_table(
        "surveys",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_surveys")),
    )
    op.create_table(
        "used_links",
        sa.Column("nonce", sa.Text(), nullable=False),
        sa.Column("used_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_used_links")),
    )
    op.create_table(
        "feedback",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("vote", sa.Text(), nullable=True),
        sa.Column("rating", sa.SmallInteger(), nullable=True),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("contact_name", sa.Text(), nullable=True),
        sa.Column("contact_email", sa.Text(), nullable=True),
        sa.Column("reply", sa.Boolean(), nullable=False),
        sa.Column("received_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("stored_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("compound", sa.Float(), nullable=False),
        sa.Column("p_negative", sa.Float(), nullable=True),
        sa.Column("scores", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("scorer", sa.Text(), nullable=False),
        sa.Column("selected", sa.Boolean(), nullable=False),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("priority", sa.Text(), nullable=True),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["survey"], ["surveys.slug"], name=op.f("fk_feedback_survey")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feedback")),
        sa.UniqueConstraint("survey", "client", name=op.f("uq_feedback_survey_client")),
    )
    op.create_index("ix_feedback_selected_id", "feedback", ["id"], unique=False, postgresql_where=sa.text("selected"))
    op.create_index("ix_feedback_survey_id", "feedback", ["survey", "id"], unique=False)
    op.create_index("ix_feedback_survey_label_id", "feedback", ["survey", "label", "id"], unique=False)
    op.create_table(
        "rollup",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("grain", sa.Text(), nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("vote", sa.Text(), nullable=False),
        sa.Column("rating", sa.SmallInteger(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("answers", sa.BigInteger(), nullable=False),
        sa.Column("selected", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["survey"], ["surveys.slug"], name=op.f("fk_rollup_survey")),
        sa.CheckConstraint("grain IN ('hour', 'day', 'total')", name=op.f("ck_rollup_grain")),
        sa.PrimaryKeyConstraint("survey", "grain", "at", "vote", "rating", "label", name=op.f("pk_rollup")),
    )
    op.create_table(
        "ticket_counts",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tickets", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["survey"], ["surveys.slug"], name=op.f("fk_ticket_counts_survey")),
        sa.PrimaryKeyConstraint("survey", "state", name=op.f("pk_ticket_counts")),
    )
    op.create_table(
        "outbox",
        sa.Column("feedback_id", sa.UUID(), nullable=False),
        sa.Column("event", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("published", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["feedback_id"], ["feedback.id"], name=op.f("fk_outbox_feedback_id")),
        sa.PrimaryKeyConstraint("feedback_id", name=op.f("pk_outbox")),
    )
    op.create_index("ix_outbox_due_at", "outbox", ["due_at"], unique=False)
    op.create_table(
        "tickets",
        sa.Column("feedback_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_attempt_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("leased_until", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("desk_id", sa.BigInteger(), nullable=True),
        sa.Column("desk_status", sa.Text(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("solved_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["feedback_id"], ["feedback.id"], name=op.f("fk_tickets_feedback_id")),
        sa.PrimaryKeyConstraint("feedback_id", name=op.f("pk_tickets")),
    )
    op.create_index("ix_tickets_state_updated_at", "tickets", ["state", "updated_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_tickets_state_updated_at", table_name="tickets")
    op.drop_table("tickets")
    op.drop_index("ix_outbox_due_at", table_name="outbox")
    op.drop_table("outbox")
    op.drop_table("ticket_counts")
    op.drop_table("rollup")
    op.drop_index("ix_feedback_survey_label_id", table_name="feedback")
    op.drop_index("ix_feedback_survey_id", table_name="feedback")
    op.drop_index("ix_feedback_selected_id", table_name="feedback", postgresql_where=sa.text("selected"))
    op.drop_table("feedback")
    op.drop_table("used_links")
    op.drop_table("surveys")
    op.drop_index("ix_quarantine_unresolved", table_name="quarantine", postgresql_where=sa.text("resolved_at IS NULL"))
    op.drop_index("ix_quarantine_feedback_id", table_name="quarantine")
    op.drop_table("quarantine")
    op.drop_table("cursors")
