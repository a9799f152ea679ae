"""The tables. Migrations create them; a test holds the two equal.

Ids are UUIDv7, so an index that ends in the id is in order of arrival.
"""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Timestamp = sa.TIMESTAMP(timezone=True)
NOW = sa.text("now()")

surveys = sa.Table(
    "surveys",
    metadata,
    sa.Column("slug", sa.Text, primary_key=True),
    sa.Column("definition", JSONB, nullable=False),  # heed.contracts.Survey
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
)

# What a survey said at each time, so that past answers keep what they were asked (heed.db.surveys).
survey_versions = sa.Table(
    "survey_versions",
    metadata,
    sa.Column("survey", sa.Text, sa.ForeignKey("surveys.slug"), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("definition", JSONB, nullable=False),  # heed.contracts.Survey
    sa.Column("saved_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("saved_by", sa.Text),  # as in the audit; none: it was there before versions were kept
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    sa.Column("survey", sa.Text, sa.ForeignKey("surveys.slug"), nullable=False),
    sa.Column("client", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("vote", sa.Text),
    sa.Column("rating", sa.SmallInteger),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("contact_name", sa.Text),
    sa.Column("contact_email", sa.Text),
    sa.Column("reply", sa.Boolean, nullable=False),
    sa.Column("received_at", Timestamp, nullable=False),
    sa.Column("stored_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("label", sa.Text, nullable=False),  # heed.contracts.Label
    sa.Column("compound", sa.Float, nullable=False),
    sa.Column("p_negative", sa.Float),  # none when there were no words
    sa.Column("scores", JSONB, nullable=False),  # what the scorer said, whole
    sa.Column("scorer", sa.Text, nullable=False),  # its name and version
    sa.Column("selected", sa.Boolean, nullable=False),
    sa.Column("reasons", ARRAY(sa.Text), nullable=False),  # heed.contracts.Reason
    sa.Column("priority", sa.Text),  # heed.contracts.Priority, when selected
    sa.Column("policy", sa.Text, nullable=False),  # the policy that decided, with its thresholds
    # What follows is new since 0.1.0, which leaves it empty.
    sa.Column("decision", sa.Text),  # heed.contracts.Decision, as the worker made it
    sa.Column("reading", JSONB),  # what the scorer read where: heed.contracts.Reading
    sa.Column("sampled", sa.Boolean, nullable=False, server_default=sa.false()),  # drawn by lot for the live figures
    sa.Column("queued", sa.Boolean, nullable=False, server_default=sa.false()),  # waits for a manager's verdict
    # What follows is new since 0.2.0.
    sa.Column("context", JSONB),  # heed.contracts.Context
    sa.Column("customer", sa.Text),  # whom the host site proved the customer to be
    sa.Column("flags", ARRAY(sa.Text), nullable=False, server_default="{}"),  # heed.contracts.Flag
    sa.Column("erased_at", Timestamp),  # what the customer wrote is gone; it stays counted
    sa.Column("asked", sa.Integer),  # the version of the survey that the customer saw
    sa.UniqueConstraint("survey", "client"),
    sa.Index("ix_feedback_survey_id", "survey", "id"),
    sa.Index("ix_feedback_survey_label_id", "survey", "label", "id"),
    sa.Index("ix_feedback_selected_id", "id", postgresql_where=sa.text("selected")),
    sa.Index("ix_feedback_queued_survey_id", "survey", "id", postgresql_where=sa.text("queued")),
    sa.Index("ix_feedback_sampled_survey_id", "survey", "id", postgresql_where=sa.text("sampled")),
    sa.Index("ix_feedback_flagged_survey_id", "survey", "id", postgresql_where=sa.text("flags <> '{}'")),
    sa.Index("ix_feedback_words", sa.text("to_tsvector('english'::regconfig, comment)"), postgresql_using="gin"),
)

# What people said of decisions; the newest of a submission counts.
verdicts = sa.Table(
    "verdicts",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("feedback_id", UUID(as_uuid=True), sa.ForeignKey("feedback.id"), nullable=False),
    sa.Column("needs_person", sa.Boolean, nullable=False),  # false for a ticket: false alarm; true for none: missed
    sa.Column("judge", sa.Text, nullable=False),  # heed.contracts.Judge
    sa.Column("at", Timestamp, nullable=False, server_default=NOW),
    sa.Index("ix_verdicts_feedback_id_id", "feedback_id", "id"),
)

# The scores that a submission had before it was scored anew (heed triage's rescore).
former_scores = sa.Table(
    "former_scores",
    metadata,
    sa.Column("feedback_id", UUID(as_uuid=True), sa.ForeignKey("feedback.id"), primary_key=True),
    sa.Column("scorer", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("compound", sa.Float, nullable=False),
    sa.Column("p_negative", sa.Float),
    sa.Column("scores", JSONB, nullable=False),
    sa.Column("reading", JSONB),
    sa.Column("replaced_at", Timestamp, nullable=False, server_default=NOW),
)

# Counts of feedback, changed in the transaction that stores it, by hour, by day (UTC) and for all time (grain
# 'total', at = '-infinity'): what is shown costs the same however much there is. '' and 0: not given.
rollup = sa.Table(
    "rollup",
    metadata,
    sa.Column("survey", sa.Text, sa.ForeignKey("surveys.slug"), primary_key=True),
    sa.Column(
        "grain", sa.Text, sa.CheckConstraint("grain IN ('hour', 'day', 'total')", name="grain"), primary_key=True
    ),
    sa.Column("at", Timestamp, primary_key=True),
    sa.Column("vote", sa.Text, primary_key=True),
    sa.Column("rating", sa.SmallInteger, primary_key=True),
    sa.Column("label", sa.Text, primary_key=True),
    sa.Column("answers", sa.BigInteger, nullable=False),
    sa.Column("selected", sa.BigInteger, nullable=False),
)

# One row for each selected submission whose ticket is not terminal yet: the row goes when the ledger says so.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("feedback_id", UUID(as_uuid=True), sa.ForeignKey("feedback.id"), primary_key=True),
    sa.Column("event", JSONB, nullable=False),  # heed.contracts.NegativeFeedback
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("due_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("published", sa.Integer, nullable=False, server_default="0"),
    sa.Column("failed", sa.Integer, nullable=False, server_default="0"),  # publishing failures in a row
    sa.Column("last_error", sa.Text),
    sa.Index("ix_outbox_due_at", "due_at"),
)

# The ledger: one row for each submission that ticketing has taken on.
tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("feedback_id", UUID(as_uuid=True), sa.ForeignKey("feedback.id"), primary_key=True),
    sa.Column("state", sa.Text, nullable=False),  # heed.contracts.TicketState
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("first_attempt_at", Timestamp, nullable=False),
    sa.Column("leased_until", Timestamp),  # while one consumer works on it, no other does
    sa.Column("desk_id", sa.BigInteger),  # the ticket's number at the desk; another desk begins at 1 again
    sa.Column("desk_status", sa.Text),  # new, open, pending, hold, solved, closed
    sa.Column("last_error", sa.Text),
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("updated_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("solved_at", Timestamp),
    sa.Column("in_progress_at", Timestamp),  # first seen in an agent's hands
    sa.Column("opened_at", Timestamp),  # when the desk had made it; versions before 0.2.0 left it empty
    sa.Index("ix_tickets_state_updated_at", "state", "updated_at"),
)

# Counts of tickets, changed in the transaction that moves one (heed.db.ledger).
ticket_counts = sa.Table(
    "ticket_counts",
    metadata,
    sa.Column("survey", sa.Text, sa.ForeignKey("surveys.slug"), primary_key=True),
    sa.Column("state", sa.Text, primary_key=True),
    sa.Column("tickets", sa.BigInteger, nullable=False),
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),  # heed.contracts.QuarantineKind
    sa.Column("source", sa.Text, nullable=False),  # stream entry (partition/id) or queue message: never twice
    sa.Column("feedback_id", UUID(as_uuid=True)),  # when the payload tells it
    sa.Column("reason", sa.Text, nullable=False),  # heed.contracts.QuarantineReason
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),  # as it came; bytes that are not text as \xNN
    sa.Column("at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("replay_at", Timestamp),  # a person asked for another try
    sa.Column("resolved_at", Timestamp),  # stored after all
    sa.UniqueConstraint("kind", "source"),
    sa.Index("ix_quarantine_unresolved", "id", postgresql_where=sa.text("resolved_at IS NULL")),
    sa.Index("ix_quarantine_feedback_id", "feedback_id"),
)

# Differences that a recovery left in the books, written off by a person (heed.books).
settlements = sa.Table(
    "settlements",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("reason", sa.Text, nullable=False),
    # Accepted, and neither queued nor in Postgres any more.
    sa.Column("lost", sa.BigInteger, sa.CheckConstraint("lost >= 0", name="lost"), nullable=False),
    # In Postgres, and accepted by a queue that is gone.
    sa.Column("earlier", sa.BigInteger, sa.CheckConstraint("earlier >= 0", name="earlier"), nullable=False),
)

# What is to be erased, or was, since its customer wants it or it was kept long enough (heed.db.erasures). A customer's
# wish may come before its submission is stored.
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("feedback_id", UUID(as_uuid=True), primary_key=True),
    sa.Column("asked_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("due_at", Timestamp, nullable=False, server_default=NOW),  # when to look whether it can be done
    sa.Column("done_at", Timestamp),  # nothing that is known of it holds words; what is written later undoes this
    sa.Column("desk_told_at", Timestamp),  # the agents know, where there is a ticket
    sa.Column("asked_by", sa.Text, nullable=False, server_default="customer"),  # or "retention"
    sa.Index("ix_erasures_open", "due_at", postgresql_where=sa.text("done_at IS NULL")),
    sa.Index("ix_erasures_done_at", "done_at"),
    sa.Index(
        "ix_erasures_untold", "feedback_id", postgresql_where=sa.text("done_at IS NOT NULL AND desk_told_at IS NULL")
    ),
)

# How far something that is read on and on has been read (the desk's incremental export).
cursors = sa.Table(
    "cursors",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("position", sa.Text, nullable=False),
    sa.Column("updated_at", Timestamp, nullable=False, server_default=NOW),
)

# One-time login links that were used, until they would have expired anyway.
used_links = sa.Table(
    "used_links",
    metadata,
    sa.Column("nonce", sa.Text, primary_key=True),
    sa.Column("used_at", Timestamp, nullable=False, server_default=NOW),
)

# Who may log in to the results site (heed.db.people). The built-in admin is a row like the others; its password is a
# setting.
users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("name", sa.Text, sa.CheckConstraint("name = lower(name)", name="small_letters"), nullable=False),
    sa.Column("role", sa.Text, nullable=False),  # heed.contracts.Role
    sa.Column("password_hash", sa.Text),  # argon2id; none: cannot log in by a password of their own
    sa.Column("surveys", ARRAY(sa.Text)),  # which ones they see; none: all
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("disabled_at", Timestamp),
    sa.Column("subject", sa.Text),  # whom they are to the provider that signs them in (HEED_OIDC_ISSUER)
    sa.UniqueConstraint("name"),
    sa.UniqueConstraint("subject"),
)

# Who is logged in (heed.db.sessions).
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),  # sha256 of the token, which the browser alone has
    sa.Column("user_id", sa.BigInteger, sa.ForeignKey("users.id"), nullable=False),
    sa.Column("proof", sa.Text),  # of the built-in admin's password as it was then
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("seen_at", Timestamp, nullable=False, server_default=NOW),  # to the minute
    sa.Column("expires_at", Timestamp, nullable=False),
    sa.Column("user_agent", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Index("ix_sessions_user_id", "user_id"),
    sa.Index("ix_sessions_expires_at", "expires_at"),
)

# Failed logins and those under way, until they no longer slow anybody down (heed.db.logins).
login_attempts = sa.Table(
    "login_attempts",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),  # sha256 of what was given, which may be a password in the wrong field
    sa.Index("ix_login_attempts_address_at", "address", "at"),
    sa.Index("ix_login_attempts_name_at", "name", "at"),
    sa.Index("ix_login_attempts_at", "at"),
)

# What programs come in with (heed.db.api_keys).
api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("shown", sa.Text, nullable=False),  # the first 8 characters, to tell keys apart
    sa.Column("digest", sa.Text, nullable=False),  # sha256 of the key, which its owner alone has
    sa.Column("scopes", ARRAY(sa.Text), nullable=False),  # heed.contracts.KeyScope
    sa.Column("created_by", sa.Text, nullable=False),
    sa.Column("created_at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("last_used_at", Timestamp),  # to the minute, on the results site
    sa.Column("revoked_at", Timestamp),
    sa.UniqueConstraint("digest"),
)

# Who did what (heed.db.audit). Rows are added and never changed: a trigger refuses it.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("at", Timestamp, nullable=False, server_default=NOW),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),  # heed.db.audit.Action
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("detail", JSONB, nullable=False),
    sa.Index("ix_audit_actor_id", "actor", "id"),
    sa.Index("ix_audit_action_id", "action", "id"),
)
