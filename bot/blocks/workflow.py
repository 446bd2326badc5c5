"""Workflows, products, repositories and pull requests as messages."""

import shlex
from collections.abc import Iterable, Mapping, Sequence

from bot.blocks.message import Message, actions, button, context, section, sections
from bot.blocks.text import DOT, bold, code, escape, link, plural, safe, when
from bot.core.workflow_actions import PLATFORM_NAMES, spelled
from bot.core.workflow_values import OFF, write_condition, write_files
from bot.core.workflow_words import Difference
from bot.core.workflows import (
    ConditionKind,
    Environments,
    GitReference,
    Product,
    PullRequest,
    SourceProvider,
    SourceRepository,
    StartCondition,
    WorkflowAction,
    WorkflowDefinition,
)

MOST = 50
LONGEST = 400
_LABELS = {
    ConditionKind.BRANCH: "a branch changes",
    ConditionKind.TAG: "a tag changes",
    ConditionKind.PULL_REQUEST: "a pull request changes",
    ConditionKind.SCHEDULE: "on a schedule",
    ConditionKind.MANUAL_BRANCH: "by hand, branches",
    ConditionKind.MANUAL_TAG: "by hand, tags",
    ConditionKind.MANUAL_PULL_REQUEST: "by hand, pull requests",
}


def definition_message(definition: WorkflowDefinition, *, target: str, can_change: bool) -> Message:
    """Return everything that makes a workflow. `target` names it in commands; `can_change` offers the buttons for that."""
    state = "" if definition.enabled else f"{DOT}disabled"
    title = f"*{link(definition.web_url, definition.name, 120)}*{DOT}{safe(definition.product, 80)}{state}"
    about = [safe(definition.description, LONGEST)] if definition.description else []
    facts = [
        ("Repository", definition.repository),
        ("Project", definition.container),
        ("Xcode", definition.xcode),
        ("macOS", definition.macos),
        ("Clean", "yes, without cached files" if definition.clean else "no"),
        ("Editing", "restricted to admins" if definition.locked else "open to everybody"),
    ]
    lines = [
        *about,
        *(f"{name}: {safe(value, 200)}" for name, value in facts if value),
        "*Starts when*",
        *(condition_lines(definition) or ["• never: it has no start condition"]),
        "*Actions*",
        *([action_line(action) for action in definition.actions] or ["• none"]),
    ]
    small = f"Last changed {when(definition.modified_at)}" if definition.modified_at else "Last change unknown"
    offers = (
        button("Change", f"workflow update {target}"),
        button("Disable" if definition.enabled else "Enable", f"workflow {_toggle(definition)} {target}"),
        button("Duplicate", f"workflow duplicate {target}"),
    )
    return Message(
        text=f"{safe(definition.name)} of {safe(definition.product)}: {plural(len(definition.actions), 'action')}",
        blocks=(section(title), *sections(lines), context(small), *((actions(*offers),) if can_change else ())),
    )


def _toggle(definition: WorkflowDefinition) -> str:
    return "disable" if definition.enabled else "enable"


def condition_lines(definition: WorkflowDefinition) -> list[str]:
    """Return the start conditions, one a line."""
    return [
        f"• {_LABELS[kind]}: {code(write_condition(kind, condition), 300)}{_more(condition)}"
        for kind in ConditionKind
        if (condition := definition.conditions.get(kind)) is not None
    ]


def _more(condition: StartCondition) -> str:
    files = f"{DOT}{code(write_files(condition.files), 200)}" if condition.files is not None else ""
    cancels = f"{DOT}cancels older builds" if condition.cancels else ""
    return f"{files}{cancels}"


def action_line(action: WorkflowAction) -> str:
    """Return one action: its name, what it does for which platform and scheme, where, and whether it must pass."""
    platform = PLATFORM_NAMES.get(action.platform or "", spelled(action.platform) or "")
    what = f"{action.kind.lower()} {platform}".strip()
    devices = f"on {', '.join(action.devices)}" if action.devices else ""
    parts = [
        f"• {bold(action.name, 80)}",
        safe(what),
        f"scheme {code(action.scheme, 60)}" if action.scheme else "",
        code(spelled(action.destination) or "", 40) if action.destination else "",
        f"test plan {code(action.plan, 60)}" if action.plan else "",
        safe(devices, 300),
        f"for {code(spelled(action.audience) or '', 40)}" if action.audience else "",
        "" if action.required else "may fail",
    ]
    return DOT.join(part for part in parts if part)


def difference_lines(differences: Iterable[Difference]) -> list[str]:
    """Return what a change changes, one setting a line: `Clean: no → yes`."""
    lines = []
    for difference in differences:
        before = code(_one_line(difference.before), LONGEST) if difference.before else "_nothing_"
        after = code(_one_line(difference.after), LONGEST) if difference.after else "_removed_"
        lines.append(f"• {safe(difference.label, 80)}: {before} → {after}")
    return lines


def setting_lines(differences: Iterable[Difference]) -> list[str]:
    """Return what a new workflow is made of, one setting a line."""
    return [
        f"• {safe(difference.label, 80)}: {code(_one_line(difference.after), LONGEST)}"
        for difference in differences
        if difference.after not in {"", OFF}
    ]


def _one_line(text: str) -> str:
    return "; ".join(line for line in text.splitlines() if line.strip())


def change_message(question: str, lines: Sequence[str], *, yes: str, command: str, small: str = "") -> Message:
    """Return the question that stands before a change, with what it changes, and the button that does it."""
    return Message(
        text=f"{question} {plural(len(lines), 'setting')}",
        blocks=(
            section(bold(question)),
            *sections(lines),
            *((context(small),) if small else ()),
            actions(button(yes, command, style="primary"), button("Never mind", "help --dismiss")),
        ),
    )


def environments_message(offered: Environments) -> Message:
    """Return what a workflow can choose from."""
    groups = (
        ("Products", offered.products),
        ("Repositories", offered.repositories),
        ("Xcode", offered.xcodes),
        ("macOS", offered.macoses),
        ("Test devices", offered.devices),
    )
    lines = [
        f"{bold(name)}: {escape(', '.join(values[:MOST]))}{f' … {len(values) - MOST} more' if len(values) > MOST else ''}"
        for name, values in groups
        if values
    ]
    lines = lines or ["There is nothing to choose."]
    return Message(text="\n".join(lines), blocks=sections(lines))


def product_message(product: Product, *, connection: str, can_change: bool) -> Message:
    """Return one product: its app, bundle, repositories and workflows."""
    workflows = product.workflows or ()
    facts = [
        ("App", product.app or ""),
        ("Bundle", product.bundle_id or ""),
        ("Type", product.kind),
        ("Repositories", ", ".join(product.repositories)),
        ("Additional repositories", ", ".join(product.additional_repositories)),
        ("Workflows", ", ".join(workflows) or ("none yet" if product.workflows is not None else "")),
    ]
    lines = [f"{name}: {safe(value, LONGEST)}" for name, value in facts if value]
    small = f"{f'Made {when(product.created_at)}{DOT}' if product.created_at else ''}{safe(product.id, 60)}"
    offers = (
        button("New workflow", f"workflow create --product {product.id} --connection {shlex.quote(connection)}"),
        button("Delete", f"product delete {product.id} --connection {shlex.quote(connection)}", style="danger"),
    )
    return Message(
        text=f"{safe(product.name)}: {plural(len(workflows), 'workflow')}",
        blocks=(
            section(f"*{link(product.web_url, product.name, 120)}*"),
            *sections(lines),
            context(small),
            *((actions(*offers),) if can_change else ()),
        ),
    )


def product_lines(products: Iterable[Product], counts: Mapping[str, int]) -> list[str]:
    """Return products one a line, with how many workflows each has; `counts` is by the product's name."""
    return [
        DOT.join(
            part
            for part in (
                f"• {link(product.web_url, product.name, 120)}",
                safe(product.kind),
                code(product.bundle_id, 100) if product.bundle_id else "",
                safe(", ".join(product.repositories), 150),
                plural(counts.get(product.name, 0), "workflow") if counts.get(product.name) else "no workflow",
            )
            if part
        )
        for product in products
    ]


def repository_lines(repositories: Iterable[SourceRepository]) -> list[str]:
    """Return repositories one a line: where they are kept, their default branch, how they are cloned, when last read."""
    return [
        DOT.join(
            part
            for part in (
                f"• {bold(repository.path, 120)}",
                safe(repository.provider, 60) if repository.provider else "",
                f"default {code(repository.default_branch, 80)}" if repository.default_branch else "",
                code(repository.http_url or repository.ssh_url or "", 200)
                if repository.http_url or repository.ssh_url
                else "",
                f"last read {when(repository.accessed_at)}" if repository.accessed_at else "",
            )
            if part
        )
        for repository in repositories
    ]


def provider_lines(providers: Iterable[SourceProvider]) -> list[str]:
    """Return where repositories are kept, one a line."""
    return [
        DOT.join(
            part
            for part in (
                f"• {bold(provider.name, 80)}",
                code(provider.kind, 60) if provider.kind else "",
                safe(provider.url, 200) if provider.url else "",
                "on premises" if provider.is_on_premise else "",
            )
            if part
        )
        for provider in providers
    ]


def reference_lines(references: Iterable[GitReference], *, default: str | None = None) -> list[str]:
    """Return branches and tags one a line; deleted ones say so."""
    return [
        DOT.join(
            part
            for part in (
                f"• {code(reference.name, 150)}",
                safe(reference.kind),
                code(reference.canonical_name, 200) if reference.canonical_name else "",
                "default" if reference.name == default and reference.kind == "branch" else "",
                "deleted" if reference.is_deleted else "",
            )
            if part
        )
        for reference in references
    ]


def pull_request_lines(requests: Iterable[PullRequest]) -> list[str]:
    """Return pull requests one a line: `#7 Dark mode · dark → main`."""
    return [
        DOT.join(
            part
            for part in (
                f"• {link(request.web_url, f'#{request.number} {request.title}'.strip(), 150)}",
                f"{code(request.source, 80)} → {code(request.target, 80)}" if request.source and request.target else "",
                "from a fork" if request.from_fork else "",
                "closed" if request.is_closed else "",
            )
            if part
        )
        for request in requests
    ]
