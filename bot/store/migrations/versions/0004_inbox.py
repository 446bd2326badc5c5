"""The inbox; presets, last used values, switches, claims, bindings and one-use tokens get tables of their own.

Revision ID: 0004
Revises: 0003
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LAST_USED_FOR = timedelta(days=30)
BATCH = 500
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "preset",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("parameters", sa.String(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_preset")),
        sa.UniqueConstraint(
            "team",
            "channel",
            "connection",
            "pipeline",
            "name",
            name=op.f("uq_preset_team_channel_connection_pipeline_name"),
        ),
    )
    op.create_table(
        "last_value",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("parameters", sa.String(), nullable=False),
        sa.Column("used_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_last_value")),
        sa.UniqueConstraint(
            "team", "user", "connection", "pipeline", name=op.f("uq_last_value_team_user_connection_pipeline")
        ),
    )
    op.create_index("ix_last_value_used_at", "last_value", ["used_at"], unique=False)
    op.create_table(
        "switch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_switch")),
        sa.UniqueConstraint("team", "channel", "name", name=op.f("uq_switch_team_channel_name")),
    )
    op.create_table(
        "claim",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("build", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claim")),
        sa.UniqueConstraint(
            "team", "connection", "pipeline", "build", name=op.f("uq_claim_team_connection_pipeline_build")
        ),
    )
    op.create_index("ix_claim_until", "claim", ["until"], unique=False)
    op.create_table(
        "workspace",
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("enterprise", sa.String(), nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("team", name=op.f("pk_workspace")),
    )
    op.create_table(
        "binding",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("bound_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_binding")),
    )
    op.create_table(
        "token",
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_token")),
    )
    op.create_index("ix_token_until", "token", ["until"], unique=False)
    op.create_table(
        "inbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("lease_owner", sa.String(), nullable=False),
        sa.Column("lease_until", TIME, nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("closed_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox")),
        sa.UniqueConstraint("key", name=op.f("uq_inbox_key")),
    )
    op.create_index("ix_inbox_open", "inbox", ["closed_at", "lease_until"], unique=False)
    op.create_index("ix_build_number", "build", ["connection", "pipeline", "number"], unique=False)
    op.create_index("ix_attempt_ended", "attempt", ["connection", "pipeline", "completed_at"], unique=False)
    op.create_index("ix_build_started_by", "build", ["started_team", "started_by"], unique=False)
    _move_what_was_seen()
    op.drop_table("seen")


def downgrade() -> None:
    raise NotImplementedError


def _move_what_was_seen() -> None:
    """Copy the rows of `seen` to the tables of their subjects, by the beginning of their keys.

    A channel's presets were one row; `claim`, `used` and `presets` end with ids that may hold colons themselves.
    """
    seen = sa.table("seen", sa.column("key", sa.String()), sa.column("until", TIME), sa.column("value", sa.String()))
    connection = op.get_bind()
    rows: dict[str, list[dict[str, Any]]] = {}
    for key, until, value in connection.execute(sa.select(seen.c.key, seen.c.until, seen.c.value)).all():
        ends = until.replace(tzinfo=UTC) if until.tzinfo is None else until
        for name, row in _rows(connection, key, ends, value):
            rows.setdefault(name, []).append(row)
    for name, values in rows.items():
        target = sa.table(name, *(sa.column(column, _type(value)) for column, value in values[0].items()))
        for start in range(0, len(values), BATCH):
            connection.execute(sa.insert(target), values[start : start + BATCH])


def _type(value: object) -> sa.types.TypeEngine[Any]:
    return TIME if isinstance(value, datetime) else sa.String()


def _rows(connection: sa.Connection, key: str, until: datetime, value: str) -> list[tuple[str, dict[str, Any]]]:
    prefix, _, rest = key.partition(":")
    match prefix:
        case "presets":
            team, channel, target = _three(rest)
            name, pipeline = _split(target)
            presets = json.loads(value or "{}")
            return [
                (
                    "preset",
                    {
                        "team": team,
                        "channel": channel,
                        "connection": name,
                        "pipeline": pipeline,
                        "name": preset,
                        "parameters": json.dumps(parameters),
                        "made_at": datetime.now(UTC),
                    },
                )
                for preset, parameters in presets.items()
            ]
        case "used":
            team, user, target = _three(rest)
            name, pipeline = _split(target)
            return [
                (
                    "last_value",
                    {
                        "team": team,
                        "user": user,
                        "connection": name,
                        "pipeline": pipeline,
                        "parameters": value or "{}",
                        "used_at": until - LAST_USED_FOR,
                    },
                )
            ]
        case "reactions":
            team, _, channel = rest.partition(":")
            return [("switch", {"team": team, "channel": channel, "name": "reactions"})]
        case "claim":
            team, _, target = rest.partition(":")
            name, ids = _split(target)
            pipeline, build = _build_of(connection, name, ids)
            return [
                (
                    "claim",
                    {
                        "team": team,
                        "connection": name,
                        "pipeline": pipeline,
                        "build": build,
                        "user": value,
                        "until": until,
                    },
                )
            ]
        case "organization":
            return [("workspace", {"team": rest, "enterprise": value, "seen_at": datetime.now(UTC)})]
        case _:
            return [("token", {"key": key, "until": until, "value": value})]


def _three(rest: str) -> tuple[str, str, str]:
    first, _, more = rest.partition(":")
    second, _, last = more.partition(":")
    return first, second, last


def _split(target: str) -> tuple[str, str]:
    """Return a connection's name, which holds no colon, and the ids that follow it, which may."""
    connection, _, ids = target.partition(":")
    return connection, ids


def _build_of(connection: sa.Connection, name: str, ids: str) -> tuple[str, str]:
    """Return the pipeline and the build that two ids joined by a colon name, by the builds that are match."""
    match = connection.execute(
        sa.text("SELECT pipeline, build FROM build WHERE connection = :name AND pipeline || ':' || build = :ids"),
        {"name": name, "ids": ids},
    ).first()
    if match is not None:
        return str(match[0]), str(match[1])
    pipeline, _, build = ids.rpartition(":")
    return pipeline, build
