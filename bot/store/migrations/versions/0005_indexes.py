"""Lists of builds are read in the order of an index, and what is pruned or asked about one person is found by one.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ADDED = (
    ("ix_build_newest", "build", ("connection", "pipeline", "built_at")),
    ("ix_build_branch", "build", ("connection", "pipeline", "branch", "built_at")),
    ("ix_link_pipeline", "link", ("connection", "pipeline")),
    ("ix_attempt_seen_at", "attempt", ("seen_at",)),
    ("ix_notification_created_at", "notification", ("created_at",)),
    ("ix_card_notification", "card", ("notification",)),
    ("ix_card_edited_at", "card", ("edited_at",)),
    ("ix_watch_user", "watch", ("team", "user")),
    ("ix_watch_created_at", "watch", ("created_at",)),
    ("ix_identity_user", "identity", ("team", "user")),
)
STARTED_BY = "ix_build_started_by"


def upgrade() -> None:
    build = sa.table("build", *(sa.column(name) for name in ("built_at", "created_at", "completed_at", "seen_at")))
    built_at = sa.func.coalesce(build.c.created_at, build.c.completed_at, build.c.seen_at)
    op.execute(build.update().where(build.c.built_at.is_(None)).values(built_at=built_at))
    for name, table, columns in ADDED:
        op.create_index(name, table, list(columns))
    op.drop_index(STARTED_BY, table_name="build")
    op.create_index(STARTED_BY, "build", ["started_team", "started_by", "built_at"])


def downgrade() -> None:
    op.drop_index(STARTED_BY, table_name="build")
    op.create_index(STARTED_BY, "build", ["started_team", "started_by"])
    for name, table, _ in reversed(ADDED):
        op.drop_index(name, table_name=table)
