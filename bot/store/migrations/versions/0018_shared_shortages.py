"""Processes tell each other when a limit was learned, and which purpose was held back.

Revision ID: 0018
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("budget", sa.Column("learned_ago", sa.Float(), nullable=False, server_default="0"))
    op.add_column("budget", sa.Column("short", sa.String(), nullable=False, server_default=""))
    op.add_column("budget", sa.Column("short_ago", sa.Float(), nullable=False, server_default="0"))


def downgrade() -> None:
    op.drop_column("budget", "short_ago")
    op.drop_column("budget", "short")
    op.drop_column("budget", "learned_ago")
