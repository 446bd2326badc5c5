"""No secret lies open in the store because somebody typed it into a command."""

import pytest

from bot.core.errors import UsageError
from bot.store import Store
from bot.store.rows import NewAudit, NewSchedule
from tests.bot.store.rows import CHANNEL, CONNECTION, NOW, PIPELINE, TEAM, ago

HERE = (TEAM, CHANNEL, CONNECTION, PIPELINE)
TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ012345"
PARAMETERS = {
    "MODE": "fast",
    "DEPLOY_TOKEN": "hush-hush-7",
    "db_password": "hush-hush-7",
    "NOTE": TOKEN,
    "URL": "https://user:hush-hush-7@ci.example/x",
}


@pytest.mark.parametrize(
    "words",
    ["run web DEPLOY_TOKEN=hush-hush-7", f"run web NOTE={TOKEN}", "run web --option x --password hush-hush-7"],
)
async def test_the_audit_masks_secrets_in_words_and_detail(store: Store, words: str) -> None:
    await store.audit.add(NewAudit(at=NOW, team=TEAM, user="U1", verb="run", words=words, detail=f"refused: {words}"))
    (row,) = await store.audit.since(TEAM, since=ago(days=1))
    for text in (row.words, row.detail):
        assert "run web" in text
        assert "hush-hush-7" not in text
        assert TOKEN not in text


async def test_ordinary_words_stay_in_the_audit(store: Store) -> None:
    await store.audit.add(NewAudit(at=NOW, team=TEAM, user="U1", verb="run", words="run web@main MODE=fast"))
    assert [row.words for row in await store.audit.since(TEAM, since=ago(days=1))] == ["run web@main MODE=fast"]


async def test_presets_and_last_used_values_leave_secrets_out(store: Store) -> None:
    await store.presets.save(*HERE, name="n", parameters=PARAMETERS, most=5)
    await store.last_values.save(TEAM, "U1", CONNECTION, PIPELINE, PARAMETERS)
    assert await store.presets.of_pipeline(*HERE) == {"n": {"MODE": "fast"}}
    assert await store.last_values.get(TEAM, "U1", CONNECTION, PIPELINE) == {"MODE": "fast"}


@pytest.mark.parametrize("command", ["run web DEPLOY_TOKEN=hush-hush-7", f"run web NOTE={TOKEN}"])
async def test_a_schedule_of_a_command_with_a_secret_is_refused(store: Store, command: str) -> None:
    row = NewSchedule(
        team=TEAM, channel=CHANNEL, user="U1", words="daily 9:00", cron="0 9 * * *", tz="UTC", command=command,
        next_at=NOW, created_at=NOW,
    )  # fmt: skip
    with pytest.raises(UsageError, match="password or token"):
        await store.schedules.add(row)
    assert await store.schedules.of_channel(TEAM, CHANNEL) == []
