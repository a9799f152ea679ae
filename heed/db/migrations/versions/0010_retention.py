"""Who wants something erased: its customer, or the retention period."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("erasures", sa.Column("asked_by", sa.Text(), server_default="customer", nullable=False))


def downgrade() -> None:
    op.drop_column("erasures", "asked_by")
