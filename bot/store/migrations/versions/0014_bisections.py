"""Searches for a commit that broke a branch, the builds that serve them, who waits for a hold's end, settings of channels.

Revision ID: 0014
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def upgrade() -> None:
    op.create_table(
        "bisection",
        sa.Column("id", sa.Integer(), nullable=False),
        *_texts("team", "channel", "user", "connection", "pipeline", "label", "state", "ended_by"),
        sa.Column("running", sa.String(), nullable=True),
        *_texts("data", "ts"),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bisection")),
        sa.UniqueConstraint("running", name=op.f("uq_bisection_running")),
    )
    op.create_index("ix_bisection_due", "bisection", ["state", "due_at"])
    op.create_table(
        "hold_wait",
        sa.Column("id", sa.Integer(), nullable=False),
        *_texts("team", "connection", "pipeline", "environment", "user", "what"),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold_wait")),
        sa.UniqueConstraint("team", "connection", "pipeline", "environment", "user"),
    )
    op.create_table(
        "channel_setting",
        sa.Column("id", sa.Integer(), nullable=False),
        *_texts("team", "channel", "name", "value"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_setting")),
        sa.UniqueConstraint("team", "channel", "name"),
    )
    with op.batch_alter_table("build") as batch_op:
        batch_op.add_column(sa.Column("purpose", sa.String(), server_default="", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("build") as batch_op:
        batch_op.drop_column("purpose")
    op.drop_table("channel_setting")
    op.drop_table("hold_wait")
    op.drop_table("bisection")
