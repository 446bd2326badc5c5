"""Personal tokens, by which programs act as people; when webhooks came and credentials end.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "personal_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("enterprise", sa.String(), nullable=False),
        sa.Column("is_enterprise_install", sa.Boolean(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("used_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_personal_token")),
        sa.UniqueConstraint("team", "user", "name", name=op.f("uq_personal_token_team_user_name")),
        sa.UniqueConstraint("digest", name=op.f("uq_personal_token_digest")),
    )

    op.create_table(
        "connection_health",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("webhook_at", TIME, nullable=True),
        sa.Column("expires_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_connection_health")),
    )


def downgrade() -> None:
    op.drop_table("connection_health")
    op.drop_table("personal_token")
