"""Each local CI system that the bot's own provider drives over HTTP, from a list of pipelines to an artifact's bytes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from bot.core.errors import AuthFailed, NotFound
from bot.core.models import Build, BuildFilter, Conclusion, Ref, RefKind, StartRequest, Watched
from bot.providers.base.capabilities import Capability
from tests.playground.driven import Driven, driven


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One system: its connection, the paths of its pipelines, one that tests, one that waits for a person, what it reports."""

    connection: str
    pipelines: frozenset[str]
    tested: str
    gated: str | None
    parameters: dict[str, str]
    branch: str
    wrong: dict[str, object]
    simulated: str = ""
    counts_tests: bool = True
    has_artifacts: bool = True
    options: dict[str, str] = field(default_factory=dict)
    builds: int = 12
    names_builds: bool = True
    has_own_pages: bool = True


KINDS = [
    Kind(
        connection="demo-circleci",
        pipelines=frozenset({"gh/acme/payments", "gh/acme/payments-infra"}),
        tested="gh/acme/payments",
        gated="gh/acme/payments-infra",
        parameters={"suite": "full", "seed": "7"},
        branch="feature/sepa",
        wrong={"token": "wrong"},
    ),
    Kind(
        connection="demo-azure",
        pipelines=frozenset({"atlas-api", "atlas-release"}),
        tested="atlas-api",
        gated="atlas-release",
        parameters={"configuration": "Debug", "runSlowTests": "true"},
        branch="feature/map-tiles",
        wrong={"token": "wrong"},
    ),
    Kind(
        connection="demo-bitbucket",
        pipelines=frozenset({"beacon-web", "beacon-deploy"}),
        tested="beacon-web",
        gated="beacon-deploy",
        parameters={"SUITE": "full", "BROWSER": "chromium"},
        branch="feature/signup",
        wrong={"token": "wrong"},
        has_artifacts=False,
    ),
    Kind(
        connection="demo-travis",
        pipelines=frozenset({"acme/harbor", "acme/harbor-docs"}),
        tested="acme/harbor",
        gated=None,
        parameters={"SUITE": "full run", "RACE": "1"},
        branch="feature/ipv6",
        wrong={"token": "wrong"},
        counts_tests=False,
        has_artifacts=False,
    ),
    Kind(
        connection="demo-truto",
        pipelines=frozenset({"storefront"}),
        tested="storefront",
        gated=None,
        parameters={"level": "full"},
        options={"workflow": "ci.yml"},
        branch="feature/gift-cards",
        wrong={"token": "wrong"},
        simulated="github_actions",
        builds=24,
        counts_tests=False,
        names_builds=False,
        has_own_pages=False,
    ),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.connection)


@asynccontextmanager
async def opened(kind: Kind) -> AsyncIterator[tuple[Driven, str]]:
    """Open a world with a kind's provider, and the id of its tested pipeline."""
    async with driven(kind.connection) as ground:
        yield ground, (await ground.provider.pipeline(kind.tested)).id


async def started(ground: Driven, kind: Kind, pipeline: str, outcome: str, **request: object) -> Build:
    """Start a build by the provider and decide its end."""
    build = await ground.provider.start(pipeline, StartRequest(options=kind.options, **request))  # type: ignore[arg-type]
    await ground.decide_outcome(build, outcome, kind.simulated)
    return build


@each_kind
async def test_the_account_is_known_and_its_pipelines_are_listed(kind: Kind) -> None:
    async with opened(kind) as (ground, tested):
        assert (await ground.provider.check()).name
        listed = {pipeline.id: pipeline async for pipeline in ground.provider.pipelines()}
        assert {pipeline.path for pipeline in listed.values()} == kind.pipelines
        alone = await ground.provider.pipeline(kind.tested)
        assert (alone.id, alone.web_url) == (tested, listed[tested].web_url)
        refs = [ref async for ref in ground.provider.refs(tested)]
        assert any(ref.kind is RefKind.BRANCH for ref in refs)


@each_kind
async def test_a_wrong_credential_is_refused_as_one(kind: Kind) -> None:
    async with driven(kind.connection, **kind.wrong) as ground:
        with pytest.raises(AuthFailed):
            await ground.provider.check()


@each_kind
async def test_what_is_not_there_is_not_found(kind: Kind) -> None:
    async with opened(kind) as (ground, tested):
        newest = await ground.newest(tested)
        ghost = newest.id[:-1] + ("0" if newest.id[-1] != "0" else "1") if "-" in newest.id else "99999999"
        with pytest.raises(NotFound):
            await ground.provider.build(tested, ghost)


@each_kind
async def test_the_history_reads_with_its_numbers_commits_and_pages(kind: Kind) -> None:
    async with opened(kind) as (ground, tested):
        builds = [build async for build in ground.provider.builds(tested, BuildFilter(limit=30))]
        assert len(builds) == kind.builds
        assert all(build.completed and build.conclusion for build in builds)
        assert {build.conclusion for build in builds} >= {Conclusion.PASSED, Conclusion.FAILED}
        newest = builds[0]
        assert newest.commit
        assert newest.web_url
        page = ground.provider.parse_url(newest.web_url)
        if kind.has_own_pages:
            assert page is not None
            assert page.build == newest.id or page.number == newest.number
        shown = await ground.http.get(newest.web_url)
        assert (shown.status_code, shown.headers["content-type"].partition(";")[0]) == (200, "text/html")
        assert (await ground.provider.build(tested, newest.id)).number == newest.number


@each_kind
async def test_a_build_is_started_with_its_branch_and_parameters_and_ends_red_with_its_counts(kind: Kind) -> None:
    async with opened(kind) as (ground, tested):
        build = await started(
            ground, kind, tested, "test_failure",
            ref=Ref(kind=RefKind.BRANCH, name=kind.branch), parameters=kind.parameters,
        )  # fmt: skip
        assert not build.completed
        simulated = max(ground.world.builds, key=lambda each: each.created_at)
        assert (simulated.branch, simulated.env) == (kind.branch, kind.parameters)
        ended = await ground.until(build)
        assert (ended.conclusion, ended.branch, ended.commit) == (
            Conclusion.FAILED,
            kind.branch,
            simulated.commit.sha,
        )
        jobs = await ground.provider.jobs(tested, build.id)
        broken = [job for job in jobs if job.conclusion is Conclusion.FAILED]
        assert broken
        log = await ground.provider.log(broken[-1])
        assert "error:" in log.text
        counts = await ground.provider.counts(ended)
        failures = sum(test.outcome == "failed" for _, test in simulated.tests())
        if kind.counts_tests:
            assert (counts.test_failures, counts.tests_total) == (failures, sum(1 for _ in simulated.tests()))
            assert len(await ground.provider.tests(tested, build.id)) == counts.tests_total


@each_kind
async def test_a_running_build_is_canceled(kind: Kind) -> None:
    async with opened(kind) as (ground, tested):
        build = await started(ground, kind, tested, "pass")
        ground.wait(8)
        await ground.provider.cancel(tested, build.id)
        ended = await ground.until(build)
        assert ended.conclusion is Conclusion.CANCELLED


@each_kind
async def test_a_red_build_runs_again_and_turns_green(kind: Kind) -> None:
    async with opened(kind) as (ground, tested):
        build = await ground.until(await started(ground, kind, tested, "test_failure"))
        failed_only = ground.provider.can(Capability.RETRY_FAILED)
        if failed_only or ground.provider.can(Capability.RETRY_ALL):
            again = await ground.provider.retry(tested, build.id, failed_only=failed_only)
            assert again.id == build.id
            assert again.attempt in {None, 2}
        else:
            again = await ground.provider.rebuild(tested, build.id, StartRequest())
            assert again.id != build.id
        await ground.decide_outcome(again, "pass", kind.simulated)
        assert (await ground.until(again)).conclusion is Conclusion.PASSED


@each_kind
async def test_the_files_of_a_build_are_listed_and_downloaded(kind: Kind) -> None:
    async with opened(kind) as (ground, tested):
        if not kind.has_artifacts:
            assert not ground.provider.can(Capability.ARTIFACTS)
            return
        build = await ground.until(await started(ground, kind, tested, "pass"))
        simulated = max(ground.world.builds, key=lambda each: each.created_at)
        wanted = [artifact for job in simulated.current for artifact in job.artifacts]
        artifacts = await ground.provider.artifacts(tested, build.id)
        assert len(artifacts) == len(wanted) > 0
        chunks = [chunk async for chunk in ground.provider.download(artifacts[0])]
        assert b"".join(chunks) in {artifact.content for artifact in wanted}


@each_kind
async def test_a_build_waits_for_a_person_and_goes_on_when_approved(kind: Kind) -> None:
    if kind.gated is None:
        pytest.skip("nothing waits for a person there")
    async with driven(kind.connection) as ground:
        gated = (await ground.provider.pipeline(kind.gated)).id
        build = await started(ground, kind, gated, "pass")
        held = await ground.until(build, waiting=True)
        assert not held.completed
        (approval,) = await ground.provider.approvals(gated, build.id)
        if ground.provider.can(Capability.DECIDE):
            await ground.provider.decide(approval, approve=True)
        else:  # a person does it on the page
            await ground.control("approval", system=ground.provider.kind, build=ground.simulated_id(), approve=True)
        assert not await ground.provider.approvals(gated, build.id)
        assert (await ground.until(build)).conclusion is Conclusion.PASSED


@each_kind
async def test_the_poll_reports_a_new_build_and_its_end_once(kind: Kind) -> None:
    async with opened(kind) as (ground, tested):
        watched = Watched(pipelines=frozenset({tested}))
        first = await ground.provider.changes(None, watched)
        build = await started(ground, kind, tested, "pass")
        ground.wait(6)
        second = await ground.provider.changes(first.cursor, watched)
        assert build.id in {each.id for each in second.builds}
        open_builds = frozenset({each.key for each in second.builds if each.id == build.id})
        ground.wait(200)
        third = await ground.provider.changes(
            second.cursor, Watched(pipelines=watched.pipelines, unfinished=open_builds)
        )
        assert [each.completed for each in third.builds if each.id == build.id] == [True]
        ground.wait(30)
        fourth = await ground.provider.changes(third.cursor, watched)
        assert [each.id for each in fourth.builds if each.id == build.id and not each.completed] == []


@each_kind
async def test_a_webhook_of_the_builds_end_is_accepted_and_a_forged_one_is_not(kind: Kind) -> None:
    async with opened(kind) as (ground, tested):
        await ground.provider.check()  # Travis CI's key is fetched then
        await ground.control("webhooks", on=True, bot_url="http://bot.test")
        build = await started(ground, kind, tested, "fail")
        ended = await ground.until(build)
        events = await ground.webhooks()
        assert (ended.id if kind.names_builds else None) in {event.build for event in events}
        forged = ground.hooks[-1]
        with pytest.raises(AuthFailed):
            ground.provider.parse_webhook({"content-type": "application/json"}, forged.content, "a-guess")
