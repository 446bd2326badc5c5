"""What people do together in a channel, over HTTP: follow a log, import a set-up, steal a hold, wait for a green build."""

from bot.blocks.plain import as_text
from tests.e2e.channel import ends, linked, other_member, posted, push
from tests.e2e.stage import Stage

SET_UP = """links:
- pipeline: demo-buildkite:web
  filters: --on failures
- pipeline: demo-buildkite:deploy
"""


def direct(stage: Stage, user: str) -> list[str]:
    """Return what the bot wrote to a person, oldest first."""
    workspace = stage.playground.workspace
    return [
        as_text(stage._payload(message))
        for channel, messages in workspace.messages.items()
        if channel not in stage.channels.values()
        for message in messages.values()
        if user in workspace.channels[channel].members and not message.ephemeral_to
    ]


async def test_a_followed_log_is_one_message_that_grows_until_its_job_ends(prompt: Stage) -> None:
    await prompt.says("link demo-gitlab:acme/backend", "backend")
    await prompt.sees("is linked", "backend")
    before = len(posted(prompt, "backend"))
    pushed = await prompt.ci("push", system="gitlab", pipeline="acme/backend", branch="main", outcome="pass")
    await prompt.ci("speed", factor=0.1)
    await prompt.ci("advance", seconds=60)
    await prompt.says(f"logs backend#{pushed['number']} --follow", "backend")
    first = await prompt.sees("Following; edited every 15 s", "backend")
    await prompt.ci("advance", seconds=20)
    await prompt.until(
        lambda: [text for text in prompt.posts("Following; edited", "backend") if text != first], "a longer log"
    )
    await prompt.ci("speed", factor=1)
    await prompt.ci("finish", system="gitlab", build=pushed["id"], outcome="pass")
    await prompt.ci("advance", seconds=20)
    ended = await prompt.sees("The job has ended: passed", "backend")
    assert not prompt.posts("Following; edited", "backend")
    messages = posted(prompt, "backend") + posted(prompt, "backend", in_thread=True)
    assert messages.count(ended) == 1
    await prompt.until(lambda: len(posted(prompt, "backend")) == before + 2, "the end of the build")


async def test_an_import_shows_what_it_would_change_and_changes_it_when_that_is_confirmed(prompt: Stage) -> None:
    before = await linked(prompt, "all")
    await prompt.says("import", "web")
    view = await prompt.until(lambda: prompt.playground.workspace.views.get(prompt.me), "the form")
    field = view[-1].spec["blocks"][0]
    answer = await prompt.playground.user_actions.submit(
        user=prompt.me,
        view_id=view[-1].id,
        state={field["block_id"]: {field["element"]["action_id"]: {"type": "plain_text_input", "value": SET_UP}}},
    )
    assert answer["ok"], answer
    shown = await prompt.sees("Importing would change 2 things", "web")
    assert "~ link demo-buildkite:web: default on → off, filters --on all → --on failures" in shown
    assert "+ link demo-buildkite:deploy" in shown
    await ends(prompt, "pass")
    await prompt.sees("every finished build on main\n", "web")
    assert len(posted(prompt)) == before + 1
    await prompt.press("Apply", "Importing would change 2 things", "web")
    await prompt.sees("imported the set-up of this channel: 2 changes", "web")
    await ends(prompt, "pass")
    failed = await ends(prompt, "fail")
    await prompt.sees(f"FAILED  Web #{failed['number']}", "web")
    assert len(posted(prompt)) == before + 3


async def test_a_stolen_hold_is_confirmed_and_its_holder_and_who_waits_are_told(prompt: Stage) -> None:
    await linked(prompt, "failures")
    holder = other_member(prompt)
    await prompt.says("hold web --for 2h the shop is down", "web", user=holder)
    await prompt.sees("Others can neither start nor approve", "web")
    await prompt.says("run web@main", "web")
    await prompt.sees("is on hold:", "web")
    await prompt.says("release web --steal", "web")
    await prompt.sees("the holder is told", "web")
    assert not direct(prompt, holder)
    await prompt.press("Release it", "the holder is told", "web")
    await prompt.sees("released Web", "web")
    await prompt.until(lambda: direct(prompt, holder), "the message to the holder")
    (message,) = direct(prompt, holder)
    assert "Your hold of Web was released by" in message


async def test_a_command_that_waits_for_green_runs_once_its_build_passed_and_never_after_a_failure(
    prompt: Stage,
) -> None:
    await linked(prompt, "failures")
    pushed = await push(prompt)
    await prompt.says("run demo-buildkite:web@main COLOUR=after --when green", "web")
    await prompt.sees("will start Web on main when", "web")
    assert not prompt.posts("started #", "web")
    await prompt.ci("finish", system="buildkite", build=pushed["id"], outcome="pass")
    await prompt.sees(f"started #{pushed['number'] + 1} of Web on main", "web")
    build = await prompt.newest("buildkite", "web")
    await prompt.says("run demo-buildkite:web@main COLOUR=never --when green", "web")
    await prompt.until(lambda: len(prompt.posts("will start Web on main when", "web")) == 2, "the second one")
    await prompt.ci("finish", system="buildkite", build=build["id"], outcome="fail")
    refused = await prompt.sees("was not run", "web")
    assert f"Web #{build['number']} ended as failed" in refused
    assert (await prompt.newest("buildkite", "web"))["number"] == build["number"]
