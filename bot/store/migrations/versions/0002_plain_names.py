"""Poll targets, attempts and notifications get the names that the code has now.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# old table, new table, columns that change their names
TABLES = (
    ("lane", "poll_target", {"told_at": "notified_at", "looked_at": "polled_at"}),
    ("round", "attempt", {"round": "attempt_no"}),
    ("notice", "notification", {"round": "attempt_no"}),
)
COLUMNS = (
    ("build", "round", "attempt_no"),
    ("card", "round", "attempt_no"),
    ("card", "notice", "notification"),
    ("connection", "told_at", "notified_at"),
)


def upgrade() -> None:
    op.create_table(
        "poll_target",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("cursor", sa.String(), nullable=False),
        sa.Column("hints", sa.String(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("poll_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("interval_seconds", sa.Float(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.String(), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("notified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_poll_target")),
        sa.UniqueConstraint("connection", "part", name=op.f("uq_poll_target_connection_part")),
    )
    with op.batch_alter_table("poll_target", schema=None) as batch_op:
        batch_op.create_index("ix_poll_target_due_at", ["due_at"], unique=False)
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("build", sa.String(), nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("branch", sa.String(), nullable=False),
        sa.Column("commit_sha", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("conclusion", sa.String(), nullable=False),
        sa.Column("counts", sa.String(), nullable=False),
        sa.Column("counts_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("counts_tries", sa.Integer(), nullable=False),
        sa.Column("failures", sa.String(), nullable=False),
        sa.Column("failures_total", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint(
            "connection",
            "pipeline",
            "build",
            "attempt_no",
            name=op.f("uq_attempt_connection_pipeline_build_attempt_no"),
        ),
    )
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.create_index("ix_attempt_counts_due_at", ["counts_due_at"], unique=False)
        batch_op.create_index("ix_attempt_history", ["connection", "pipeline", "branch", "completed_at"], unique=False)
    op.create_table(
        "notification",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("link", sa.Integer(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("build", sa.String(), nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("extra", sa.String(), nullable=False),
        sa.Column("thread", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("unsure", sa.Boolean(), nullable=False),
        sa.Column("moved", sa.Boolean(), nullable=False),
        sa.Column("ts", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notification")),
        sa.UniqueConstraint(
            "team",
            "channel",
            "link",
            "connection",
            "pipeline",
            "build",
            "attempt_no",
            "event",
            name="uq_notification_once",
        ),
    )
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.create_index("ix_notification_build", ["connection", "pipeline", "build"], unique=False)
        batch_op.create_index("ix_notification_channel_order", ["team", "channel", "state", "id"], unique=False)
        batch_op.create_index("ix_notification_due", ["state", "due_at"], unique=False)
    for old, new, renamed in TABLES:
        _copy(old, new, renamed)
        op.drop_table(old)
    for table, old, new in COLUMNS:
        op.execute(sa.text(f'ALTER TABLE "{table}" RENAME COLUMN "{old}" TO "{new}"'))


def downgrade() -> None:
    raise NotImplementedError


def _copy(old: str, new: str, renamed: dict[str, str]) -> None:
    connection = op.get_bind()
    columns = [column["name"] for column in sa.inspect(connection).get_columns(old)]
    source = ", ".join(f'"{column}"' for column in columns)
    target = ", ".join(f'"{renamed.get(column, column)}"' for column in columns)
    op.execute(sa.text(f'INSERT INTO "{new}" ({target}) SELECT {source} FROM "{old}"'))
    if connection.dialect.name == "postgresql":
        highest = f'(SELECT COALESCE(MAX(id), 0) + 1 FROM "{new}")'
        op.execute(sa.text(f"SELECT setval(pg_get_serial_sequence('{new}', 'id'), {highest}, false)"))
