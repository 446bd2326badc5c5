from dataclasses import FrozenInstanceError, dataclass, fields

import pytest

from bot.store import Store, mapping
from bot.store.mapping import LINK, RowMap, values
from bot.store.rows import LinkRow, NewLink
from bot.store.states import NotificationEvent, NotificationState
from tests.bot.store.rows import CHANNEL, NOW, TEAM, key, link, notification

MAPS = [each for each in vars(mapping).values() if isinstance(each, RowMap)]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSwitch:
    id: int
    team: str
    channel: str
    title: str


def test_a_dataclass_whose_fields_are_not_the_columns_is_refused_on_first_use() -> None:
    with pytest.raises(TypeError, match=r"OtherSwitch and `switch` differ: .*title"):
        RowMap(OtherSwitch, "switch").select()


@pytest.mark.parametrize("each", MAPS, ids=lambda each: each.table.name)
def test_each_row_has_the_columns_of_its_table_and_an_id_that_is_a_number(each: RowMap[LinkRow]) -> None:
    assert {field.name for field in fields(each._row)} == set(each.c.keys())
    assert [field.type for field in fields(each._row) if field.name == "id"] in ([int], [])


async def test_a_row_comes_back_frozen_with_the_id_that_the_database_gave(store: Store) -> None:
    new = NewLink(**values(link(alias="web")))
    saved = await store.links.save(new)
    (read,) = await store.links.of_channel(TEAM, CHANNEL)
    assert saved == read == LinkRow(id=saved.id, **values(new))
    assert (read.id > 0, read.created_at, read.subscribed) == (True, NOW, True)
    with pytest.raises(FrozenInstanceError):
        read.alias = "other"  # type: ignore[misc] # what must not go


async def test_states_come_back_as_enumerations(store: Store) -> None:
    await store.notifications.add([notification()])
    (read,) = await store.notifications.of_build(key())
    assert read.state is NotificationState.PENDING
    assert read.event is NotificationEvent.FINISHED


def test_values_leave_the_id_to_the_database() -> None:
    assert set(values(link())) == set(LINK.c.keys()) - {"id"}
