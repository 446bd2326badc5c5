"""GitHub Actions, REST API 2022-11-28: github.com, and Enterprise Server at https://HOST/api/v3.

Pages: https://docs.github.com/en/rest/actions and https://docs.github.com/en/webhooks, read in August 2026. A pipeline is
a workflow, `owner/repo/NUMBER`; a build is a run, an attempt one of its attempts. Limits: 5,000 requests an hour for a user,
up to 12,500 for an App's installation (unchanged lists are free), bursts limited apart; 100 items a page.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import ClassVar
from urllib.parse import parse_qs, quote

import httpx
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import (
    AuthFailed,
    NotFound,
    ProviderError,
    RateLimited,
    Rejected,
    Unavailable,
    Unsupported,
    UsageError,
)
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    Changes,
    Issue,
    IssueCounts,
    Job,
    Log,
    Page,
    Parameter,
    Pipeline,
    Ref,
    RefKind,
    StartRequest,
    Status,
    Watched,
    WebhookEvent,
)
from bot.core.workers import in_worker
from bot.http.client import Api, Query, Quota, Reply, message_of
from bot.providers.base.capabilities import Capability
from bot.providers.base.listing import SEARCH_PAGES, parse_items
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.base.provider import Provider
from bot.providers.base.webhooks import same_secret
from bot.providers.github_actions import convert, limits, urls, wire
from bot.providers.github_actions.annotations import Complaints
from bot.providers.github_actions.auth import LABEL, AppAuth, GitHubOptions, TokenAuth, signing_key
from bot.providers.github_actions.catalogue import Catalogue
from bot.providers.github_actions.identity import Identity
from bot.providers.github_actions.poll import Poll
from bot.providers.github_actions.start import Dispatcher, Sent
from bot.providers.github_actions.urls import Place

PER_PAGE = 100
JOB_PAGES = 10
ARTIFACT_PAGES = 10
REMEMBERED = 512
SETTLES = (0.0, 1.0, 2.0)
"""Pauses, in seconds, before each look at a run that was told to change."""


class GitHubActions(Provider[GitHubOptions]):
    """The workflows of one owner's repositories; runs are builds."""

    kind = "github_actions"
    label = LABEL
    takes_message = False
    default_url = "https://api.github.com"
    page = "https://docs.github.com/en/rest/actions"
    states = convert.STATES
    options_type = GitHubOptions
    capabilities = frozenset(
        {
            Capability.REFS,
            Capability.PARAMETERS,
            Capability.START,
            Capability.CANCEL,
            Capability.REBUILD,
            Capability.RETRY_ALL,
            Capability.RETRY_FAILED,
            Capability.RETRY_JOB,
            Capability.ERASE,
            Capability.JOBS,
            Capability.LOG,
            Capability.ARTIFACTS,
            Capability.DOWNLOAD,
            Capability.ISSUES,
            Capability.COUNTS,
            Capability.APPROVALS,
            Capability.DECIDE,
            Capability.REJECT,
            Capability.WEBHOOK,
        }
    )
    refusals: ClassVar[Mapping[Capability, tuple[str, str]]] = {
        Capability.REJECT: (
            "A GitHub App can't review a deployment: GitHub's reviewers are people and teams.",
            "A reviewer decides on the run's page, or the run is cancelled.",
        ),
        Capability.LIVE_LOG: (
            "GitHub hands out a job's log only after the job has ended.",
            "Watch it on the job's page.",
        ),
        Capability.TESTS: (
            "GitHub Actions knows no tests, only jobs and their annotations.",
            "See what failed with `/build issues`, or read the report among the artifacts.",
        ),
        Capability.PIPELINE_ADMIN: (
            "GitHub's workflows are files of the repository, and I don't change those.",
            "Edit the file under .github/workflows; a workflow is switched off on its page under Actions.",
        ),
        Capability.ACCOUNT_POLL: (
            "GitHub has no list of all runs of an owner, so each watched repository is asked by itself.",
            "With a webhook for `workflow_run` changes are known at once.",
        ),
    }

    def __init__(
        self, api: Api, options: GitHubOptions, *, connection: str, clock: Clock, sleep: Sleep = sleep
    ) -> None:
        super().__init__(api, options, connection=connection, clock=clock, sleep=sleep)
        if options.is_app:
            self.capabilities = self.capabilities - {Capability.REJECT}
        self._web = urls.web(self.base_url(options))
        self._poll = Poll(self, api)
        self._catalogue = Catalogue(api, options)
        self._annotations_of = Complaints(self, api, clock=clock)
        self._identity = Identity(api, options, clock=clock)
        self._dispatcher = Dispatcher(api, clock=clock, sleep=sleep, login=self._identity.login)
        self._suites: dict[str, int] = {}

    @override
    @classmethod
    def auth(cls, options: GitHubOptions, clock: Clock) -> httpx.Auth:
        if options.token is not None:
            return TokenAuth(options.token)
        return AppAuth(
            signing_key(options.private_key.get_secret_value() if options.private_key else ""),
            app_id=options.app_id,
            installation_id=options.installation_id,
            base_url=cls.base_url(options),
            clock=clock,
        )

    @override
    @classmethod
    def headers(cls, options: GitHubOptions) -> Mapping[str, str]:
        return {
            "Accept": "application/vnd.github+json",
            "User-Agent": "buildbell",
            limits.VERSION_HEADER: options.api_version,
        }

    @override
    @classmethod
    def map_error(cls, reply: Reply) -> ProviderError | None:
        wait = limits.limited(reply)
        if wait is not None:
            return RateLimited(
                f"{cls.label} asks me to slow down.", provider=cls.label, status=reply.status, retry_after=wait
            )
        if reply.status != httpx.codes.FORBIDDEN:
            return None
        said = message_of(reply)
        return AuthFailed(
            f"{cls.label} does not let this connection do that{f': {said}' if said else ''}.",
            provider=cls.label,
            status=reply.status,
            hint=limits.lacking(reply.headers),
        )

    @override
    @classmethod
    def read_quota(cls, headers: httpx.Headers, now: datetime) -> Quota | None:
        return limits.quota(headers)

    @override
    async def check(self) -> Account:
        """Costs one request for a token, one more where its user is not the owner; four for an App."""
        return await self._identity.account()

    @override
    def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        """Yield workflows, those of the repositories last pushed to first.

        Costs a request for each hundred repositories and one for each repository, at most 200 of these. A query
        with a slash narrows the repositories, too.
        """
        return self._catalogue.pipelines(query)

    @override
    async def pipeline(self, path: str) -> Pipeline:
        """Return a workflow. Costs two requests, one more for a run's and for one that is named otherwise."""
        return await self._catalogue.pipeline(self.place(path))

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        at = await self._catalogue.workflow_at(self.place(pipeline))
        commit = (wanted.commit or "").lower()
        is_whole = len(commit) == 40  # the list takes only whole ones; short ones are looked for here
        state = convert.LISTED.get(next(iter(wanted.states))) if len(wanted.states) == 1 else None
        narrowed = (is_whole or not commit) and (state is not None or not wanted.states)
        query: Query = {
            "branch": wanted.branch,
            "head_sha": commit if is_whole else None,
            "status": state,
            "per_page": min(max(wanted.limit, 1), PER_PAGE) if narrowed else PER_PAGE,
        }
        left = wanted.limit
        async for page in self._api.pages(f"{at}/runs", query, member="workflow_runs", ceiling=SEARCH_PAGES):
            for run in parse_items(page, wire.Run.of):
                build = self.plain(run, self._named(pipeline, run))
                if left > 0 and wanted.admits(build):
                    left -= 1
                    yield build
            if left <= 0:
                return

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        """Return one run. Costs one request while it is queued, then one more for its jobs."""
        run = await self._run(self.place(pipeline), build)
        it = self.plain(run, self._named(pipeline, run))
        return it if it.status is Status.QUEUED else await self._with_jobs(it)

    @override
    def poll_target(self, pipeline: str) -> str:
        """Return the repository: each has a list of its own."""
        where = urls.place(pipeline, self.options.owner)
        return where.repository.lower() if where else ""

    @override
    async def changes(self, cursor: str | None, watched: Watched) -> Changes:
        """One conditional request a tick for a watched repository; one more for each run that has just ended.

        Unfinished runs older than the newest thirty cost one conditional request each. Unchanged lists and runs are
        not counted by GitHub.
        """
        return await self._poll.changes(cursor, watched)

    @override
    def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        """Yield branches, then tags: all that begin with `query`, then those of the first 300 that hold it."""
        return self._catalogue.refs(self.place(pipeline), query)

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        """Return the inputs that the workflow's file declares on a ref.

        Costs two requests, one more where an input names an environment. Empty where the token may not read the file.
        """
        return await self._catalogue.parameters(self.place(pipeline), ref)

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        """Start a workflow on a branch or a tag and return the run that GitHub names, or the only one that can be ours.

        Costs three requests; see `Dispatcher.send` for older servers.
        """
        ref = request.ref
        self._refuse_what_a_dispatch_lacks(request)
        at = await self._catalogue.workflow_at(self.place(pipeline))
        if ref is None:
            ref = Ref(kind=RefKind.BRANCH, name=await self._catalogue.default_branch(self.place(pipeline)))
        try:
            sent = await self._dispatcher.send(at, ref, request.parameters, self.send_once)
        except Rejected as exc:
            exc.hint = exc.hint or _start_hint(str(exc))
            raise
        return await self._started(pipeline, ref, sent)

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        """Stop a run and read it until that shows, at most three times: GitHub stops it in its own time."""
        at = self._run_at(pipeline, build)

        async def send() -> Build:
            await self._api.post(f"{at}/cancel")
            return await self._settled(pipeline, build, lambda it: it.completed)

        async def confirm() -> Build | None:
            now = await self.build(pipeline, build)
            return now if now.completed else None

        return await self.send_once(send, confirm)

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        """Run all jobs of a run again, at its commit and with its inputs: the same run's next attempt."""
        if request.parameters or request.message or request.options:
            raise Unsupported(
                "GitHub runs a build again as it was, not with other values.",
                provider=self.label,
                hint="Start a new one with them: `/build run`.",
            )
        return await self._again(pipeline, build, f"{self._run_at(pipeline, build)}/rerun")

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        """Run jobs again as the run's next attempt. Costs three requests. Raises Rejected while the run goes on."""
        if job is not None:
            where = self.place(pipeline)
            return await self._again(pipeline, build, f"{where.root}/actions/jobs/{quote(job, safe='')}/rerun")
        at = self._run_at(pipeline, build)
        return await self._again(pipeline, build, f"{at}/rerun-failed-jobs" if failed_only else f"{at}/rerun")

    @override
    async def erase(self, pipeline: str, build: str) -> Build:
        """Delete a completed run's artifacts and logs. Costs a request for each artifact, and four."""
        now = self.plain(await self._run(self.place(pipeline), build), pipeline)
        if not now.completed:
            raise Rejected(
                "GitHub deletes logs only after the whole run has ended.", provider=self.label, hint="Cancel it first."
            )
        root = self.place(pipeline).root
        for one in await self.artifacts(pipeline, build):
            await self._api.send("DELETE", f"{root}/actions/artifacts/{quote(one.id, safe='')}")
        await self._api.send("DELETE", f"{self._run_at(pipeline, build)}/logs")
        return await self.build(pipeline, build)

    @override
    async def jobs(self, pipeline: str, build: str) -> tuple[Job, ...]:
        """Return the jobs of the run's latest attempt; jobs that passed before stand in it, too."""
        path = f"{self._run_at(pipeline, build)}/jobs"
        query: Query = {"filter": "latest", "per_page": PER_PAGE}
        pages = self._api.pages(path, query, member="jobs", ceiling=JOB_PAGES)
        return tuple([convert.job(wire.JobWire.of(it), pipeline, build) async for page in pages for it in page])

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        """Return the end of a job's log. GitHub sends all of it: only its end is kept. Costs two requests."""
        try:
            data, cut = await self._api.tail(self._log_at(job), keep=tail_bytes)
        except NotFound as exc:
            raise NotFound(
                "GitHub has no log of this job now.",
                provider=self.label,
                status=exc.status,
                hint="Logs come after a job, sometimes only after the whole run, has ended, and are deleted in time.",
            ) from exc
        text = await in_worker(convert.plain_log, data.partition(b"\n")[2] if cut and b"\n" in data else data)
        return Log(text=text, truncated=cut, job=job.name, url=job.web_url)

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        path = f"{self._run_at(pipeline, build)}/artifacts"
        pages = self._api.pages(path, {"per_page": PER_PAGE}, member="artifacts", ceiling=ARTIFACT_PAGES)
        found = [wire.ArtifactWire.of(it) async for page in pages for it in page]
        page_url = self._page(pipeline, build)
        return tuple(convert.artifact(it, pipeline, build, page_url) for it in found if not it.expired)

    @override
    def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        root = self.place(artifact.pipeline).root
        return self._api.download(f"{root}/actions/artifacts/{quote(artifact.id, safe='')}/zip")

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        """Return annotations, errors first, and failed jobs that have none. Costs as much as `counts`."""
        return await self._annotations_of.issues(pipeline, build)

    @override
    async def counts(self, build: Build) -> IssueCounts:
        """Return errors and warnings from the annotations of the run's jobs; GitHub knows no tests and no analyzers.

        Costs one request (two for a run not seen lately), and one for each job with annotations, fifty at most. Where
        the token may not read checks: one for the jobs and one for the log of each failed job, five at most.
        """
        return await self._annotations_of.counts(build.pipeline, build.id, build.conclusion)

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        """Return the deployments that wait, or the approval that a fork's run waits for. Costs one or two requests."""
        page = self._page(pipeline, build)
        reply = await self._api.get(f"{self._run_at(pipeline, build)}/pending_deployments")
        waiting = [wire.Pending.of(it) for it in reply.items()]
        if waiting:
            return tuple(convert.approval(it, pipeline, build, page, by_app=self.options.is_app) for it in waiting)
        run = await self._run(self.place(pipeline), build)
        return (convert.fork_approval(pipeline, build, page),) if _waits_for_approval(run) else ()

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        """Review a deployment in the token owner's name, or let a fork's run start. Costs one request and a read.

        An App is no reviewer: it lets forks' runs start, and nothing else.
        """
        is_fork = approval.id == convert.FORK_GATE
        if is_fork and not approve:
            raise Unsupported(
                "GitHub can let a fork's run start, but not reject it.",
                provider=self.label,
                hint=f"Leave it waiting, or close the pull request: {approval.url or ''}".strip(),
            )
        if self.options.is_app and not is_fork:
            raise self.unsupported(Capability.REJECT, approval.url)
        at = self._run_at(approval.pipeline, approval.build)

        async def send() -> Build:
            if is_fork:
                await self._api.post(f"{at}/approve")
            else:
                await self._review(approval, f"{at}/pending_deployments", comment, approve=approve)
            return await self.build(approval.pipeline, approval.build)

        async def confirm() -> Build | None:
            if any(left.id == approval.id for left in await self.approvals(approval.pipeline, approval.build)):
                return None
            return await self.build(approval.pipeline, approval.build)

        return await self.send_once(send, confirm)

    @override
    def parse_url(self, url: str) -> Page | None:
        return urls.page(url, self.options.owner, self._web, self.options.url)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        signed = "sha256=" + hmac.new(self.webhook_secret().encode(), body, hashlib.sha256).hexdigest()
        if not same_secret(headers.get("x-hub-signature-256", ""), signed):
            raise AuthFailed("The webhook's signature does not fit.", provider=self.label, status=401)
        event = headers.get("x-github-event", "")
        if event not in {"workflow_run", "workflow_job", "deployment_review"}:
            return None
        webhook = wire.Hook.of(_content(headers, body))
        delivery = headers.get("x-github-delivery") or signed
        where = urls.place(webhook.repository.full_name, self.options.owner) if webhook.repository else None
        if where is None or where.owner.lower() != self.options.owner.lower():
            return None
        if webhook.workflow_run is not None:
            workflow = f"/{webhook.workflow_run.workflow_id}" if webhook.workflow_run.workflow_id else ""
            return WebhookEvent(
                delivery=delivery, pipeline=f"{where.repository}{workflow}", build=str(webhook.workflow_run.id)
            )
        # the run's own events tell the rest, and jobs send many
        if webhook.workflow_job is not None and webhook.workflow_job.status == "waiting":
            return WebhookEvent(delivery=delivery, pipeline=where.repository, build=str(webhook.workflow_job.run_id))
        return None

    # where things are

    def place(self, pipeline: str) -> Place:
        """Return where a pipeline is. Raises NotFound for what is no workflow of this connection's owner."""
        where = urls.place(pipeline, self.options.owner)
        if where is None:
            raise NotFound(
                f"`{pipeline[:80]}` names no workflow.",
                provider=self.label,
                hint=f"A workflow is written {self.options.owner}/REPOSITORY/FILE.yml.",
            )
        if where.owner.lower() != self.options.owner.lower():
            raise NotFound(
                f"{self.connection} is for {self.options.owner}'s repositories, not for {where.owner}'s.",
                provider=self.label,
            )
        return where

    def _run_at(self, pipeline: str, build: str) -> str:
        return f"{self.place(pipeline).root}/actions/runs/{quote(build, safe='')}"

    def _log_at(self, job: Job) -> str:
        return f"{self.place(job.pipeline).root}/actions/jobs/{quote(job.id, safe='')}/logs"

    def _page(self, pipeline: str, build: str) -> str:
        where = self.place(pipeline)
        path = "/".join(quote(part, safe="") for part in (where.owner, where.repo, "actions", "runs", build))
        return f"{self._web}/{path}"

    def _named(self, pipeline: str, run: wire.Run) -> str:
        """Return the id of the run's pipeline: the given one where it is one, else as the run tells."""
        where = self.place(pipeline)
        if where.workflow.isdecimal() or run.workflow_id is None:
            return pipeline
        return f"{run.repository.full_name if run.repository else where.repository}/{run.workflow_id}"

    # runs

    async def _run(self, where: Place, build: str) -> wire.Run:
        run = wire.Run.of((await self._api.get(f"{where.root}/actions/runs/{quote(build, safe='')}")).raw)
        self._keep(run)
        return run

    def plain(self, run: wire.Run, pipeline: str) -> Build:
        """Return a run as a build, without what its jobs would tell."""
        self._keep(run)
        return convert.build(run, self.connection, pipeline)

    async def whole(self, run: wire.Run, pipeline: str) -> Build:
        """Return a run as a build; a completed one with what its jobs tell. Costs a request for these."""
        it = self.plain(run, pipeline)
        return await self._with_jobs(it) if it.completed else it

    async def suite(self, pipeline: str, build: str) -> int | None:
        """Return the check suite of a run; costs a request where it was not seen lately."""
        if build not in self._suites:
            await self._run(self.place(pipeline), build)
        return self._suites.get(build)

    async def _with_jobs(self, build: Build) -> Build:
        try:
            return convert.with_its_jobs(build, await self.jobs(build.pipeline, build.id))
        except (NotFound, AuthFailed):
            return build

    def _keep(self, run: wire.Run) -> None:
        if run.check_suite_id is not None:
            self._suites[str(run.id)] = run.check_suite_id
            while len(self._suites) > REMEMBERED:
                del self._suites[next(iter(self._suites))]

    async def _settled(self, pipeline: str, build: str, fits: Callable[[Build], bool]) -> Build:
        """Return a run as soon as it fits, or as it is after three looks."""
        it: Build | None = None
        for pause in SETTLES:
            if it is not None:
                await self._sleep(pause)
            it = self.plain(await self._run(self.place(pipeline), build), pipeline)
            if fits(it):
                break
        if it is None:
            raise AssertionError("there is always a first look")  # pragma: no cover - SETTLES is not empty
        return it

    async def _again(self, pipeline: str, build: str, path: str) -> Build:
        """Make a completed run's next attempt and return it, once."""
        before = self.plain(await self._run(self.place(pipeline), build), pipeline)
        if not before.completed:
            raise Rejected(
                "GitHub runs jobs again only after the whole run has ended.",
                provider=self.label,
                hint=f"It waits for approval: {before.web_url}" if before.waiting else "Cancel it first, or wait.",
            )

        def is_next(it: Build) -> bool:
            return (it.attempt or 1) > (before.attempt or 1) or not it.completed

        async def send() -> Build:
            try:
                await self._api.post(path)
            except AuthFailed as exc:
                raise _rerun_refused(exc, self.label) from exc
            return await self._settled(pipeline, build, is_next)

        async def confirm() -> Build | None:
            now = self.plain(await self._run(self.place(pipeline), build), pipeline)
            return now if is_next(now) else None

        return await self.send_once(send, confirm)

    # starting

    def _refuse_what_a_dispatch_lacks(self, request: StartRequest) -> None:
        kind = request.ref.kind if request.ref else RefKind.BRANCH
        if request.commit or kind is RefKind.COMMIT:
            raise Unsupported(
                "GitHub starts a workflow on a branch or a tag, not on a commit.",
                provider=self.label,
                hint="Name a branch that holds it, and give the commit as an input that the workflow checks out.",
            )
        if kind is RefKind.PULL_REQUEST:
            raise Unsupported(
                "GitHub starts a workflow on a branch or a tag, not on a pull request.",
                provider=self.label,
                hint="Name the pull request's branch.",
            )
        if request.message:
            raise Unsupported(
                "GitHub takes no message for a run.",
                provider=self.label,
                hint="Give it as an input, if the workflow has one for it: NAME=VALUE.",
            )
        if request.options:
            raise UsageError(f"GitHub has no option `{next(iter(request.options))}`.", hint="Inputs are NAME=VALUE.")

    async def _started(self, pipeline: str, ref: Ref, sent: Sent) -> Build:
        """Return the run that was started. It may not be there to read in its first second: then as far as known."""
        if sent.run is None:
            raise Unavailable(
                "GitHub took the start and does not tell which run it made. I did not start it again.",
                provider=self.label,
                acted=True,
                hint="This server is too old to name it, and several or none fit. Look at the workflow's page.",
            )
        build = str(sent.run)
        for pause in SETTLES:
            try:
                run = await self._run(self.place(pipeline), build)
            except ProviderError:
                await self._sleep(pause + 0.5)
            else:
                it = self.plain(run, self._named(pipeline, run))
                # a run does not say that its ref is a tag
                return replace(it, branch=None, tag=ref.name) if ref.kind is RefKind.TAG else it
        return Build(
            connection=self.connection,
            pipeline=pipeline,
            id=build,
            branch=ref.name if ref.kind is RefKind.BRANCH else None,
            tag=ref.name if ref.kind is RefKind.TAG else None,
            web_url=sent.url or self._page(pipeline, build),
        )

    # approvals

    async def _review(self, approval: Approval, path: str, comment: str | None, *, approve: bool) -> None:
        number = approval.id.removeprefix(convert.ENVIRONMENT_GATE)
        if not number.isdecimal():
            raise UsageError(f"`{approval.id[:80]}` is no environment of GitHub's.")
        body = {
            "environment_ids": [int(number)],
            "state": "approved" if approve else "rejected",
            "comment": comment or ("Approved from Slack" if approve else "Rejected from Slack"),
        }
        try:
            await self._api.post(path, json=body)
        except (Rejected, AuthFailed) as exc:
            if exc.status == httpx.codes.UNAUTHORIZED:
                raise
            may = (
                f"{', '.join(approval.approvers)} may decide" if approval.approvers else "Only its reviewers may decide"
            )
            raise Rejected(
                str(exc),
                provider=self.label,
                status=exc.status,
                hint=f"{may}, on the run's page: {approval.url or ''}".strip(),
            ) from exc


def _waits_for_approval(run: wire.Run) -> bool:
    return convert.raw_state(run.status, run.conclusion) == "action_required"


def _start_hint(said: str) -> str | None:
    if "workflow_dispatch" in said:
        return "Its file needs `workflow_dispatch:` under `on:`, on the default branch and on the one to build."
    if "nputs" in said or "nput " in said:
        return "The file declares what it takes, under `on: workflow_dispatch: inputs:`."
    return None


def _rerun_refused(exc: AuthFailed, label: str) -> ProviderError:
    """Return the error for a 403 to a rerun: GitHub uses it for runs that are too old or still at work, too."""
    said = str(exc).lower()
    if exc.status != httpx.codes.FORBIDDEN or "accessible" in said or "admin" in said or "permission" in said:
        return exc
    return Rejected(str(exc), provider=label, status=exc.status, hint="A run can run again for 30 days.")


def _content(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a webhook's JSON, also where the hook sends it as a form."""
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return body
    return parse_qs(body.decode("utf-8", "replace")).get("payload", [""])[0].encode()
