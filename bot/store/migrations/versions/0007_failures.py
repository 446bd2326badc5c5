"""What is broken: red times of refs in channels, and the ways in which attempts failed.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "red_branch",
        sa.Column("id", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in ("team", "channel", "connection", "pipeline", "ref_kind", "ref_name", "build")
        ),
        sa.Column("link", sa.Integer(), nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("streak", sa.Integer(), nullable=False),
        sa.Column("since", sa.Integer(), nullable=True),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=False),
        sa.Column("claimed_at", TIME, nullable=True),
        sa.Column("escalate_minutes", sa.Integer(), nullable=False),
        sa.Column("escalate_to", sa.String(), nullable=False),
        sa.Column("escalate_at", TIME, nullable=True),
        sa.Column("closed_at", TIME, nullable=True),
        sa.Column("closed_by", sa.Integer(), nullable=True),
        sa.Column("red_seconds", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_red_branch")),
        sa.UniqueConstraint(
            "team",
            "channel",
            "connection",
            "pipeline",
            "build",
            name=op.f("uq_red_branch_team_channel_connection_pipeline_build"),
        ),
    )
    op.create_index("ix_red_branch_ref", "red_branch", ["connection", "pipeline", "ref_kind", "ref_name"])
    op.create_index("ix_red_branch_root", "red_branch", ["connection", "pipeline", "build"])
    op.create_index(op.f("ix_red_branch_opened_at"), "red_branch", ["opened_at"])
    op.create_index(op.f("ix_red_branch_escalate_at"), "red_branch", ["escalate_at"])
    op.create_table(
        "failure",
        sa.Column("id", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("connection", "pipeline", "build")),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=True),
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in ("commit_sha", "ref_kind", "ref_name", "signature", "message", "job")
        ),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failure")),
        sa.UniqueConstraint(
            "connection",
            "pipeline",
            "build",
            "attempt_no",
            "signature",
            name=op.f("uq_failure_connection_pipeline_build_attempt_no_signature"),
        ),
    )
    op.create_index("ix_failure_signature", "failure", ["connection", "pipeline", "signature"])
    op.create_index(op.f("ix_failure_at"), "failure", ["at"])


def downgrade() -> None:
    op.drop_table("failure")
    op.drop_table("red_branch")
