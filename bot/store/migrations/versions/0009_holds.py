"""Holds of pipelines, tokens of feeds, chained commands, followed logs.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "hold",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("environment", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("until", TIME, nullable=True),
        sa.Column("made_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hold")),
        sa.UniqueConstraint(
            "team", "connection", "pipeline", "environment", name=op.f("uq_hold_team_connection_pipeline_environment")
        ),
    )
    op.create_index("ix_hold_until", "hold", ["until"], unique=False)
    op.create_table(
        "feed",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed")),
        sa.UniqueConstraint("name", name=op.f("uq_feed_name")),
    )
    op.create_index("ix_feed_channel", "feed", ["team", "channel"], unique=False)

    op.create_table(
        "chain",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("build", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("command", sa.String(), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chain")),
    )
    op.create_index("ix_chain_channel", "chain", ["team", "channel"], unique=False)

    op.create_table(
        "log_follow",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("ts", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("build", sa.String(), nullable=False),
        sa.Column("job", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_follow")),
    )
    op.create_index("ix_log_follow_due_at", "log_follow", ["due_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_log_follow_due_at", table_name="log_follow")
    op.drop_table("log_follow")
    op.drop_index("ix_chain_channel", table_name="chain")
    op.drop_table("chain")
    op.drop_index("ix_feed_channel", table_name="feed")
    op.drop_table("feed")
    op.drop_index("ix_hold_until", table_name="hold")
    op.drop_table("hold")
