"""What customers' pages need: context, flags, identified customers, erasures, when an agent first took a ticket up."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # Constant defaults: no row is rewritten.
    op.add_column("feedback", sa.Column("context", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.add_column("feedback", sa.Column("customer", sa.Text(), nullable=True))
    op.add_column(
        "feedback", sa.Column("flags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False)
    )
    op.add_column("feedback", sa.Column("erased_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("tickets", sa.Column("in_progress_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.add_column("tickets", sa.Column("opened_at", sa.TIMESTAMP(timezone=True), nullable=True))
    op.create_table(
        "erasures",
        sa.Column("feedback_id", sa.UUID(), nullable=False),
        sa.Column("asked_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("done_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("desk_told_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("feedback_id", name=op.f("pk_erasures")),
    )
    op.create_index("ix_erasures_open", "erasures", ["due_at"], postgresql_where=sa.text("done_at IS NULL"))
    op.create_index("ix_erasures_done_at", "erasures", ["done_at"])
    op.create_index(
        "ix_erasures_untold",
        "erasures",
        ["feedback_id"],
        postgresql_where=sa.text("done_at IS NOT NULL AND desk_told_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("erasures")
    for name in ("opened_at", "in_progress_at"):
        op.drop_column("tickets", name)
    for name in ("erased_at", "flags", "customer", "context"):
        op.drop_column("feedback", name)
