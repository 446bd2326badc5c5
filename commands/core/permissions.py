"""What a person may do here, judged when the act happens, on what will be acted on.

A command lists `Requirement`s; the executor passes them to `check`. Refs are the names as they will be sent to the CI
system (or those of the build itself), never the words that were typed.

Rights come from, in this order: the members' role of the workspace, for full members who are in the channel; grants;
being an admin (by configuration, by installation, or in Slack, asked anew). A guest, somebody from another workspace and
somebody who is not in the channel have grants only: given to them, to their user group, or to the members of a channel
they are in. A deactivated account has none. Of whom Slack does not report what they are, only reading and grants count.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from bot.core.errors import NotAllowed
from bot.core.models import StartRequest, StartTarget, is_sha
from bot.core.refs import is_pattern, named_refs, refs_in_values, spellings_of
from bot.core.text import fits_glob
from bot.notifications.holds import hold_words, holds_of
from bot.slack.people import Standing
from bot.store.rows import GrantRow, HoldRow, NewHoldWait
from commands.core.approval_policies import Deciding, check_policy
from commands.core.context import Context, Role, Source
from commands.core.matches import PipelineMatch

_ROLES = {role.word: role for role in Role}
MOST_NAMED = 3
UNKNOWN_REF = "(unknown ref)"
"""Stands for what will be built where the provider does not report it; no grant can name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """A role that an act needs: on which pipeline and refs. `doing` begins the refusal ("Starting builds of *web*").

    `everywhere` asks for a role that holds in every channel. The viewer's role asks only for a person who may act here.
    With `builds_a_ref`, an act whose refs are unknown counts as one on a protected ref wherever any ref is protected.
    `deciding` is the approval that is decided: its policies are kept as well.
    With `starts`, the act starts or approves a build of the pipeline, which a hold refuses; `environments` are the texts
    that may name the environment it goes to.
    """

    role: Role
    doing: str
    pipeline: PipelineMatch | None = None
    refs: tuple[str, ...] = ()
    everywhere: bool = False
    channel: str | None = None
    builds_a_ref: bool = False
    deciding: Deciding | None = None
    starts: bool = False
    environments: tuple[str, ...] = ()


def refs_of_start(target: StartTarget, request: StartRequest) -> tuple[str, ...]:
    """Return the refs that rights on a start are judged on: all that will be sent. A pull request alone is `pr:42`.

    Where the target names nothing that is built, what is built is unknown.
    """
    is_known = target.branch or target.tag or target.pull_request
    return (*(() if is_known else (UNKNOWN_REF,)), *refs_added(target, request))


def refs_added(target: StartTarget, request: StartRequest) -> tuple[str, ...]:
    """Return the refs that a target and a request's values name, such as a rebuild's beside those of the old build.

    A commit that is no SHA is a ref by another way: CI systems hand it to git, which takes `main`, `origin/main`, `main~0`.
    An option that takes a name after a dot (`variable.BRANCH`) is a value of that name.
    """
    commits = (target.commit, request.commit)
    named = tuple(commit for commit in commits if commit is not None and not is_sha(commit))
    options = {name.partition(".")[2]: value for name, value in request.options.items() if "." in name}
    return (
        *named_refs(target.branch, target.tag, target.pull_request),
        *named,
        *target.also,
        *refs_in_values(request.parameters),
        *refs_in_values(options),
    )


async def check(requirement: Requirement, context: Context) -> None:
    """Raise NotAllowed unless the person holds the required role, and where somebody holds what would be started.

    Costs what `check_role` costs, and for what starts or approves a build one statement.
    """
    await check_role(requirement, context)
    if not requirement.starts or requirement.pipeline is None:
        return
    hold = await hold_against(requirement.pipeline, requirement.environments, context)
    if hold is not None:
        typed = requirement.pipeline.typed
        place = f" --env {shlex.quote(hold.environment)}" if hold.environment else ""
        await _wait(hold, requirement, context)
        raise NotAllowed(
            f"{requirement.doing} is on hold: {hold_words(hold)}. Nothing was started.",
            hint=f"`/build release {shlex.quote(typed)}{place}` ends the hold; "
            "`--steal` takes it from somebody else, who is told.",
        )


async def _wait(hold: HoldRow, requirement: Requirement, context: Context) -> None:
    """Note that a person waits for a hold's end; what a schedule wanted is nobody's to be called for."""
    if not context.user or context.source in {Source.SCHEDULE, Source.TERMINAL}:
        return
    row = NewHoldWait(
        team=hold.team,
        connection=hold.connection,
        pipeline=hold.pipeline,
        environment=hold.environment,
        user=context.user,
        what=requirement.doing.replace("*", ""),
        at=context.now,
    )
    await context.store.holds.wait(row)


async def hold_against(pipeline: PipelineMatch, environments: Sequence[str], context: Context) -> HoldRow | None:
    """Return the hold that keeps this person from starting builds of a pipeline now, None where nothing does.

    A hold of the whole pipeline stops every start; that of an environment stops an act that names it. The holder may act
    in person: what runs later in their name (a schedule, a chained command) waits for the release as everybody does.
    """
    rows = await context.store.holds.of_pipeline(context.team, pipeline.connection, pipeline.id)
    is_person = context.source is not Source.SCHEDULE
    return next((row for row in holds_of(rows, environments) if not (is_person and row.user == context.user)), None)


async def check_role(requirement: Requirement, context: Context) -> None:
    """Raise NotAllowed unless the person holds the required role; a protected ref needs a grant that names it.

    An approval's policies are kept by everybody, admins among them; only the terminal is the operator's own.
    Costs nothing for a member's own rights but what `People` keeps; whether somebody is an admin is asked anew.
    """
    if context.source is Source.TERMINAL:
        return
    await _check_role(requirement, context)
    if requirement.deciding is not None:
        await check_policy(requirement.deciding, context)


async def _check_role(requirement: Requirement, context: Context) -> None:
    here = context if requirement.channel is None else context.in_channel(requirement.channel)
    here = here.in_channel("") if requirement.everywhere else here
    standing = await context.services.people.standing(context.team, context.user)
    if standing.is_deactivated:
        raise NotAllowed(f"{requirement.doing} is not possible: this Slack account is deactivated.")
    protected = await _protected(requirement, here)
    base = await _members_role(context, standing)
    if not protected and base is not None and requirement.role <= base:
        return
    needed = max(requirement.role, Role.RUN) if protected else requirement.role
    grants = await _grants(here)
    if all(_is_granted(ref, requirement, grants, protected) for ref in requirement.refs or protected or ("",)):
        return
    if await is_admin(context, fresh=True):
        return
    if standing.is_unknown:
        raise _unknown(requirement.doing, standing)
    raise await _refusal(requirement, needed, protected, base is None, standing, context)


async def may_somewhere(role: Role, doing: str, context: Context) -> None:
    """Raise NotAllowed unless the person holds a role for some pipeline and ref here: asked before a form opens."""
    if context.source is Source.TERMINAL or role is Role.VIEW:
        return
    standing = await context.services.people.standing(context.team, context.user)
    base = await _members_role(context, standing)
    if not standing.is_deactivated:
        if base is not None and role <= base:
            return
        if any(_role(grant.role) >= role for grant in await _grants(context)):
            return
        if await is_admin(context, fresh=True):
            return
    if standing.is_unknown:
        raise _unknown(doing, standing)
    raise await _refusal(Requirement(role=role, doing=doing), role, (), base is None, standing, context)


async def role_of(
    context: Context, pipeline: PipelineMatch | None = None, refs: Sequence[str] = (), *, fresh: bool = False
) -> Role:
    """Return what a person may do here, to show them what is theirs; `check` decides about acts."""
    if await is_admin(context, fresh=fresh):
        return Role.ADMIN
    standing = await context.services.people.standing(context.team, context.user)
    if standing.is_deactivated:
        return Role.VIEW
    held = [await _members_role(context, standing) or Role.VIEW]
    grants = await _grants(context)
    held += [_role(grant.role) for grant in grants if _covers(grant, pipeline, refs[0] if refs else "")]
    return max(held)


async def is_admin(context: Context, *, fresh: bool = False) -> bool:
    """Return whether a person is an admin: the terminal, by configuration, the installer, or in Slack.

    With `fresh` Slack is asked now (one request) instead of what was reported within the hour.
    """
    if context.source is Source.TERMINAL or (context.user and context.user in context.services.access.admins):
        return True
    if not context.user:
        return False
    install = await context.store.installs.get(
        context.team, context.enterprise, is_enterprise_install=context.is_enterprise_install
    )
    if install is not None and install.installed_by == context.user:
        return True
    return (await context.services.people.standing(context.team, context.user, fresh=fresh)).is_admin


async def protecting_globs(pipeline: PipelineMatch | None, context: Context) -> tuple[str, ...]:
    """Return the globs of protected refs: the operator's, and those of the pipeline's links in all of the workspace's channels."""
    globs = list(context.services.access.protected)
    if pipeline is not None:
        links = await context.store.links.of_pipeline(pipeline.connection, pipeline.id)
        globs += [glob for link in links if link.team == context.team for glob in link.protected.split(",")]
    return tuple(glob.strip() for glob in globs if glob.strip())


async def _protected(requirement: Requirement, context: Context) -> tuple[str, ...]:
    """Return the required refs that are protected."""
    if requirement.role < Role.RUN or not (requirement.refs or requirement.builds_a_ref):
        return ()
    return protected_among(requirement, await protecting_globs(requirement.pipeline, context))


def protected_among(requirement: Requirement, globs: Sequence[str]) -> tuple[str, ...]:
    """Return the required refs that globs protect. Where any is protected, so is what is unknown, and a pattern."""
    refs = requirement.refs or ((UNKNOWN_REF,) if requirement.builds_a_ref else ())
    return tuple(ref for ref in refs if _matches(ref, globs))


def _matches(ref: str, globs: Sequence[str]) -> bool:
    if ref == UNKNOWN_REF or is_pattern(ref):
        return bool(globs)
    return any(fits_glob(spelling, glob) for glob in globs for spelling in spellings_of(ref))


async def _members_role(context: Context, standing: Standing) -> Role | None:
    """Return the role that the workspace gives to members; None for guests, strangers and who is not in the channel.

    Whoever Slack reports nothing of may be a guest.
    """
    if standing.is_guest or standing.is_stranger or standing.is_deactivated or standing.is_unknown:
        return None
    if not context.is_direct:
        is_member = await context.services.people.membership(context.team, context.channel, context.user)
        if is_member is False:
            return None
    return context.services.access.members


async def _grants(context: Context) -> list[GrantRow]:
    """Return the grants that count for a person here: their own, their user groups', those of channels they are in."""
    people = context.services.people
    groups: frozenset[str] | None = None
    held: list[GrantRow] = []
    for grant in await context.store.grants.all(context.team):
        if grant.channel and grant.channel != context.channel:
            continue
        kind, _, subject = grant.subject.partition(":")
        match kind:
            case "user":
                holds = subject == context.user
            case "group":
                if groups is None:
                    groups = await people.groups(context.team, context.user)
                holds = subject in groups
            case "channel":
                holds = await people.is_member(context.team, subject, context.user)
            case _:
                holds = False
        if holds and grant.role in _ROLES:
            held.append(grant)
    return held


def _is_granted(ref: str, requirement: Requirement, grants: Sequence[GrantRow], protected: Sequence[str]) -> bool:
    return any(
        _role(grant.role) >= requirement.role
        and _covers(grant, requirement.pipeline, ref)
        and (ref not in protected or grant.refs != "*")
        for grant in grants
    )


def _covers(grant: GrantRow, pipeline: PipelineMatch | None, ref: str) -> bool:
    if grant.refs != "*" and not (ref and fits_glob(ref, grant.refs, case=True)):
        return False
    if grant.pipelines == "*":
        return True
    if pipeline is None:
        return False
    # Not its alias: anybody may link anything under any alias, and would so widen their own grant.
    names = {
        pipeline.path,
        pipeline.id,
        f"{pipeline.connection}:{pipeline.path}",
        pipeline.link.name if pipeline.link else pipeline.name,
    }
    return any(fits_glob(name, grant.pipelines) for name in names if name)


def _role(word: str) -> Role:
    return _ROLES.get(word, Role.VIEW)


async def _refusal(
    requirement: Requirement,
    needed: Role,
    protected: Sequence[str],
    is_outsider: bool,  # noqa: FBT001 - one of the things a refusal says
    standing: Standing,
    context: Context,
) -> NotAllowed:
    """Return a refusal: what needs which role, why the members' role does not count, and who can grant it."""
    on = f" on the protected ref `{protected[0]}`" if protected else ""
    why = ""
    if standing.is_guest:
        why = " You are a guest in this workspace, so you need a grant of your own."
    elif standing.is_stranger:
        why = " Your account belongs to another workspace, so you need a grant of your own."
    elif is_outsider:
        why = f" You are not a member of {context.here}."
    admins = await granters(context)
    name = await context.name()
    people = " or ".join(f"<@{user}>" for user in admins) or "a workspace admin"
    message = f"{requirement.doing}{on} needs the {needed.word} role here.{why}"
    if UNKNOWN_REF in protected:
        return NotAllowed(message, hint=f"No grant can name a ref that is not known. Ask {people} to do it.")
    refs = f" --refs {shlex.quote(protected[0])}" if protected else ""
    pipeline = requirement.pipeline
    about = f" {shlex.quote(f'{pipeline.connection}:{pipeline.path}')}" if pipeline else ""
    return NotAllowed(
        message,
        hint=f"Ask {people}: they can run `{context.command} access grant {needed.word} @{name}{refs}`.",
        choices=(("Ask for it", f"access ask {needed.word}{about}{refs}"),) if admins else (),
    )


def _unknown(doing: str, standing: Standing) -> NotAllowed:
    """Return the refusal for a person of whom Slack does not report whether they are a member or a guest."""
    return NotAllowed(
        f"{doing} is for members, and Slack did not tell me whether you are one "
        f"({standing.unknown_because.replace('_', ' ')}). Nothing was done.",
        hint="Try again in a minute.",
    )


async def granters(context: Context) -> list[str]:
    """Return up to three people who can grant a role here, by id.

    The operator's admins come first, then the installer, people who were granted the admin's role, Slack's admins.
    """
    admins = sorted(context.services.access.admins)
    install = await context.store.installs.get(
        context.team, context.enterprise, is_enterprise_install=context.is_enterprise_install
    )
    if install is not None and install.installed_by:
        admins.append(install.installed_by)
    for grant in await context.store.grants.all(context.team):
        kind, _, subject = grant.subject.partition(":")
        is_whole = grant.pipelines == grant.refs == "*"
        if kind == "user" and is_whole and grant.channel in {"", context.channel} and _role(grant.role) is Role.ADMIN:
            admins.append(subject)
    if len(set(admins) - {context.user}) < MOST_NAMED:
        admins += await context.services.people.admins(context.team, MOST_NAMED + 1)
    return [user for user in dict.fromkeys(admins) if user != context.user][:MOST_NAMED]
