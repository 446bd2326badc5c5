"""The tables' revision, read without Alembic."""

import pytest
from alembic.script import ScriptDirectory

from bot.store import Store, schema


def test_the_newest_revision_is_the_one_that_alembic_finds() -> None:
    assert schema.newest() == ScriptDirectory.from_config(schema.config()).get_current_head()


async def test_tables_that_are_at_the_newest_revision_are_left_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.migrate()

    def never() -> None:
        raise AssertionError("Alembic was asked")

    monkeypatch.setattr(schema, "config", never)
    await store.migrate()
    assert await store.revision() == store.head() == schema.newest()
