"""Which builds are rows on the card of which commit.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "commit_row",
        sa.Column("id", sa.Integer(), nullable=False),
        *(
            sa.Column(name, sa.String(), nullable=False)
            for name in ("connection", "pipeline", "build", "card", "pull", "commit_sha", "head_sha")
        ),
        sa.Column("built_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commit_row")),
        sa.UniqueConstraint("connection", "pipeline", "build"),
    )
    op.create_index("ix_commit_row_card", "commit_row", ["card"])
    op.create_index("ix_commit_row_pull", "commit_row", ["pull"])
    op.create_index("ix_commit_row_built_at", "commit_row", ["built_at"])


def downgrade() -> None:
    op.drop_table("commit_row")
