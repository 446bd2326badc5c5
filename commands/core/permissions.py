"""May this person do that here? Asked when the act happens, on the acting person's id."""

import re

from bot.core.errors import NotAllowed
from bot.core.models import Ref
from bot.core.text import fits_glob
from bot.store.tables import GrantRow
from commands.core.context import Request, Role, Services, Source
from commands.core.resolve import PipelineMatch

_FULL_REF = re.compile(r"^(?:refs/)?(?:heads|tags)/")


async def role_of(request: Request, services: Services, place: PipelineMatch | None = None, ref: str = "") -> Role:
    """Return what a person may do here. Costs at most two Slack calls, and only where a grant or an admin counts."""
    if await is_admin(request, services):
        return Role.ADMIN
    granted = await _granted(request, services, place, ref)
    return max([services.access.members, *(role for role, _grant in granted)])


async def is_admin(request: Request, services: Services) -> bool:
    """Return whether a person is an admin: by configuration, in Slack, the installer, or the terminal's user."""
    if request.source is Source.TERMINAL or request.user in services.access.admins:
        return True
    install = await services.store.installs.get(
        request.team, request.enterprise, is_enterprise_install=request.is_enterprise_install
    )
    if install is not None and install.installed_by == request.user != "":
        return True
    return await services.people.is_admin(request.team, request.user)


async def require(
    role: Role,
    doing: str,
    request: Request,
    services: Services,
    place: PipelineMatch | None = None,
    ref: Ref | str | None = None,
) -> None:
    """Raise NotAllowed unless the person holds the role here; a protected ref asks for a grant that names it."""
    branch = ref.name if isinstance(ref, Ref) else ref or ""
    is_protected = role >= Role.RUN and bool(branch) and await is_protected_ref(branch, place, request, services)
    if not is_protected and role <= services.access.members:
        return
    if await is_admin(request, services):
        return
    granted = await _granted(request, services, place, branch)
    fits = [grant for held, grant in granted if held >= role and (not is_protected or grant.refs != "*")]
    if fits:
        return
    needed = max(role, Role.RUN) if is_protected else role
    why = f" on the protected ref `{branch}`" if is_protected else ""
    raise NotAllowed(
        f"{doing}{why} needs the {needed.word} role here.", hint=await _who_can_grant(request, services, needed)
    )


async def is_protected_ref(name: str, place: PipelineMatch | None, request: Request, services: Services) -> bool:
    """Return whether a ref is protected: by the operator, or by a link of the pipeline in any of the workspace's channels."""
    globs = list(services.access.protected)
    if place is not None:
        links = await services.store.links.of_pipeline(place.connection, place.pipeline)
        globs += [glob for link in links if link.team == request.team for glob in link.protected.split(",")]
    short = _FULL_REF.sub("", name)
    return any(fits_glob(spelled, glob.strip()) for glob in globs if glob.strip() for spelled in {name, short})


async def _granted(
    request: Request, services: Services, place: PipelineMatch | None, ref: str
) -> list[tuple[Role, GrantRow]]:
    rows = await services.store.grants.all(request.team)
    found: list[tuple[Role, GrantRow]] = []
    groups: frozenset[str] | None = None
    for grant in rows:
        if grant.channel and grant.channel != request.channel:
            continue
        if not _covers(grant, place, ref):
            continue
        kind, _, who = grant.subject.partition(":")
        match kind:
            case "user":
                holds = who == request.user
            case "group":
                if groups is None:
                    groups = await services.people.groups(request.team, request.user)
                holds = who in groups
            case "channel":
                holds = await services.people.is_member(request.team, who, request.user)
            case _:
                holds = False
        if holds:
            found.append((_role(grant.role), grant))
    return found


def _covers(grant: GrantRow, place: PipelineMatch | None, ref: str) -> bool:
    if grant.refs != "*" and not (ref and fits_glob(ref, grant.refs, case=True)):
        return False
    if grant.pipelines == "*":
        return True
    if place is None:
        return False
    # Not its alias: anybody may link anything under any alias, and would so widen their own grant.
    names = {
        place.path,
        place.pipeline,
        f"{place.connection}:{place.path}",
        place.link.name if place.link else place.name,
    }
    return any(fits_glob(name, grant.pipelines) for name in names if name)


def _role(word: str) -> Role:
    return next((role for role in Role if role.word == word), Role.VIEW)


async def _who_can_grant(request: Request, services: Services, role: Role) -> str:
    admins = sorted(services.access.admins)
    install = await services.store.installs.get(
        request.team, request.enterprise, is_enterprise_install=request.is_enterprise_install
    )
    if install is not None and install.installed_by:
        admins = [*admins, install.installed_by]
    who = " and ".join(f"<@{user}>" for user in dict.fromkeys(admins[:3])) or "A workspace admin"
    return f"{who} can grant it: `{services.command} access grant {role.word} @you`."
