"""A CI system and a Slack that live in memory, for tests of what people type, press and fill in.

`FakeProvider` is a whole `Provider`: tests put pipelines and builds into it and read `acts` afterwards.
`RecordingSender` stands where `bot.slack.sender.Sender` does: it answers like Slack and keeps every call.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import httpx
from typing_extensions import override

from bot.blocks.message import Message
from bot.core.errors import BotError, NotFound, UsageError
from bot.core.models import (
    Account,
    Approval,
    Artifact,
    Build,
    BuildFilter,
    Commit,
    Conclusion,
    FilterField,
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
    TestCase,
    Trigger,
    WebhookEvent,
)
from bot.core.workflow_actions import checked_actions
from bot.core.workflow_words import differences
from bot.core.workflows import (
    ConditionKind,
    Environments,
    GitReference,
    Product,
    PullRequest,
    SourceProvider,
    SourceRepository,
    StartCondition,
    Upload,
    WorkflowAction,
    WorkflowDefinition,
)
from bot.http.client import ApiClient
from bot.providers.base.admin import PipelineAdmin
from bot.providers.base.capabilities import Capability
from bot.providers.base.convert import StateMap
from bot.providers.base.logs import LOG_TAIL_BYTES
from bot.providers.base.options import Options
from bot.providers.base.provider import Provider
from bot.providers.base.webhooks import same_secret
from bot.slack.sender import SearchResult, SlackError, TokenReport

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
TEAM, CHANNEL, USER, ADMIN = "T1", "C1", "U1", "UADMIN"
SITE = "https://ci.example"

EVERYTHING = frozenset(Capability) - {Capability.ACCOUNT_POLL}


class FakeOptions(Options):
    """What a connection to the works needs: nothing."""


def _refuse(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"the works need no network, but {request.url} was asked")


class FakeProvider(Provider[FakeOptions]):
    """A CI system in memory. Pages are `https://ci.example/<connection>/<path>/builds/<number>`.

    `acts` lists what was changed, as (verb, pipeline or build id, details). `troubles` maps a method's name to the
    error it raises, `gates` to an event that it waits for. `after` says how a cancelled, retried or decided build looks; the plain effect otherwise.
    """

    kind = "works"
    label = "The Works"
    default_url = SITE
    page = SITE
    states: ClassVar[StateMap] = {"done": (Status.COMPLETED, Conclusion.PASSED)}
    options_type = FakeOptions
    list_filters = frozenset(FilterField)
    starts_commits = True
    start_options: ClassVar[Mapping[str, str]] = {"clean": "start from nothing"}

    def __init__(self, connection: str = "works", *, capabilities: frozenset[Capability] = EVERYTHING) -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(_refuse))
        api = ApiClient(client, base_url=SITE, provider=self.label, clock=lambda: NOW)
        super().__init__(api, FakeOptions(), connection=connection, clock=lambda: NOW)
        self.capabilities = capabilities
        self.account = Account(name="The works' robot")
        self.known: dict[str, Pipeline] = {}
        self.history: dict[str, list[Build]] = {}
        self.known_refs: dict[str, tuple[Ref, ...]] = {}
        self.known_parameters: dict[str, tuple[Parameter, ...]] = {}
        self.open_approvals: dict[str, tuple[Approval, ...]] = {}
        self.known_jobs: dict[str, tuple[Job, ...]] = {}
        self.earlier_jobs: dict[str, tuple[Job, ...]] = {}
        self.logs: dict[str, Log] = {}
        self.files: dict[str, tuple[Artifact, ...]] = {}
        self.contents: dict[str, bytes] = {}
        self.known_tests: dict[str, tuple[TestCase, ...]] = {}
        self.known_issues: dict[str, tuple[Issue, ...]] = {}
        self.known_uploads: dict[str, tuple[Upload, ...]] = {}
        self.definitions: dict[str, WorkflowDefinition] = {}
        self.compared: dict[tuple[str, str], tuple[Commit, ...]] = {}
        self.secret_text = "hush"
        self.troubles: dict[str, BotError] = {}
        self.acts: list[tuple[str, str, Any]] = []
        self.gates: dict[str, asyncio.Event] = {}

    # what tests put in

    def add(self, path: str = "app", /, **fields: Any) -> Pipeline:
        """Put a pipeline in (`app` gets the id `p-app` and the name App) and return it."""
        given = {"id": f"p-{path}", "path": path, "name": path.capitalize(), "default_branch": "main", **fields}
        made = Pipeline(**{"web_url": f"{SITE}/{self.connection}/{given['path']}", **given})
        self.known[made.id] = made
        self.history.setdefault(made.id, [])
        self.known_refs.setdefault(made.id, (branch("main"), branch("release/2.1")))
        return made

    def put(self, build: Build) -> Build:
        """Put a build in, as the newest or in place of the one with its id, and return it."""
        kept = self.history.setdefault(build.pipeline, [])
        for index, old in enumerate(kept):
            if old.id == build.id:
                kept[index] = build
                return build
        kept.insert(0, build)
        return build

    def build_of(self, pipeline: Pipeline, number: int, **fields: Any) -> Build:
        """Put a build of a pipeline in: passed on main an hour ago, unless told otherwise."""
        given: dict[str, Any] = {
            "branch": "main",
            "status": Status.COMPLETED,
            "conclusion": Conclusion.PASSED,
            "commit": f"{number:07x}",
            "message": f"Change number {number}",
            "trigger": Trigger.PUSH,
            "created_at": NOW - timedelta(minutes=70),
            "started_at": NOW - timedelta(minutes=69),
            "completed_at": NOW - timedelta(minutes=60),
            "web_url": f"{SITE}/{self.connection}/{pipeline.path}/builds/{number}",
            **fields,
        }
        if given["status"] is not Status.COMPLETED:
            given |= {"conclusion": None, "completed_at": None}
        made = Build(
            connection=self.connection, pipeline=pipeline.id, id=f"b{number}", number=number, workflow=pipeline.name
        )
        return self.put(replace(made, **given))

    def running(self, pipeline: Pipeline, number: int, **fields: Any) -> Build:
        """Put a running build in."""
        return self.build_of(pipeline, number, status=Status.IN_PROGRESS, **fields)

    def _trouble(self, method: str) -> None:
        if (error := self.troubles.get(method)) is not None:
            raise error

    def _did(self, verb: str, what: str, details: Any = None) -> None:
        self.acts.append((verb, what, details))

    # the contract

    @override
    async def check(self) -> Account:
        self._trouble("check")
        return self.account

    @override
    async def pipelines(self, query: str | None = None) -> AsyncIterator[Pipeline]:
        self._trouble("pipelines")
        for one in self.known.values():
            if not query or query.lower() in f"{one.path} {one.name}".lower():
                yield one

    @override
    async def pipeline(self, path: str) -> Pipeline:
        self._trouble("pipeline")
        for one in self.known.values():
            if path in {one.id, one.path}:
                return one
        raise NotFound(f"There is no pipeline {path}.", provider=self.label, status=404)

    @override
    async def builds(self, pipeline: str, wanted: BuildFilter) -> AsyncIterator[Build]:
        self._trouble("builds")
        admitted = [one for one in self.history.get(pipeline, ()) if wanted.admits(one)]
        for one in admitted[: wanted.limit]:
            yield one

    @override
    async def build(self, pipeline: str, build: str) -> Build:
        self._trouble("build")
        for one in self.history.get(pipeline, ()):
            if one.id == build:
                return one
        raise NotFound("There is no such build.", provider=self.label, status=404)

    @override
    async def refs(self, pipeline: str, query: str | None = None) -> AsyncIterator[Ref]:
        self._need(Capability.REFS)
        self._trouble("refs")
        for one in self.known_refs.get(pipeline, ()):
            if not query or query.lower() in one.name.lower():
                yield one

    @override
    async def parameters(self, pipeline: str, ref: Ref | None) -> tuple[Parameter, ...]:
        self._need(Capability.PARAMETERS)
        self._trouble("parameters")
        return self.known_parameters.get(pipeline, ())

    @override
    async def start(self, pipeline: str, request: StartRequest) -> Build:
        self._need(Capability.START)
        self._trouble("start")
        self._did("start", pipeline, request)
        return self._new(pipeline, request)

    @override
    async def cancel(self, pipeline: str, build: str) -> Build:
        self._need(Capability.CANCEL)
        self._trouble("cancel")
        if "cancel" in self.gates:
            await self.gates["cancel"].wait()
        self._did("cancel", build)
        before = await self.build(pipeline, build)
        return self.put(
            replace(before, status=Status.COMPLETED, conclusion=Conclusion.CANCELLED, completed_at=self._clock())
        )

    @override
    async def rebuild(self, pipeline: str, build: str, request: StartRequest) -> Build:
        self._need(Capability.REBUILD)
        self._trouble("rebuild")
        self._did("rebuild", build, request)
        old = await self.build(pipeline, build)
        again = self._new(pipeline, request)
        return self.put(replace(again, branch=old.branch, commit=old.commit, message=old.message))

    @override
    async def retry(self, pipeline: str, build: str, *, failed_only: bool = True, job: str | None = None) -> Build:
        self._need(Capability.RETRY_JOB if job else Capability.RETRY_FAILED if failed_only else Capability.RETRY_ALL)
        self._trouble("retry")
        self._did("retry", build, job or ("failed" if failed_only else "all"))
        old = await self.build(pipeline, build)
        return self.put(replace(old, status=Status.QUEUED, conclusion=None, completed_at=None))

    @override
    async def erase(self, pipeline: str, build: str) -> Build:
        self._need(Capability.ERASE)
        self._trouble("erase")
        self._did("erase", build)
        return await self.build(pipeline, build)

    @override
    async def erase_job(self, pipeline: str, job: str) -> Build:
        self._need(Capability.ERASE_JOB)
        owner = await self.build_of_job(pipeline, job)
        self._did("erase_job", owner.id, job)
        return owner

    @override
    async def jobs(self, pipeline: str, build: str, *, all_attempts: bool = False) -> tuple[Job, ...]:
        self._need(Capability.JOBS)
        self._trouble("jobs")
        earlier = self.earlier_jobs.get(build, ()) if all_attempts else ()
        return (*earlier, *self.known_jobs.get(build, ()))

    @override
    async def log(self, job: Job, tail_bytes: int = LOG_TAIL_BYTES) -> Log:
        self._need(Capability.LOG)
        self._trouble("log")
        if job.id not in self.logs:
            raise NotFound("There is no log yet.", provider=self.label, status=404)
        return self.logs[job.id]

    @override
    async def artifacts(self, pipeline: str, build: str) -> tuple[Artifact, ...]:
        self._need(Capability.ARTIFACTS)
        self._trouble("artifacts")
        return self.files.get(build, ())

    @override
    async def download(self, artifact: Artifact) -> AsyncIterator[bytes]:
        self._need(Capability.DOWNLOAD)
        self._trouble("download")
        yield self.contents.get(artifact.id, b"")

    @override
    async def tests(self, pipeline: str, build: str) -> tuple[TestCase, ...]:
        self._need(Capability.TESTS)
        self._trouble("tests")
        return self.known_tests.get(build, ())

    @override
    async def issues(self, pipeline: str, build: str) -> tuple[Issue, ...]:
        self._need(Capability.ISSUES)
        self._trouble("issues")
        return self.known_issues.get(build, ())

    @override
    async def commits(self, pipeline: str, base: str, head: str) -> tuple[Commit, ...]:
        self._need(Capability.COMMITS)
        self._trouble("commits")
        return self.compared.get((base, head), ())

    @override
    async def counts(self, build: Build) -> IssueCounts:
        self._need(Capability.COUNTS)
        self._trouble("counts")
        return build.issues

    @override
    async def uploads(self, pipeline: str, build: str) -> tuple[Upload, ...]:
        self._need(Capability.UPLOADS)
        self._trouble("uploads")
        return self.known_uploads.get(build, ())

    @override
    async def approvals(self, pipeline: str, build: str) -> tuple[Approval, ...]:
        self._need(Capability.APPROVALS)
        self._trouble("approvals")
        return self.open_approvals.get(build, ())

    @override
    async def decide(
        self, approval: Approval, *, approve: bool, fields: Mapping[str, str] | None = None, comment: str | None = None
    ) -> Build:
        self._need(Capability.DECIDE if approve else Capability.REJECT)
        self._trouble("decide")
        self._did("approve" if approve else "reject", approval.id, {"fields": dict(fields or {}), "comment": comment})
        self.open_approvals[approval.build] = tuple(
            one for one in self.open_approvals.get(approval.build, ()) if one.id != approval.id
        )
        before = await self.build(approval.pipeline, approval.build)
        return self.put(replace(before, waiting=bool(self.open_approvals[approval.build])))

    @override
    def pipeline_admin(self) -> PipelineAdmin:
        self._need(Capability.PIPELINE_ADMIN)
        return _Admin(self)

    @override
    def parse_url(self, url: str) -> Page | None:
        head = f"{SITE}/{self.connection}/"
        if not url.startswith(head):
            return None
        path, _, number = url.removeprefix(head).partition("/builds/")
        return Page(pipeline=path, number=int(number) if number.isdigit() else None)

    @override
    def parse_webhook(
        self, headers: Mapping[str, str], body: bytes, path_secret: str | None = None
    ) -> WebhookEvent | None:
        self._need(Capability.WEBHOOK)
        if not same_secret(path_secret or "", self.secret_text):
            raise UsageError("The secret in the address does not fit.")
        return WebhookEvent(delivery=headers.get("x-delivery", "d1"), build=body.decode() or None)

    def _need(self, capability: Capability) -> None:
        if not self.can(capability):
            raise self.unsupported(capability)

    def _new(self, pipeline: str, request: StartRequest) -> Build:
        number = 1 + max((build.number or 0 for build in self.history.get(pipeline, ())), default=0)
        made = Build(
            connection=self.connection,
            pipeline=pipeline,
            id=f"b{number}",
            number=number,
            workflow=self.known[pipeline].name,
            branch=request.ref.name if request.ref else self.known[pipeline].default_branch,
            commit=request.commit,
            message=request.message,
            status=Status.QUEUED,
            trigger=Trigger.API,
            triggered_by=request.requested_by,
            created_at=self._clock(),
            web_url=f"{SITE}/{self.connection}/{self.known[pipeline].path}/builds/{number}",
        )
        return self.put(made)


class _Admin(PipelineAdmin):
    """Administration of the fake's pipelines."""

    def __init__(self, works: FakeProvider) -> None:
        self._works = works

    @override
    async def definition(self, pipeline: str) -> WorkflowDefinition:
        known = self._works.known[pipeline]
        made = self._works.definitions.get(pipeline) or WorkflowDefinition(
            name=known.name,
            product="Works",
            repository="acme/app",
            container="App.xcodeproj",
            xcode="Xcode 16.2",
            macos="macOS 15",
            conditions={ConditionKind.BRANCH: StartCondition(cancels=True)},
            actions=(WorkflowAction(kind="TEST", name="Test - iOS", platform="IOS", scheme="App"),),
            modified_at=NOW,
        )
        return replace(made, name=known.name, enabled=known.enabled)

    @override
    async def draft(self, *, product: str | None, like: str | None) -> WorkflowDefinition:
        if like is not None:
            return replace(await self.definition(like), name="", enabled=False)
        if product not in {None, "Works"}:
            raise UsageError(f"No product is called `{product}`.")
        return WorkflowDefinition(name="", product="Works", repository="acme/app", xcode="latest", macos="latest")

    @override
    async def prepare(self, new: WorkflowDefinition, old: WorkflowDefinition | None) -> WorkflowDefinition:
        checked_actions(new.actions)
        return replace(new, xcode="Xcode 16.2" if new.xcode == "latest" else new.xcode)

    @override
    async def create(self, new: WorkflowDefinition) -> Pipeline:
        self._works.acts.append(("create", new.product, new))
        return self._works.add(new.name.lower(), name=new.name)

    @override
    async def update(self, new: WorkflowDefinition, old: WorkflowDefinition) -> Pipeline:
        pipeline = next(id_ for id_, known in self._works.known.items() if known.name == old.name)
        self._works.definitions[pipeline] = new
        self._works.acts.append(("update", pipeline, differences(old, new)))
        return self._works.known[pipeline]

    @override
    async def set_enabled(self, pipeline: str, *, enabled: bool) -> Pipeline:
        return self._changed("enable" if enabled else "disable", pipeline, enabled=enabled)

    @override
    async def duplicate(self, pipeline: str, name: str) -> Pipeline:
        self._works.acts.append(("duplicate", pipeline, name))
        return self._works.add(name.lower(), name=name)

    @override
    async def rename(self, pipeline: str, name: str) -> Pipeline:
        return self._changed("rename", pipeline, name=name)

    @override
    async def delete(self, pipeline: str) -> None:
        self._works.acts.append(("delete", pipeline, None))
        del self._works.known[pipeline]

    @override
    async def environments(self, *, product: str | None = None, xcode: str | None = None) -> Environments:
        return Environments(
            xcodes=("Xcode 16.2", "Xcode 16.1"),
            macoses=("macOS 15",),
            devices=("iPhone 17 (iOS 26.1)",),
            products=("Works",),
            repositories=("acme/app",),
        )

    @override
    async def products(self) -> tuple[Product, ...]:
        return (Product(id="P1", name="Works", kind="app", bundle_id="dev.works.app", repositories=("acme/app",)),)

    @override
    async def product(self, words: str) -> Product:
        (product,) = await self.products()
        if words not in {product.id, product.name}:
            raise UsageError(f"There is no product `{words}`.")
        return replace(product, workflows=tuple(known.name for known in self._works.known.values()))

    @override
    async def delete_product(self, product: str) -> None:
        self._works.acts.append(("delete product", product, None))

    @override
    async def source_providers(self) -> tuple[SourceProvider, ...]:
        return (SourceProvider(id="S1", name="GitHub", kind="GITHUB_CLOUD"),)

    @override
    async def repositories(self, provider: str | None = None) -> tuple[SourceRepository, ...]:
        return (SourceRepository(id="R1", path="acme/app", default_branch="main", provider="GitHub"),)

    @override
    async def references(self, repository: str) -> tuple[GitReference, ...]:
        return (GitReference(name="main", canonical_name="refs/heads/main", kind="branch"),)

    @override
    async def pull_requests(self, repository: str) -> tuple[PullRequest, ...]:
        return (PullRequest(number=7, title="Dark mode", source="dark", target="main"),)

    def _changed(self, verb: str, pipeline: str, **fields: Any) -> Pipeline:
        self._works.acts.append((verb, pipeline, fields))
        self._works.known[pipeline] = replace(self._works.known[pipeline], **fields)
        return self._works.known[pipeline]


def branch(name: str) -> Ref:
    """Return a branch."""
    return Ref(kind=RefKind.BRANCH, name=name)


class FakeConnections:
    """The connections of one workspace, open. `add` takes what `offered` holds under the kind asked for."""

    def __init__(self, *providers: FakeProvider, team: str = TEAM) -> None:
        self.team = team
        self.open: dict[str, FakeProvider] = {provider.connection: provider for provider in providers}
        self.made: set[str] = set()
        self.made_elsewhere: dict[str, FakeProvider] = {}
        self.offered: dict[str, FakeProvider] = {}
        self.kept: dict[str, Mapping[str, object]] = {}

    def visible(self, team: str) -> Sequence[FakeProvider]:
        """Return the connections a workspace may see, by name."""
        return [self.open[name] for name in sorted(self.open)] if team == self.team else []

    def get(self, team: str, name: str) -> FakeProvider | None:
        """Return one connection if the workspace may see it."""
        return self.open.get(name) if team == self.team else None

    async def catch_up(self, team: str) -> bool:
        """Open what another process has made, and return whether there was something."""
        found, self.made_elsewhere = self.made_elsewhere, {}
        self.open |= found
        return bool(found)

    def labels(self, team: str) -> Mapping[str, str]:
        """Return each visible connection's name with its CI system's."""
        return {provider.connection: provider.label for provider in self.visible(team)}

    async def add(self, *, team: str, name: str, kind: str, settings: Mapping[str, object], user: str) -> FakeProvider:
        """Check and keep a connection."""
        provider = self.offered.get(kind) or FakeProvider(name)
        await provider.check()
        self.open[name] = provider
        self.made.add(name)
        self.kept[name] = dict(settings)
        return provider

    async def renew(self, *, team: str, name: str, settings: Mapping[str, object]) -> FakeProvider:
        """Change what is kept of a connection made in Slack."""
        self.kept[name] = {**self.kept[name], **settings}
        return self.open[name]

    def only_seen_by(self, team: str) -> tuple[str, ...]:
        """Return the connections of the configuration that no other workspace sees."""
        return tuple(name for name in self.open if name not in self.made) if team == self.team else ()

    async def remove(self, *, team: str, name: str) -> None:
        """Forget a connection made in Slack."""
        if name not in self.made:
            raise UsageError(f"`{name}` was not connected in Slack, so I can't disconnect it here.")
        self.made.discard(name)
        del self.open[name]

    def from_slack(self, name: str) -> bool:
        """Return whether a connection was made in Slack."""
        return name in self.made


@dataclass(slots=True)
class Said:
    """One call to Slack, with its arguments. `message` is what it carried, where it carried one."""

    method: str
    arguments: dict[str, Any]
    message: Message | None = None

    @property
    def text(self) -> str:
        """Return everything a person could read of it."""
        return str(self.message.payload()) if self.message else str(self.arguments)


@dataclass(slots=True)
class RecordingSender:
    """Slack as the bot calls it. Views open and change as in Slack; `refusals` maps a method to Slack's word or fault."""

    said: list[Said] = field(default_factory=list)
    refusals: dict[str, str | SlackError] = field(default_factory=dict)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    response_urls_work: bool = True
    outside: set[str] = field(default_factory=set)
    short: set[str] = field(default_factory=set)
    scopes: frozenset[str] = frozenset()
    at: datetime | None = None
    channels: dict[str, dict[str, Any]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    unknown_blocks: set[str] = field(default_factory=set)
    posted: asyncio.Event = field(default_factory=asyncio.Event)

    def is_short(self, team: str) -> bool:
        """Return whether a test lets a workspace take few posts."""
        return team in self.short

    def of(self, method: str) -> list[Said]:
        """Return the calls of one method, oldest first."""
        return [one for one in self.said if one.method == method]

    @property
    def last(self) -> Said:
        """Return the newest call that carried a message."""
        return next(one for one in reversed(self.said) if one.message is not None)

    @property
    def view(self) -> dict[str, Any]:
        """Return the view that was opened or changed last."""
        return list(self.views.values())[-1]

    def _note(self, method: str, arguments: Mapping[str, Any], message: Message | None = None) -> None:
        self.said.append(Said(method, dict(arguments), message))
        self._refuse(method)
        if message is not None and self._refuses(message) and method != "response_url":
            raise SlackError("invalid_blocks")

    def _refuse(self, method: str) -> None:
        if (refusal := self.refusals.get(method)) is not None:
            raise SlackError(refusal) if isinstance(refusal, str) else refusal

    def _refuses(self, message: Message) -> bool:
        return any(block["type"] in self.unknown_blocks for block in (*message.blocks, *message.attached))

    async def post(
        self, team: str, channel: str, message: Message, *, thread: str = "", key: str = ""
    ) -> tuple[str, str]:
        """Post a message and return (channel, ts)."""
        message.payload()
        given = {"team": team, "channel": channel, "thread": thread, "key": key}
        self._note("chat.postMessage", given, message)
        self.posted.set()
        return channel, f"1770000000.{len(self.said):06d}"

    async def find(self, team: str, channel: str, key: str, since: datetime, *, thread: str = "") -> SearchResult:
        """Look for a posted message by its key."""
        self._note("conversations.history", {"team": team, "channel": channel, "thread": thread})
        posts = [number for number, one in enumerate(self.said, 1) if one.arguments.get("key") == key]
        return SearchResult(ts=f"1770000000.{posts[0]:06d}" if posts else None)

    async def update(self, team: str, channel: str, ts: str, message: Message) -> None:
        """Replace a message."""
        self._note("chat.update", {"team": team, "channel": channel, "ts": ts}, message)

    async def ephemeral(self, team: str, channel: str, user: str, message: Message, *, thread: str = "") -> None:
        """Show a message to one person only."""
        given = {"team": team, "channel": channel, "user": user, "thread": thread}
        self._note("chat.postEphemeral", given, message)

    async def upload(self, team: str, channel: str, *, name: str, content: bytes, title: str, thread: str = "") -> None:
        """Put a file into a channel."""
        given = {"team": team, "channel": channel, "name": name, "content": content, "title": title, "thread": thread}
        self._note("files.upload", given)

    async def respond(self, url: str, message: Message, *, public: bool = False, replace: bool = False) -> bool:
        """Answer through a response_url."""
        self._note("response_url", {"url": url, "public": public, "replace": replace}, message)
        return self.response_urls_work and not self._refuses(message)

    async def withdraw(self, url: str) -> None:
        """Delete the message whose button was pressed."""
        self._note("response_url", {"url": url, "delete": True})

    async def token_report(self, team: str) -> TokenReport:
        """Return the scopes of the token, and no time."""
        self._refuse("auth.test")
        return TokenReport(scopes=self.scopes, at=self.at)

    async def call(self, team: str, method: str, arguments: Mapping[str, object]) -> Mapping[str, Any]:
        """Call a Web API method."""
        self._note(method, {"team": team, **arguments})
        given: dict[str, Any] = dict(arguments)
        match method:
            case "views.open" | "views.push":
                name = f"V{len(self.views) + 1}"
                self.views[name] = given["view"]
                return {"ok": True, "view": {"id": name, "hash": f"{name}.1"}}
            case "views.update":
                self.views[given["view_id"]] = given["view"]
                return {"ok": True, "view": {"id": given["view_id"], "hash": f"{given['view_id']}.2"}}
            case "users.info":
                if given["user"] not in self.users:
                    raise SlackError("user_not_found")
                return {"ok": True, "user": self.users[given["user"]]}
            case "users.list":
                return {"ok": True, "members": list(self.users.values())}
            case "users.lookupByEmail":
                for user in self.users.values():
                    if user.get("profile", {}).get("email") == given["email"]:
                        return {"ok": True, "user": user}
                raise SlackError("users_not_found")
            case "usergroups.list":
                return {"ok": True, "usergroups": [{"id": name, "users": them} for name, them in self.groups.items()]}
            case "conversations.members":
                everybody = [user for user in self.users if user not in self.outside]
                return {"ok": True, "members": self.members.get(str(given["channel"]), everybody)}
            case "conversations.info":
                private = given["channel"] in self.private
                described = {"id": given["channel"], "is_private": private, "is_member": True}
                return {"ok": True, "channel": described | self.channels.get(str(given["channel"]), {})}
            case "conversations.open":
                return {"ok": True, "channel": {"id": f"D{given['users']}"}}
            case _:
                return {"ok": True}

    def person(self, user: str, name: str, **fields: Any) -> None:
        """Let Slack know somebody."""
        email = fields.pop("email", f"{name.lower()}@works.example")
        profile = {"display_name": name, "email": email}
        self.users[user] = {"id": user, "name": name.lower(), "tz": "Europe/Berlin", "profile": profile, **fields}
