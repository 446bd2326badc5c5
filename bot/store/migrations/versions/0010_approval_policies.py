"""What approvals need beyond a role, who has approved what; exceptions of quiet hours, and mutes of a person.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def upgrade() -> None:
    op.create_table(
        "approval_policy",
        sa.Column("id", sa.Integer(), nullable=False),
        *_texts("team", "pipelines", "refs"),
        sa.Column("no_self", sa.Boolean(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("needs_comment", sa.Boolean(), nullable=False),
        *_texts("set_by"),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("team", "pipelines", "refs"),
    )
    op.create_table(
        "vote",
        sa.Column("id", sa.Integer(), nullable=False),
        *_texts("team", "connection", "pipeline", "build"),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        *_texts("approval", "name", "user"),
        sa.Column("approve", sa.Boolean(), nullable=False),
        *_texts("comment", "salt", "digest"),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("connection", "pipeline", "build", "attempt_no", "team", "approval", "user"),
    )
    op.create_index("ix_vote_at", "vote", ["at"])
    with op.batch_alter_table("mute") as batch_op:
        for name in ("exceptions", "people"):
            batch_op.add_column(sa.Column(name, sa.String(), server_default="", nullable=False))


def downgrade() -> None:
    with op.batch_alter_table("mute") as batch_op:
        batch_op.drop_column("people")
        batch_op.drop_column("exceptions")
    op.drop_table("vote")
    op.drop_table("approval_policy")
