"""Settlements: differences that a recovery left in the books, written off by a person. Version 0.1.0 ignores them."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "settlements",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("lost", sa.BigInteger(), nullable=False),
        sa.Column("earlier", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("lost >= 0", name=op.f("ck_settlements_lost")),
        sa.CheckConstraint("earlier >= 0", name=op.f("ck_settlements_earlier")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlements")),
    )


def downgrade() -> None:
    op.drop_table("settlements")
