"""Histories by ref, times by attempt, the order of notifications, and notes on cards.

Only columns, indexes and a table are added, so that a process of the version before keeps working beside this one.

Revision ID: 0003
Revises: 0002
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BATCH = 1000
Ref = tuple[str, str, str, str]

build = sa.table(
    "build",
    *(sa.column(name) for name in ("id", "connection", "pipeline", "build", "data")),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("seen_at", sa.DateTime(timezone=True)),
    sa.column("built_at", sa.DateTime(timezone=True)),
)
attempt = sa.table(
    "attempt",
    *(sa.column(name) for name in ("connection", "pipeline", "build", "ref_kind", "ref_name")),
    sa.column("commit_at", sa.DateTime(timezone=True)),
    sa.column("built_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    time = sa.DateTime(timezone=True)
    with op.batch_alter_table("build", schema=None) as batch_op:
        batch_op.add_column(sa.Column("built_at", time, nullable=True))
        batch_op.add_column(sa.Column("began_at", time, nullable=True))
        batch_op.add_column(sa.Column("waiting_since", time, nullable=True))
        batch_op.add_column(sa.Column("approval_seconds", sa.Float(), server_default="0", nullable=False))
    with op.batch_alter_table("attempt", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ref_kind", sa.String(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("ref_name", sa.String(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("commit_at", time, nullable=True))
        batch_op.add_column(sa.Column("built_at", time, nullable=True))
        batch_op.add_column(sa.Column("approval_seconds", sa.Float(), server_default="0", nullable=False))
        batch_op.create_index(
            "ix_attempt_ref", ["connection", "pipeline", "ref_kind", "ref_name", "commit_at"], unique=False
        )
    with op.batch_alter_table("notification", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ordered_at", time, nullable=True))
        batch_op.add_column(sa.Column("number", sa.BigInteger(), nullable=True))
        batch_op.add_column(sa.Column("first_tried_at", time, nullable=True))
        batch_op.add_column(sa.Column("lost_leases", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "card_note",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("build", sa.String(), nullable=False),
        sa.Column("attempt_no", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("at", time, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_card_note")),
    )
    with op.batch_alter_table("card_note", schema=None) as batch_op:
        batch_op.create_index("ix_card_note_build", ["connection", "pipeline", "build"], unique=False)
        batch_op.create_index("ix_card_note_at", ["at"], unique=False)
    _fill()


def downgrade() -> None:
    raise NotImplementedError


def _fill() -> None:
    """Give the attempts of builds that are still stored the history that their builds tell."""
    connection = op.get_bind()
    first: dict[tuple[Ref, str], datetime] = {}
    for row in _builds(connection):
        data = _read(row.data)
        ref, commit, built_at = _ref(row, data), str(data.get("commit") or "").lower(), _built_at(row, data)
        if ref is not None and commit:
            first[ref, commit] = min(first.get((ref, commit), built_at), built_at)
    of_build, of_attempt = [], []
    for row in _builds(connection):
        data = _read(row.data)
        ref, commit, built_at = _ref(row, data), str(data.get("commit") or "").lower(), _built_at(row, data)
        of_build.append({"of_id": row.id, "to_built_at": built_at})
        if ref is not None:
            of_attempt.append(
                {
                    "of_connection": row.connection,
                    "of_pipeline": row.pipeline,
                    "of_build": row.build,
                    "to_kind": ref[2],
                    "to_name": ref[3],
                    "to_built_at": built_at,
                    "to_commit_at": first.get((ref, commit), built_at),
                }
            )
    if of_build:
        connection.execute(
            sa.update(build).where(build.c.id == sa.bindparam("of_id")).values(built_at=sa.bindparam("to_built_at")),
            of_build,
        )
    if of_attempt:
        connection.execute(
            sa.update(attempt)
            .where(
                attempt.c.connection == sa.bindparam("of_connection"),
                attempt.c.pipeline == sa.bindparam("of_pipeline"),
                attempt.c.build == sa.bindparam("of_build"),
            )
            .values(
                ref_kind=sa.bindparam("to_kind"),
                ref_name=sa.bindparam("to_name"),
                built_at=sa.bindparam("to_built_at"),
                commit_at=sa.bindparam("to_commit_at"),
            ),
            of_attempt,
        )


def _builds(connection: sa.Connection) -> Any:
    after = 0
    while True:
        rows = connection.execute(sa.select(build).where(build.c.id > after).order_by(build.c.id).limit(BATCH)).all()
        if not rows:
            return
        yield from rows
        after = rows[-1].id


def _read(text: str) -> Mapping[str, Any]:
    data = json.loads(text)
    return data if isinstance(data, dict) else {}


def _ref(row: Any, data: Mapping[str, Any]) -> Ref | None:
    """Return whose history a build belongs to, as `Build.history_ref` did when this revision was written."""
    if data.get("pull_request"):
        return row.connection, row.pipeline, "pull_request", str(data["pull_request"])
    if data.get("from_fork"):
        return None
    if data.get("tag"):
        return row.connection, row.pipeline, "tag", str(data["tag"])
    return (row.connection, row.pipeline, "branch", str(data["branch"])) if data.get("branch") else None


def _built_at(row: Any, data: Mapping[str, Any]) -> datetime:
    told = row.created_at or data.get("started_at") or data.get("completed_at") or row.seen_at
    at = datetime.fromisoformat(told) if isinstance(told, str) else told
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
