"""What a survey said at each time, which of it an answer was given to, and whom a person is to a sign-in provider."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "survey_versions",
        sa.Column("survey", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("definition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("saved_at", sa.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("saved_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["survey"], ["surveys.slug"], name=op.f("fk_survey_versions_survey")),
        sa.PrimaryKeyConstraint("survey", "version", name=op.f("pk_survey_versions")),
    )
    # What the answers before were asked is not known for certain, and is not claimed: their version stays empty.
    op.execute("INSERT INTO survey_versions (survey, version, definition) SELECT slug, 1, definition FROM surveys")
    op.add_column("feedback", sa.Column("asked", sa.Integer(), nullable=True))
    op.add_column("users", sa.Column("subject", sa.Text(), nullable=True))
    op.create_unique_constraint(op.f("uq_users_subject"), "users", ["subject"])


def downgrade() -> None:
    op.drop_constraint(op.f("uq_users_subject"), "users")
    op.drop_column("users", "subject")
    op.drop_column("feedback", "asked")
    op.drop_table("survey_versions")
