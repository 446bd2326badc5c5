"""Who may do what here: /build access [grant|revoke|ask …]."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bot.blocks.message import Message, actions, button, section, sections
from bot.blocks.text import Markup, code, escape, plural, when
from bot.core.errors import UsageError
from bot.core.policies import NO_SELF, Policy, parse_policy
from bot.core.text import same_name
from bot.notifications.approval_policies import policy_of_row
from bot.slack.sender import SlackError
from bot.store.rows import NewApprovalPolicy, NewGrant
from commands.core.actions import actor, asks_first, public_line
from commands.core.context import Answer, Context, Role
from commands.core.grammar import ParsedArgs, mentioned_channel, mentioned_group, mentioned_user, read
from commands.core.permissions import Requirement, granters, role_of
from commands.core.registry import Command

USAGE = "access [grant|revoke ROLE @user|@group|#channel [pipeline-glob] [--refs GLOB] [--everywhere] | ask ROLE [pipeline] | policy PIPELINE[@REF] no-self|two|comment|off … | forget @user]"
ROLES = {role.word: role for role in Role}


class Act(StrEnum):
    """What to do about roles."""

    SHOW = "show"
    GRANT = "grant"
    REVOKE = "revoke"
    ASK = "ask"
    POLICY = "policy"
    FORGET = "forget"


@dataclass(frozen=True, slots=True, kw_only=True)
class Args:
    """What to change for whom. `channel` is the channel a grant counts in where it is not this one; "" everywhere.

    `policy` is what approvals shall need; with `off` only what it holds for counts, and it is removed. `confirmed` is
    said by the button below the question what `forget` removes.
    """

    act: Act = Act.SHOW
    role: str = ""
    subject: str = ""
    pipelines: str = "*"
    refs: str = "*"
    channel: str | None = None
    policy: Policy = field(default_factory=Policy)
    off: bool = False
    confirmed: bool = False


def parse(words: str) -> Args:
    """Read the words after `access`. Raises UsageError."""
    parsed = read(words, values=("refs", "in"), switches=("everywhere", "yes"))
    if not parsed.words:
        return Args()
    act = parsed.words[0].lower()
    if act == Act.FORGET and len(parsed.words) == 2:
        return Args(act=Act.FORGET, subject=_person(parsed.words[1]), confirmed=parsed.has("yes"))
    if act == Act.ASK and len(parsed.words) in {2, 3}:
        return Args(
            act=Act.ASK,
            role=_role(parsed.words[1]),
            pipelines=parsed.words[2] if len(parsed.words) == 3 else "*",
            refs=parsed.flag("refs") or "*",
        )
    if act == Act.POLICY:
        return _policy(parsed.words[1:])
    if act not in {Act.GRANT, Act.REVOKE} or len(parsed.words) not in {3, 4}:
        raise UsageError("I did not understand that.", usage=USAGE)
    return Args(
        act=Act(act),
        role=_role(parsed.words[1]),
        subject=_subject(parsed.words[2]),
        pipelines=parsed.words[3] if len(parsed.words) == 4 else "*",
        refs=parsed.flag("refs") or "*",
        channel=_channel(parsed),
    )


def _policy(words: Sequence[str]) -> Args:
    """Read what follows `policy`; nothing shows the policies among the roles."""
    if not words:
        return Args()
    target, *rules = words
    if [rule.lower() for rule in rules] == ["off"]:
        return Args(act=Act.POLICY, policy=parse_policy(target, [NO_SELF]), off=True)
    return Args(act=Act.POLICY, policy=parse_policy(target, rules))


def _role(word: str) -> str:
    role = word.lower()
    if role not in ROLES:
        raise UsageError(f"There is no role `{role}`.", hint=f"Roles: {', '.join(ROLES)}.", usage=USAGE)
    return role


def _subject(word: str) -> str:
    for kind, mentioned in (
        ("user", mentioned_user(word)),
        ("channel", mentioned_channel(word)),
        ("group", mentioned_group(word)),
    ):
        if mentioned:
            return f"{kind}:{mentioned}"
    raise UsageError(f"`{word}` is no person, group or channel.", hint="Mention one: @ana, @mobile-team or #ios.")


def _person(word: str) -> str:
    user = mentioned_user(word)
    if not user:
        raise UsageError(f"`{word}` is no person.", hint="Mention somebody: @ana.", usage=USAGE)
    return user


def _channel(parsed: ParsedArgs) -> str | None:
    named = parsed.flag("in")
    if parsed.has("everywhere"):
        return ""
    if named is None:
        return None
    channel = mentioned_channel(named) or named
    if not channel.isalnum():
        raise UsageError(f"`{named}` is no channel.", hint="Mention one: `--in #ios`.")
    return channel


async def resolve(args: Args, context: Context) -> Args:
    """Return the arguments with a channel's alias replaced by the pipeline it stands for now: aliases can be moved."""
    if args.act in {Act.SHOW, Act.ASK, Act.FORGET}:
        return args
    links = await context.store.links.of_channel(context.team, context.channel)
    for link in links:
        path = f"{link.connection}:{link.path}"
        if args.act is Act.POLICY and same_name(link.alias, args.policy.pipelines):
            return replace(args, policy=replace(args.policy, pipelines=path))
        if same_name(link.alias, args.pipelines):
            return replace(args, pipelines=path)
    return args


def authorize(_args: Args, resolved: Args, _context: Context) -> Sequence[Requirement]:
    """Require an admin for changes. Who administers one channel only may give nothing that counts in others."""
    if resolved.act in {Act.SHOW, Act.ASK}:
        return ()
    if resolved.act is Act.FORGET:
        return (Requirement(role=Role.ADMIN, doing="Deleting what I know of a person", everywhere=True),)
    if resolved.act is Act.POLICY:  # it holds in every channel, else it would be passed by in another one
        return (Requirement(role=Role.ADMIN, doing="Changing what approvals need", everywhere=True),)
    return (
        Requirement(
            role=Role.ADMIN,
            doing="Changing who may do what",
            everywhere=resolved.channel == "",
            channel=resolved.channel or None,
        ),
    )


async def run(_args: Args, resolved: Args, context: Context) -> Answer:
    """Show the grants that count here and the person's own role, change them, or ask who can."""
    match resolved.act:
        case Act.SHOW:
            return await _show(context)
        case Act.ASK:
            return await _ask(resolved, context)
        case Act.GRANT:
            return await _grant(resolved, context)
        case Act.REVOKE:
            return await _revoke(resolved, context)
        case Act.POLICY:
            return await _set_policy(resolved, context)
        case Act.FORGET:
            return await _forget(resolved, context)


BELONGINGS = {
    "grant": "grant",
    "watch": "watch",
    "schedule": "schedule",
    "chain": "waiting command",
    "claim": "claim",
    "vote": "vote",
    "personal_token": "personal token",
    "last_value": "remembered value",
}
"""What a person loses who is forgotten, by table: the rest is what the bot knows of them."""


async def _forget(args: Args, context: Context) -> Answer:
    """Delete what is stored of a person, having said what that is and asked."""
    if not args.confirmed:
        counts = await context.store.forgetting.belongings(context.team, args.subject)
        lost = [plural(counts[name], words) for name, words in BELONGINGS.items() if counts[name]]
        effect = (
            f"{'I delete ' + ', '.join(lost) + ', and ' if lost else 'I delete '}all settings and direct messages of theirs that I know. "
            "Their id, name and addresses are replaced in builds, cards and the audit, which stay. This can't be undone; "
            "a CI system that names them in a commit brings that name back with the next build."
        )
        return asks_first(
            Markup(f"Forget {_who(f'user:{args.subject}')}?"),
            effect,
            f"access forget <@{args.subject}>",
            yes="Forget them",
        )
    count = await context.store.forgetting.person(context.team, args.subject)
    context.services.people.forget(context.team, args.subject)
    text = f"Done: {plural(count, 'row')} deleted or changed. My messages in Slack stay: delete them there."
    return Answer(message=Message(text=text, blocks=(section(text),)), replace=True)


def recorded(args: Args, _resolved: Args) -> str | None:
    """Return words for the audit without whoever is being forgotten; None where the typed words may stay."""
    return "forget somebody" if args.act is Act.FORGET else None


async def _set_policy(args: Args, context: Context) -> Answer:
    policy = args.policy
    if args.off:
        if not await context.store.approvals.remove_policy(context.team, policy.pipelines, policy.refs):
            raise UsageError(f"There is no policy for `{policy.target}`.", hint="`access` lists them.")
        return public_line(f"{actor(context)} removed the policy of approvals for {code(policy.target)}")
    await context.store.approvals.set_policy(
        NewApprovalPolicy(
            team=context.team,
            pipelines=policy.pipelines,
            refs=policy.refs,
            no_self=policy.no_self,
            people=policy.people,
            needs_comment=policy.needs_comment,
            set_by=context.user,
            set_at=context.now,
        )
    )
    return public_line(f"{actor(context)} set what approvals of {code(policy.target)} need: {policy.sentence}")


async def _grant(args: Args, context: Context) -> Answer:
    await context.store.grants.add(
        NewGrant(
            team=context.team,
            channel=_counts_in(args, context),
            role=args.role,
            subject=args.subject,
            pipelines=args.pipelines,
            refs=args.refs,
            granted_by=context.user,
            granted_at=context.now,
        )
    )
    return public_line(
        f"{actor(context)} gave {_who(args.subject)} the {args.role} role{_narrowed(args.pipelines, args.refs)} "
        f"{_reach(args)}"
    )


async def _revoke(args: Args, context: Context) -> Answer:
    is_revoked = await context.store.grants.remove(
        team=context.team,
        channel=_counts_in(args, context),
        role=args.role,
        subject=args.subject,
        pipelines=args.pipelines,
        refs=args.refs,
    )
    if not is_revoked:
        raise UsageError("There is no such grant.", hint=f"`{context.command} access` shows which there are.")
    return public_line(
        f"{actor(context)} took the {args.role} role from {_who(args.subject)}{_narrowed(args.pipelines, args.refs)} "
        f"{_reach(args)}"
    )


def _counts_in(args: Args, context: Context) -> str:
    return context.channel if args.channel is None else args.channel


def _reach(args: Args) -> str:
    if args.channel is None:
        return "in this channel"
    return f"in <#{args.channel}>" if args.channel else "everywhere"


async def _ask(args: Args, context: Context) -> Answer:
    """Send a direct message to who can grant the role, with a button that does."""
    admins = [user for user in await granters(context) if user != context.user]
    pipeline = "" if args.pipelines == "*" else f" {shlex.quote(args.pipelines)}"
    refs = "" if args.refs == "*" else f" --refs={shlex.quote(args.refs)}"
    place = "" if context.is_direct else f" --in {context.channel}"
    grant = f"access grant {args.role} <@{context.user}>{pipeline}{refs}{place or ' --everywhere'}"
    here = "" if context.is_direct else f" in <#{context.channel}>"
    text = f"{actor(context)} asks for the {args.role} role{_narrowed(args.pipelines, args.refs)}{here}."
    message = Message(text=text, blocks=(section(text), actions(button("Grant it", grant, style="primary"))))
    notified: list[str] = []
    for admin in admins:
        try:
            await context.services.sender.post(context.team, admin, message)
        except SlackError:
            continue
        notified.append(f"<@{admin}>")
    if not notified:
        raise UsageError("Nobody here can be asked by me.", hint="Ask an admin of this workspace.")
    reply = f"I have asked {' and '.join(notified)}."
    return Answer(message=Message(text=reply, blocks=(section(reply),)), replace=True)


async def _show(context: Context) -> Answer:
    own = await role_of(context)
    members = context.services.access.members.word
    lines = [f"You are {_article(own.word)} here. Members of this channel are {members}s by default."]
    for grant in await context.store.grants.all(context.team):
        if grant.channel and grant.channel != context.channel:
            continue
        place = " everywhere" if not grant.channel else ""
        narrowed = _narrowed(grant.pipelines, grant.refs)
        lines.append(
            f"• {_who(grant.subject)} is {_article(grant.role)}{narrowed}{place} (granted by <@{grant.granted_by}>)"
        )
    if context.services.access.protected:
        globs = ", ".join(code(glob) for glob in context.services.access.protected)
        lines.append(f"Protected refs: {globs}")
    policies = [(policy, "the operator") for policy in context.services.access.policies]
    rows = await context.store.approvals.policies(context.team)
    policies += [(policy_of_row(row), f"<@{row.set_by}> {when(row.set_at)}") for row in rows]
    lines += [f"Approvals of {code(policy.target)}: {policy.sentence} (set by {who})" for policy, who in policies]
    return Answer(message=Message(text="\n".join(lines), blocks=sections(lines)))


def _narrowed(pipelines: str, refs: str) -> str:
    narrowed = "" if pipelines == "*" else f" for {code(pipelines)}"
    return narrowed + ("" if refs == "*" else f" on {code(refs)}")


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _who(subject: str) -> str:
    kind, _, name = subject.partition(":")
    match kind:
        case "user":
            return f"<@{name}>"
        case "group":
            return f"<!subteam^{name}>"
        case _:
            return f"the members of <#{escape(name)}>"


COMMAND = Command(
    verb="access",
    usage=USAGE,
    summary="Who may do what here",
    role=Role.VIEW,
    group="Set up",
    parse=parse,
    resolve=resolve,
    authorize=authorize,
    run=run,
    flags=(
        ("--refs GLOB", "only on these branches or tags"),
        ("--in #channel", "in that channel instead of this one"),
        ("--everywhere", "in every channel, not only this one"),
    ),
    acts=lambda args: args.act is not Act.SHOW,
    recorded=recorded,
    examples=(
        "access",
        "access grant approver @ana deploy",
        "access revoke runner #random",
        "access policy deploy@main no-self two comment",
        "access ask approver",
        "access forget @ana",
    ),
)
