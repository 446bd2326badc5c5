"""Each approval of an attempt is a notification of its own: `turn` counts them. A note on a card may link to what replaced its build.

The unique constraint grows by the column, so processes of the version before cannot add notifications any more.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

KEY = ["team", "channel", "link", "connection", "pipeline", "build", "attempt_no", "event"]


def upgrade() -> None:
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.add_column(sa.Column("turn", sa.Integer(), server_default="1", nullable=False))
        batch_op.drop_constraint("uq_notification_once", type_="unique")
        batch_op.create_unique_constraint("uq_notification_once", [*KEY, "turn"])
    with op.batch_alter_table("card_note", schema=None) as batch_op:
        batch_op.add_column(sa.Column("url", sa.String(), server_default="", nullable=False))


def downgrade() -> None:
    op.execute("DELETE FROM notification WHERE turn > 1")
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.drop_constraint("uq_notification_once", type_="unique")
        batch_op.create_unique_constraint("uq_notification_once", KEY)
        batch_op.drop_column("turn")
    with op.batch_alter_table("card_note", schema=None) as batch_op:
        batch_op.drop_column("url")
