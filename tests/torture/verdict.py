"""Compare what the CI systems did and what people asked for with what stands in Slack at the end."""

import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from bot.blocks.plain import as_text
from playground.ci.model import Build, Result
from playground.slack.model import Json, Message
from tests.torture.faults import Acted
from tests.torture.load import Deed, Load, Request, blocks_of, page_of

KEY = re.compile(r"n(?P<row>\d+)-r(?P<attempt>\d+)-(?P<event>\w+)")
SHAPES: Mapping[Result, str] = {Result.PASSED: "✓⚠", Result.FAILED: "✕◐", Result.CANCELED: "⊘", Result.TIMEOUT: "⏱"}
"""The shapes that a card of an attempt may begin with."""
UNFINISHED = re.compile(r"\b(RUNNING|QUEUED|WAITING)\b")
COARSE = {"github_actions"}
"""Systems that give ends in whole seconds: within one of them the number of the build decides."""
REPEATED = "Possibly repeated"
MORE = re.compile(r"… (\d+) more")
"""How a summary counts the builds that it does not name."""
LENGTH = 300


@dataclass(slots=True)
class Verdict:
    """What went wrong, in words, by kind; and what was compared."""

    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    wrong_cards: list[str] = field(default_factory=list)
    acted_twice: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    answered_twice: list[str] = field(default_factory=list)
    said_repeated: int = 0
    """Answers and notifications that stand twice and say so."""
    explained: int = 0
    notifications: int = 0
    in_summaries: int = 0
    cards: int = 0
    requests: int = 0
    refused: int = 0

    @property
    def problems(self) -> dict[str, list[str]]:
        """Return what went wrong, by kind, where anything did."""
        kinds = {
            "lost": self.lost,
            "twice": self.twice,
            "out of order": self.disordered,
            "wrong cards": self.wrong_cards,
            "acted twice": self.acted_twice,
            "unanswered": self.unanswered,
            "answered twice": self.answered_twice,
        }
        return {kind: found for kind, found in kinds.items() if found}


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of an attempt at its CI system."""

    build: Build
    attempt: int
    result: Result
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A message of the bot that carries a notification's key."""

    message: Message
    attempt: int
    event: str
    text: str


def judge(load: Load, acted: Sequence[Acted], reached: Sequence[bytes]) -> Verdict:
    """Return the verdict on a run that has become quiet. `reached` are the bodies that the bot may have received."""
    verdict = Verdict()
    posted = {name: list(_posted(load, name)) for name in load.channels}
    _judge_notifications(load, posted, verdict)
    _judge_cards(load, posted, verdict)
    _judge_acts(load, verdict)
    _judge_answers(load, posted, acted, reached, verdict)
    return verdict


def ends(build: Build) -> Iterator[End]:
    """Yield the ends of a build's attempts, oldest first."""
    for attempt, (result, _started, at) in sorted(build.past.items()):
        if result is not None and at is not None:
            yield End(build=build, attempt=attempt, result=result, at=at)
    if build.finished and build.result is not None and build.finished_at is not None:
        yield End(build=build, attempt=build.attempt, result=build.result, at=build.finished_at)


def _posted(load: Load, channel: str) -> Iterator[Posted]:
    for message in load.playground.workspace.messages.get(load.channels[channel], {}).values():
        payload: Json = (message.metadata or {}).get("event_payload") or {}
        if key := KEY.fullmatch(str(payload.get("key") or "")):
            yield Posted(message=message, attempt=int(key["attempt"]), event=key["event"], text=drawn(message))


def drawn(message: Message) -> str:
    """Return a message as text."""
    return as_text({"text": message.text, "blocks": message.blocks or [], "attachments": message.attachments or []})


def _label(end: End) -> str:
    return f"{end.build.pipeline.system} {end.build.pipeline.path} #{end.build.number} attempt {end.attempt}"


def _judge_notifications(load: Load, posted: Mapping[str, list[Posted]], verdict: Verdict) -> None:
    unnamed: dict[str, list[str]] = defaultdict(list)
    for name, channels in load.followers.items():
        pipeline = load.pipeline(name)
        builds = [build for build in load.builds if build.pipeline is pipeline]
        all_ends = [end for build in builds for end in ends(build)]
        for channel in channels:
            order: list[tuple[float, End]] = []
            for end in all_ends:
                page = page_of(load.world, end.build)
                told = [
                    post
                    for post in posted[channel]
                    if post.event == "finished" and post.attempt == end.attempt and page in str(blocks_of(post.message))
                ]
                summaries = [p for p in posted[channel] if p.event == "summary" and page in str(blocks_of(p.message))]
                verdict.notifications += 1
                if not told and summaries:
                    verdict.in_summaries += 1
                elif not told:
                    unnamed[channel].append(f"{_label(end)} in #{channel}")
                elif len(told) > 1:
                    if any(REPEATED.lower() in post.text.lower() for post in told):
                        verdict.said_repeated += 1
                    verdict.twice.append(f"{_label(end)} in #{channel}: {len(told)} times")
                else:
                    order.append((float(told[0].message.ts), end))
            verdict.disordered += _disordered(order, channel)
    for channel, posts in posted.items():
        _judge_unnamed(channel, posts, unnamed[channel], verdict)


def _judge_unnamed(channel: str, posts: Sequence[Posted], unnamed: Sequence[str], verdict: Verdict) -> None:
    """Compare the builds that no message of a channel names with how many more its summaries count."""
    counted = sum(int(more) for post in posts if post.event == "summary" for more in MORE.findall(post.text))
    if len(unnamed) > counted:
        verdict.lost += [*unnamed, *([f"{counted} of these are in summaries of #{channel}"] if counted else [])]
    else:
        verdict.in_summaries += len(unnamed)
    if len(unnamed) < counted:
        verdict.twice.append(
            f"summaries in #{channel} count {counted} more builds, and {len(unnamed)} are named nowhere"
        )


def _disordered(order: list[tuple[float, End]], channel: str) -> Iterator[str]:
    """Yield each notification that stands after one of a later end of its pipeline."""
    order.sort(key=lambda pair: pair[0])
    for (before, earlier), (after, later) in itertools.pairwise(order):
        if _rank(later) < _rank(earlier):
            yield (
                f"{_label(later)} (ended {later.at:.3f}, posted {after:.3f}) after"
                f" {_label(earlier)} (ended {earlier.at:.3f}, posted {before:.3f}) in #{channel}"
            )


def _rank(end: End) -> tuple[float, int]:
    return (float(int(end.at)) if end.build.pipeline.system in COARSE else round(end.at, 3)), end.build.number


def _judge_cards(load: Load, posted: Mapping[str, list[Posted]], verdict: Verdict) -> None:
    pages = {page_of(load.world, build): build for build in load.builds}
    for channel, posts in posted.items():
        for post in posts:
            if post.event not in {"finished", "started"}:
                continue
            shown = str(blocks_of(post.message))
            build = next((build for page, build in pages.items() if page in shown), None)
            result = next((end.result for end in ends(build) if end.attempt == post.attempt), None) if build else None
            if build is None or result is None:
                verdict.wrong_cards.append(f"a card of no build in #{channel}: {post.text!r}")
                continue
            verdict.cards += 1
            problem = ""
            if UNFINISHED.search(post.text):
                problem = "not at its end"
            elif not set(SHAPES[result]) & set(post.text.partition("\n")[0]):
                problem = f"does not say {result}"
            elif post.event == "finished" and post.attempt < build.attempt and "has replaced it" not in post.text:
                problem = "does not say that a later attempt has replaced it"
            if problem:
                label = f"{build.pipeline.path} #{build.number} attempt {post.attempt} {post.event}"
                verdict.wrong_cards.append(f"{label} in #{channel} {problem}: {post.text[:LENGTH]!r}")


def _judge_acts(load: Load, verdict: Verdict) -> None:
    for request in load.requests:
        started = [build for build in load.builds if build.env.get("MARK") == request.mark]
        if len(started) > 1:
            verdict.acted_twice.append(f"`{request.words}` started {len(started)} builds")
    for uid, times in Counter(load.reopened).items():
        if times > 1:
            verdict.acted_twice.append(f"a build was retried {times} times: {uid}")


def _judge_answers(
    load: Load, posted: Mapping[str, list[Posted]], acted: Sequence[Acted], reached: Sequence[bytes], verdict: Verdict
) -> None:
    deliveries = [_read(body) for body in reached]
    by_url: dict[str, list[str]] = defaultdict(list)
    for call in acted:
        if call.status == 200 and call.path.startswith("/response/") and not _is_interim(call.body):
            by_url[call.path.rpartition("/")[2]].append(call.body.decode())
    others = [drawn(message) for message in _messages(load) if not _is_known_otherwise(message)]
    for request in load.requests:
        verdict.requests += 1
        urls = {url for words, url in deliveries if _holds(words, request.words)}
        if not urls:
            verdict.refused += 1
            continue
        keys = {url.rpartition("/")[2] for url in urls if url}
        answers = [text for key in keys for text in by_url[key]]
        answers += [text for text in others if _holds(text, request.mark)]
        repeated = sum(REPEATED in text for text in answers)
        verdict.said_repeated += repeated
        verdict.explained += sum("restarted" in text for text in answers)
        if not answers and not _is_shown(load, request, posted) and not request.is_refused:
            statuses = [call.status for call in acted if call.path.rpartition("/")[2] in keys]
            builds = sum(build.env.get("MARK") == request.mark for build in load.builds)
            verdict.unanswered.append(
                f"`{request.words}` ({request.deed}) in #{request.channel}: {builds} builds,"
                f" its address was called with {statuses}, delivered {sorted(urls)}"
            )
        if len(answers) - repeated > 1:
            verdict.answered_twice.append(f"`{request.words}` ({request.deed}): {answers}")


def _holds(text: str, words: str) -> bool:
    """Return whether a text holds words, not as the beginning of others: `#15` is not in `#152`."""
    return re.search(rf"{re.escape(words)}(?!\w)", text) is not None


def _read(body: bytes) -> tuple[str, str]:
    """Return the words that a delivery of Slack carries, and its response_url."""
    if body.startswith(b"{"):
        event = json.loads(body)["event"]
        return str(event.get("text") or "") if event["type"] == "app_mention" else "", ""
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    if "payload" not in form:
        return form.get("text", ""), form.get("response_url", "")
    payload = json.loads(form["payload"])
    return " ".join(str(act.get("value") or "") for act in payload["actions"]), str(payload.get("response_url") or "")


def _is_interim(body: bytes) -> bool:
    """Return whether a response is no answer: it takes a used message away."""
    return bool(json.loads(body).get("delete_original"))


def _messages(load: Load) -> Iterator[Message]:
    for messages in load.playground.workspace.messages.values():
        yield from messages.values()


def _is_known_otherwise(message: Message) -> bool:
    """Return whether a message is a notification, came through a response_url, or is a person's own."""
    methods = {sent["method"] for sent in message.sent}
    return bool(message.metadata) or "response_url" in methods or not methods


def _is_shown(load: Load, request: Request, posted: Mapping[str, list[Posted]]) -> bool:
    """Return whether the cards of a build show that a request was done."""
    match request.deed:
        case Deed.RUN | Deed.MENTION:
            builds = [build for build in load.builds if build.env.get("MARK") == request.mark]
            event, words = "started", ""
        case Deed.CANCEL:
            builds, event, words = [request.build] if request.build else [], "", "ancelled by"
        case Deed.RETRY | Deed.PRESS:
            builds, event, words = [request.build] if request.build else [], "", "retried the failed"
        case _:
            return False
    return any(
        words in post.text and event in {"", post.event} and page_of(load.world, build) in str(blocks_of(post.message))
        for build in builds
        for posts in posted.values()
        for post in posts
    )
