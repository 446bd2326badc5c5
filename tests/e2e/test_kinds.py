"""The CI systems that joined the playground later, from a typed command to the last post, through Slack."""

from dataclasses import dataclass

import pytest

from tests.e2e.stage import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A pipeline as it is typed, where its builds are simulated, and whether its failed jobs run again."""

    typed: str
    system: str
    pipeline: str
    options: str = ""
    label: str
    runs_again: bool = True


KINDS = [
    Kind(typed="payments", system="circleci", pipeline="gh/acme/payments", label="CircleCI"),
    Kind(typed="atlas-api", system="azure_devops", pipeline="Atlas/atlas-api", label="Azure DevOps"),
    Kind(typed="beacon-web", system="bitbucket", pipeline="beacon-web", label="Bitbucket", runs_again=False),
    Kind(typed="demo-travis:acme/harbor", system="travis", pipeline="acme/harbor", label="Travis CI"),
    Kind(
        typed="demo-truto:storefront",
        system="github_actions",
        pipeline="acme/storefront/ci.yml",
        options="--option workflow=ci.yml",
        label="Truto",
    ),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.label)
async def test_a_build_is_started_read_and_run_again_with_two_posts_for_its_run(stage: Stage, kind: Kind) -> None:
    name = kind.typed.rpartition("/")[2].rpartition(":")[2]
    await stage.says(f"run {kind.typed}@main {kind.options}".strip(), "web")
    await stage.sees(f"of {name} on main", "web")
    build = await stage.newest(kind.system, kind.pipeline)
    await stage.ci("finish", system=kind.system, build=build["id"], outcome="test_failure")
    ended = await stage.sees("Newly broken", "web")
    assert "FAILED" in ended
    assert kind.label in ended
    assert "1 error" in ended
    await stage.sees("Failed", "web")
    assert len(stage.shown("web")) == 2, stage.shown("web")
    await stage.says(f"status {kind.typed}", "web")
    assert "Failed" in await stage.sees("Builds in #web", "web")
    await stage.says(f"logs {kind.typed}", "web")
    assert "error:" in await stage.sees("Errors of", "web")
    await stage.says(f"retry {kind.typed}", "web")
    if kind.runs_again:
        await stage.sees("retried the failed jobs", "web")
        assert (await stage.newest(kind.system, kind.pipeline))["attempt"] == 2
    else:
        await stage.sees("cannot run the failed steps again", "web")
