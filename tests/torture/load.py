"""What happens at the CI systems and what people do in Slack during a run: pushes, commands, mentions, buttons."""

import asyncio
import itertools
import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

from playground import Playground
from playground.ci import LocalCi
from playground.ci.model import Build, Outcome, Pipeline, Source
from playground.slack.elements import elements
from playground.slack.model import Channel, Json, Message
from tests.torture.processes import until

RETRY_LABEL = "Retry failed"
OUTCOMES = (Outcome.PASS, Outcome.PASS, Outcome.FAIL, Outcome.TEST_FAILURE)
MOST_UNFINISHED = 30
PATIENT = 0.98
"""How probably nothing happens for a tenth of a second while the bot is down."""
LINKS = {
    "demo-buildkite:web": ("web", "c1"),
    "demo-buildkite:flaky-tests": ("c2",),
    "demo-gitlab:acme/backend": ("backend", "c3"),
    "demo-github:acme/storefront/ci.yml": ("c4",),
    "demo-xcode:Nightly": ("ios", "c2"),
    "demo-jenkins:docs": ("c5",),
    "demo-jenkins:nightly-regression": ("c1",),
}
"""The pipelines that are followed, and in which channels. c1, c2 … are made for the run."""
RUNS = {"demo-buildkite:web": "web", "demo-gitlab:acme/backend": "backend"}
"""The pipelines that people start with a parameter of their own, and where they type that."""
RETRIES = ("demo-buildkite:web", "demo-buildkite:flaky-tests", "demo-gitlab:acme/backend")


class Deed(StrEnum):
    """What a person does."""

    LINK = "link"
    RUN = "run"
    MENTION = "mention"
    READ = "read"
    CANCEL = "cancel"
    RETRY = "retry"
    PRESS = "press"


@dataclass(slots=True, kw_only=True)
class Request:
    """One thing that a person did. `mark` is a text that stands in its words and in nobody else's."""

    deed: Deed
    mark: str
    channel: str
    words: str
    build: Build | None = None
    is_refused: bool = False
    """Slack told the person that the bot could not be reached."""


class Load:
    """Starts builds until there are as many as are needed, while people act.

    `pipelines` are those of `LINKS` that take part. `is_up` returns whether Slack can reach the bot: who sees that it
    can't mostly waits.
    """

    def __init__(
        self,
        *,
        playground: Playground,
        world: LocalCi,
        seed: str,
        pipelines: Collection[str],
        is_up: Callable[[], bool],
    ) -> None:
        self.playground = playground
        self.world = world
        self.requests: list[Request] = []
        self._is_up = is_up
        self.followers = {name: channels for name, channels in LINKS.items() if name in pipelines}
        """The pipelines that take part, and the channels that follow them."""
        self._runs = [name for name in RUNS if name in pipelines]
        self.reopened: list[str] = []
        """The uid of each build that was reopened, once for each time."""
        slack = playground.workspace
        self._random = random.Random(f"{seed}/load")  # noqa: S311 - a test's load
        self._names = itertools.count()
        for number in range(1, 6):
            name = f"c{number}"
            slack.channels[f"C0EXTRA00{number}"] = Channel(
                id=f"C0EXTRA00{number}",
                name=name,
                members={*slack.channels["C0WEB00000"].members},
                created=0,
                creator=self.me,
            )
        self.channels = {channel.name: channel.id for channel in slack.channels.values()}
        self.first = len(self.world.builds)
        self.world.listeners.append(self._listen)

    @property
    def me(self) -> str:
        """Return the id of an administrator."""
        return next(u.id for u in self.playground.workspace.users.values() if u.is_admin and not u.is_bot)

    @property
    def builds(self) -> list[Build]:
        """Return the builds of this run."""
        return self.world.builds[self.first :]

    @property
    def unfinished(self) -> int:
        """Return how many of them run."""
        return sum(not build.finished for build in self.builds)

    def pipeline(self, name: str) -> Pipeline:
        """Return a pipeline by the name that people use."""
        connection, _, path = name.partition(":")
        return next(
            pipeline
            for pipeline in self.world.pipelines
            if self.world.systems[pipeline.system].connection == connection
            and path in {pipeline.path, pipeline.path.rpartition("/")[2]}
        )

    def links(self) -> Iterator[tuple[str, str]]:
        """Yield each (pipeline, channel)."""
        for pipeline, channels in self.followers.items():
            for channel in channels:
                yield pipeline, channel

    async def run(self, count: int) -> None:
        """Have `count` builds take place, and return when all of them have ended."""
        acts: set[asyncio.Task[None]] = set()
        while len(self.builds) < count:
            await until(lambda: self._is_up() or self._random.random() > PATIENT)
            if self.unfinished < MOST_UNFINISHED:
                self._push()
            task = asyncio.ensure_future(self._act())
            acts.add(task)
            task.add_done_callback(acts.discard)
            await asyncio.sleep(self._random.uniform(0.1, 0.5))
        await asyncio.gather(*acts)
        while self.unfinished:
            self.world.settle()
            await asyncio.sleep(0.1)

    def _push(self) -> None:
        name = self._random.choice(list(self.followers))
        pipeline = self.pipeline(name)
        person = self._random.choice(self.world.people)
        branch = pipeline.repo.default_branch
        commit = self.world.commit(pipeline.repo, branch, f"Change {len(self.builds)}", person)
        self.world.start(
            pipeline,
            commit=commit,
            source=Source.PUSH,
            branch=branch,
            creator=person,
            outcome=self._random.choice(OUTCOMES),
        )

    async def _act(self) -> None:
        deeds = (Deed.RUN, Deed.MENTION, Deed.READ, Deed.CANCEL, Deed.RETRY, Deed.PRESS, None)
        deed = self._random.choices(deeds, (3, 2, 3, 2, 5, 5, 8))[0]
        match deed:
            case Deed.RUN | Deed.MENTION:
                name = self._random.choice(self._runs)
                mark = self._mark()
                await self.request(deed, mark, RUNS[name], f"run {name}@main MARK={mark}")
            case Deed.READ:
                mark = self._mark()
                await self.request(deed, mark, "web", f"status {mark}")
            case Deed.CANCEL:
                await self._cancel()
            case Deed.RETRY | Deed.PRESS:
                await self._retry(deed)
            case _:
                pass

    async def _cancel(self) -> None:
        """Cancel a build that somebody started, once."""
        started = [build for build in self.builds if "MARK" in build.env and not build.finished]
        build = self._choose(started, Deed.CANCEL)
        if build is not None:
            name = _name(self.world, build)
            mark = f"{name}#{build.number}"
            await self.request(Deed.CANCEL, mark, RUNS[name], f"cancel {mark}", build)

    async def _retry(self, deed: Deed) -> None:
        """Retry a build that failed and that the channel has heard of, once, by words or by its button."""
        failed = [
            build
            for build in self.builds
            if build.finished
            and build.attempt == 1
            and build.result == "failed"
            and _name(self.world, build) in RETRIES
        ]
        build = self._choose(failed, Deed.RETRY)
        if build is None:
            return
        name = _name(self.world, build)
        channel = LINKS[name][0]
        mark = f"{name}#{build.number}"
        card = self._card(channel, build)
        if card is None:
            return
        if deed is Deed.RETRY:
            await self.request(deed, mark, channel, f"retry {mark}", build)
            return
        message, action = card
        request = Request(deed=deed, mark=mark, channel=channel, words=f"retry {mark}", build=build)
        self.requests.append(request)
        answer = await self.playground.user_actions.action(
            user=self.me, action_id=action, channel=self.channels[channel], ts=message.ts, text=RETRY_LABEL
        )
        request.is_refused = not answer["ok"]

    def _choose(self, builds: list[Build], deed: Deed) -> Build | None:
        """Return a build that nobody has done this to."""
        retried = {Deed.RETRY, Deed.PRESS}
        done = {
            request.build.uid
            for request in self.requests
            if request.build is not None and (request.deed is deed or {request.deed, deed} <= retried)
        }
        left = [build for build in builds if build.uid not in done]
        return self._random.choice(left) if left else None

    def _card(self, channel: str, build: Build) -> tuple[Message, str] | None:
        """Return the message that tells the end of a build and its retry button's action, if it is there with one."""
        page = page_of(self.world, build)
        for message in reversed(list(self.playground.workspace.messages.get(self.channels[channel], {}).values())):
            blocks = blocks_of(message)
            if not message.metadata or page not in str(blocks):
                continue
            for _block, element in elements(blocks):
                if element.get("text", {}).get("text") == RETRY_LABEL:
                    return message, element["action_id"]
        return None

    async def request(self, deed: Deed, mark: str, channel: str, words: str, build: Build | None = None) -> Request:
        """Type a command, or mention the bot; return what Slack made of it."""
        request = Request(deed=deed, mark=mark, channel=channel, words=words, build=build)
        self.requests.append(request)
        acts = self.playground.user_actions
        if deed is Deed.MENTION:
            bot = self.playground.workspace.bot_user
            await acts.message(user=self.me, channel=self.channels[channel], text=f"<@{bot}> {words}")
        else:
            answer = await acts.command(user=self.me, channel=self.channels[channel], text=words)
            request.is_refused = not answer["ok"]
        return request

    def _mark(self) -> str:
        return f"zz{next(self._names):04d}zz"

    def _listen(self, event: str, build: Build) -> None:
        if event == "reopened":
            self.reopened.append(build.uid)


def page_of(world: LocalCi, build: Build) -> str:
    """Return how a message's link to a build begins and ends, so that it names no other build."""
    system = world.systems[build.pipeline.system]
    return f"{system.mount}{system.web_path(build)}|"


def blocks_of(message: Message) -> list[Json]:
    """Return the blocks of a message, those of its attachments too."""
    return [*message.blocks, *(block for held in message.attachments for block in held.get("blocks", ()))]


def _name(world: LocalCi, build: Build) -> str:
    """Return the name of a build's pipeline as people use it."""
    connection, path = world.systems[build.pipeline.system].connection, build.pipeline.path
    return next(
        (name for name in LINKS if name in {f"{connection}:{path}", f"{connection}:{path.rpartition('/')[2]}"}), ""
    )
