"""What will go wrong, in the order in which to mend it: what `/build doctor` and `buildbell doctor` both look at."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from bot.blocks.text import plural, roughly
from bot.core import clock
from bot.core.errors import BotError
from bot.manifest import SCOPES
from bot.monitoring.credentials import days_left
from bot.providers.base.provider import AnyProvider
from bot.security.redaction import redact
from bot.slack.sender import GONE, SlackError
from bot.store.rows import LinkRow
from commands.core.context import Services

MOST_CHANNELS = 100
CLOCK_OFF = timedelta(seconds=60)
"""Slack and App Store Connect refuse what is signed five minutes off; a minute leaves time to mend it."""
LATE = timedelta(minutes=5)
WEBHOOKS_SILENT = timedelta(days=1)
"""Builds that end this long after the last webhook came without one."""
SLOW_WRITE_SECONDS = 2.0
SCARCE_BYTES = 500 * 1024 * 1024
MEGABYTE = 1024 * 1024
EXPIRES_SOON_DAYS = 30


CLOCK = "clock"


class Level(IntEnum):
    """How grave a finding is."""

    FINE = 0
    WARNING = 1
    PROBLEM = 2

    @property
    def mark(self) -> str:
        """Return the word of a terminal's line."""
        return {Level.FINE: "ok ", Level.WARNING: "!! ", Level.PROBLEM: "NO "}[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check, and what to do about it."""

    what: str
    level: Level
    message: str
    fix: str = ""

    @property
    def line(self) -> str:
        """Return the finding as one line."""
        return f"{self.level.mark} {self.what}: {self.message}{f' → {self.fix}' if self.fix else ''}"


NO_KEYS = Finding(
    what="keys",
    level=Level.WARNING,
    message="none: CI systems can be connected in the configuration file, but not in Slack",
    fix="`buildbell doctor --new-key` makes one for BUILDBELL_KEYS",
)


def verdict(findings: Iterable[Finding]) -> str:
    """Return the last line: whether anything is wrong, and what to begin with."""
    all_findings = list(findings)
    problems = [finding for finding in all_findings if finding.level is Level.PROBLEM]
    warnings = [finding for finding in all_findings if finding.level is Level.WARNING]
    if not problems and not warnings:
        return "Everything works."
    parts = [plural(len(problems), "problem")] if problems else []
    parts += [plural(len(warnings), "warning")] if warnings else []
    first = (problems or warnings)[0]
    works = "" if problems else "Everything works. "
    return f"{works}{' and '.join(parts)}. Begin with: {first.what}."


async def checkup(services: Services, teams: Sequence[str], providers: Sequence[AnyProvider]) -> list[Finding]:
    """Return the checks of Slack, linked channels, connections and the work that waits.

    Costs one request for each workspace, one for each linked channel and a few for each connection; changes nothing
    but what is known of credentials.
    """
    findings: list[Finding] = []
    for team in teams:
        findings += await _slack(services, team)
        findings += await _channels(services, team)
    findings += [await _credentials(services, provider) for provider in providers]
    if not any(finding.what == CLOCK for finding in findings):
        findings += _vendor_clocks(providers)
    findings += await _webhooks(services, providers)
    findings += await _polls(services, [provider.connection for provider in providers])
    findings += await _queues(services, teams)
    return findings


def keys(services: Services) -> list[Finding]:
    """Return a finding where there is no key to seal secrets with."""
    return [] if services.can_seal else [NO_KEYS]


async def database(services: Services) -> Finding:
    """Return whether the database has room and lets the bot write."""
    what = "database"
    try:
        report = await services.store.vitals.report()
    except BotError as exc:
        fix = exc.hint or "end what holds it: a second bot on the same file, or a long transaction"
        return Finding(what=what, level=Level.PROBLEM, message=str(exc), fix=fix)
    size = f"{max(1, round(report.size / MEGABYTE)):,} MB"
    if report.free is not None and report.free < SCARCE_BYTES:
        message = f"its disk has {report.free // MEGABYTE} MB left, it takes {size}"
        return Finding(what=what, level=Level.PROBLEM, message=message, fix="make room: a full disk stops everything")
    if report.blocked:
        message = f"{plural(report.blocked, 'session')} of it wait for a lock"
        fix = "find who holds it in pg_stat_activity, such as a backup or a forgotten transaction"
        return Finding(what=what, level=Level.WARNING, message=message, fix=fix)
    if report.write_seconds > SLOW_WRITE_SECONDS:
        message = f"a write waited {roughly(report.write_seconds)} for its turn"
        fix = "see what else writes to it, and whether its disk is slow"
        return Finding(what=what, level=Level.WARNING, message=message, fix=fix)
    return Finding(what=what, level=Level.FINE, message=f"answers, takes {size}")


async def _slack(services: Services, team: str) -> list[Finding]:
    what = f"Slack {team}"
    try:
        report = await services.sender.token_report(team)
    except SlackError as exc:
        fix = "copy the bot token of the app's page again, or reinstall the app"
        return [Finding(what=what, level=Level.PROBLEM, message=str(exc), fix=fix)]
    missing = [scope for scope in SCOPES if report.scopes and scope not in report.scopes]
    findings = [
        Finding(
            what=what,
            level=Level.PROBLEM,
            message=f"lacks the scopes {', '.join(missing)}",
            fix="paste the manifest (`buildbell manifest`) into the app's page again and reinstall the app",
        )
        if missing
        else Finding(what=what, level=Level.FINE, message="reachable, all scopes granted")
    ]
    if report.at is not None and abs(off := clock.now() - report.at) > CLOCK_OFF:
        findings.append(
            Finding(
                what=CLOCK,
                level=Level.PROBLEM,
                message=f"this machine's clock is {roughly(abs(off.total_seconds()))} "
                f"{'ahead of' if off > timedelta() else 'behind'} Slack's",
                fix="synchronize it: signed requests of five minutes' difference are refused",
            )
        )
    return findings


async def _channels(services: Services, team: str) -> list[Finding]:
    """Return the linked channels that can't get posts; one finding that all can, where all can."""
    links: dict[str, list[LinkRow]] = {}
    for link in await services.store.links.all(team):
        links.setdefault(link.channel, []).append(link)
    channels = [channel for channel in links if channel.startswith(("C", "G"))]
    findings = [
        finding
        for channel in channels[:MOST_CHANNELS]
        for finding in await _channel(services, team, channel, links[channel])
    ]
    if findings or not channels:
        return findings
    return [Finding(what="channels", level=Level.FINE, message=f"{plural(len(channels), 'linked channel')} reachable")]


async def _channel(services: Services, team: str, channel: str, links: Sequence[LinkRow]) -> list[Finding]:
    paused = next((link.paused_reason for link in links if link.paused_reason), "")
    try:
        reply = await services.sender.call(team, "conversations.info", {"channel": channel})
    except SlackError as exc:
        if exc.code not in GONE:
            message = f"Slack does not describe it ({exc.code.replace('_', ' ')})"
            return [Finding(what=f"channel {channel}", level=Level.WARNING, message=message)]
        fix = "type `/invite @Buildbell` there, or unlink it"
        return [Finding(what=f"channel {channel}", level=Level.PROBLEM, message="the bot can't see it", fix=fix)]
    channel_info = reply.get("channel")
    described = channel_info if isinstance(channel_info, dict) else {}
    what = f"channel #{described.get('name') or channel}"
    if described.get("is_archived"):
        fix = "unarchive it, or link the pipelines in another channel"
        return [Finding(what=what, level=Level.PROBLEM, message="is archived, its notifications are lost", fix=fix)]
    if described.get("is_private") and described.get("is_member") is False:
        message = "is private and the bot is not in it, its notifications are lost"
        return [Finding(what=what, level=Level.PROBLEM, message=message, fix="type `/invite @Buildbell` there")]
    if paused:
        fix = "subscribe again there, with `subscribe`"
        return [Finding(what=what, level=Level.PROBLEM, message=f"gets no notifications: {paused}", fix=fix)]
    if described.get("is_member") is False:
        message = "the bot is not in it: after a lost answer a notification may come twice"
        return [Finding(what=what, level=Level.WARNING, message=message, fix="type `/invite @Buildbell` there")]
    return []


async def _credentials(services: Services, provider: AnyProvider) -> Finding:
    what = f"{provider.connection} ({provider.label})"
    now = services.clock()
    try:
        account = await provider.check()
    except BotError as exc:
        await services.store.health.was_checked(provider.connection, expires_at=None)
        return Finding(what=what, level=Level.PROBLEM, message=redact(str(exc)), fix=redact(exc.hint or ""))
    await services.store.health.was_checked(provider.connection, expires_at=account.expires_at)
    parts = [account.name, account.detail or "", *account.warnings]
    if account.missing:
        lacks = [f"{scope.name} ({scope.purpose})" for scope in account.missing]
        message = ", ".join(part for part in [*parts, f"lacks {', '.join(lacks)}"] if part)
        fix = "make a token with those scopes, and put it in place of the old one"
        return Finding(what=what, level=Level.PROBLEM, message=message, fix=fix)
    if account.expires_at is None:
        return Finding(what=what, level=Level.FINE, message=", ".join(part for part in parts if part))
    left = days_left(account.expires_at, now)
    parts.append(f"its token ends {account.expires_at:%Y-%m-%d}")
    message = ", ".join(part for part in parts if part)
    if left > EXPIRES_SOON_DAYS:
        return Finding(what=what, level=Level.FINE, message=message)
    in_days = f"make a new token: {plural(left, 'day')} left"
    return Finding(what=what, level=Level.WARNING, message=message, fix=in_days)


async def _webhooks(services: Services, providers: Sequence[AnyProvider]) -> list[Finding]:
    """Return which connections have webhooks, and whether those come. Without them builds are polled, some seconds later.

    A connection that has not been polled yet is new: nothing can be said of its webhooks.
    """
    health = await services.store.health.all()
    polled = {poll_target.connection for poll_target in await services.store.polling.targets()}
    came: list[str] = []
    silent: list[str] = []
    stopped: list[str] = []
    for provider in providers:
        name = provider.connection
        seen = health.get(name)
        if seen is not None and seen.webhook_at is not None:
            ago = roughly(max(0.0, (services.clock() - seen.webhook_at).total_seconds()))
            last_end = await services.store.attempts.last_end(name)
            missed = last_end is not None and last_end - seen.webhook_at > WEBHOOKS_SILENT
            (stopped if missed else came).append(f"{name} {ago} ago")
        elif provider.options.webhook_secret is not None and name in polled:
            silent.append(name)
    findings = [Finding(what="webhooks", level=Level.FINE, message=f"came last: {', '.join(came)}")] if came else []
    if stopped:
        message = f"came last: {', '.join(stopped)}; builds have ended since, and are polled"
        fix = "see the deliveries in the CI system's settings of the webhook, and that its secret is the connection's"
        findings.append(Finding(what="webhooks", level=Level.WARNING, message=message, fix=fix))
    if silent:
        where = f"{services.public_url}/hooks/NAME" if services.public_url else ""
        fix = f"set them up there for {where}" if where else "set PUBLIC_URL, and webhooks of the CI systems to it"
        message = f"none has come yet of {', '.join(silent)}; builds are polled"
        findings.append(Finding(what="webhooks", level=Level.WARNING, message=message, fix=fix))
    return findings


async def _polls(services: Services, connections: Sequence[str]) -> list[Finding]:
    """Return polls that fail or are late."""
    now = services.clock()
    findings: list[Finding] = []
    latest: datetime | None = None
    for poll_target in await services.store.polling.targets():
        if poll_target.connection not in connections:
            continue
        name = f"{poll_target.connection}{f' ({poll_target.part})' if poll_target.part else ''}"
        if poll_target.failing_since is not None:
            findings.append(
                Finding(
                    what=f"watching {name}",
                    level=Level.PROBLEM,
                    message=f"fails for {roughly((now - poll_target.failing_since).total_seconds())}: "
                    f"{redact(poll_target.last_error)}",
                )
            )
        elif latest is None or poll_target.due_at < latest:
            latest = poll_target.due_at
    if latest is not None and now - latest > LATE:
        findings.append(
            Finding(
                what="lag",
                level=Level.PROBLEM,
                message=f"a poll is late by {roughly((now - latest).total_seconds())}",
                fix="see that `buildbell serve` (or a worker) runs, and its log",
            )
        )
    return findings


async def _queues(services: Services, teams: Sequence[str]) -> list[Finding]:
    """Return what waits too long to be posted, or to be done."""
    now = services.clock()
    findings: list[Finding] = []
    waiting = await services.store.notifications.waiting(teams, now)
    if waiting.since is not None and now - waiting.since > LATE:
        findings.append(
            Finding(
                what="notifications",
                level=Level.PROBLEM,
                message=f"{waiting.count} not posted, the oldest for {roughly((now - waiting.since).total_seconds())}",
                fix="see that a worker runs, and what its log says of Slack's refusals",
            )
        )
    oldest = await services.store.inbox.oldest_open()
    if oldest is not None and now - oldest > LATE:
        findings.append(
            Finding(
                what="inbox",
                level=Level.PROBLEM,
                message=f"something that Slack delivered is not done for {roughly((now - oldest).total_seconds())}",
                fix="see that `buildbell serve` runs, and its log",
            )
        )
    return findings


def _vendor_clocks(providers: Sequence[AnyProvider]) -> list[Finding]:
    """Return the CI systems whose clocks differ from this machine's, as their answers to the check were dated."""
    findings: list[Finding] = []
    for provider in providers:
        ahead = provider.clock_ahead
        if ahead is not None and abs(ahead) > CLOCK_OFF:
            findings.append(
                Finding(
                    what=CLOCK,
                    level=Level.WARNING,
                    message=f"the one of {provider.connection} ({provider.label}) is "
                    f"{roughly(abs(ahead.total_seconds()))} {'behind' if ahead > timedelta() else 'ahead of'} this "
                    "machine's",
                    fix="synchronize that server: the times of its builds are wrong, and signed requests may be refused",
                )
            )
    return findings
