"""Write the pages that are made from the code: commands, settings, the table of CI systems; `--check` only compares.

`make docs` runs it; a test runs the check.
"""
# ruff: noqa: INP001, T201 - a script, not part of the package

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from bot.providers import PROVIDERS
from bot.providers.base.capabilities import Capability
from bot.settings import ENVIRONMENT, TABLES, Settings
from commands.registry import REGISTRY
from commands.setup.help import GROUPS

HERE = Path(__file__).resolve().parent
SCOPES_BEGIN = "<!-- The scopes: made by docs/build.py from the provider's options or auth; change them there. -->"
SCOPES_END = "<!-- The end of the scopes. -->"
MADE = "<!-- Made by docs/build.py from the code; change it there. -->"

CAPABILITIES: tuple[tuple[Capability, str], ...] = (
    (Capability.START, "start"),
    (Capability.PARAMETERS, "tells its parameters"),
    (Capability.REFS, "lists branches"),
    (Capability.CANCEL, "cancel"),
    (Capability.REBUILD, "rebuild"),
    (Capability.RETRY_FAILED, "retry failed"),
    (Capability.RETRY_ALL, "retry all"),
    (Capability.RETRY_JOB, "retry one job"),
    (Capability.APPROVALS, "shows approvals"),
    (Capability.DECIDE, "approve"),
    (Capability.REJECT, "reject"),
    (Capability.JOBS, "jobs"),
    (Capability.LOG, "logs"),
    (Capability.LIVE_LOG, "logs while running"),
    (Capability.TESTS, "tests"),
    (Capability.ISSUES, "issues"),
    (Capability.COUNTS, "issue counts"),
    (Capability.COMMITS, "compares commits"),
    (Capability.ARTIFACTS, "artifacts"),
    (Capability.DOWNLOAD, "download"),
    (Capability.ERASE, "erase"),
    (Capability.ERASE_JOB, "erase one job"),
    (Capability.PIPELINE_ADMIN, "administer pipelines"),
    (Capability.WEBHOOK, "webhooks"),
    (Capability.ACCOUNT_POLL, "one poll for many"),
)


def commands() -> Iterator[str]:
    """Yield the page of the verbs."""
    yield from ("# Commands", "", MADE, "")
    yield "Everything works as `/build …`, as a mention `@Buildbell …` (in a card's thread about that build), as a direct"
    yield 'message, from a button, a form or a shortcut, and in a terminal: `buildbell ask "…" --channel C…`.'
    yield ""
    yield "A target is `[pipeline][@ref][#build]`, any page's URL, `mine` or `this`. A pipeline is an alias, a unique part of"
    yield "its name, or `connection:path` (quoted when it holds spaces). A ref is a branch, `tag:NAME`, `pr:N` (or `!N`) or a"
    yield "SHA. A build is a number, `last`, `running`, `failed`, `green` or `-N`. For names that hold `@` or `#`, or where Slack"
    yield "made a mention of them: `--pipeline NAME --ref NAME --build N`. What stands after a bare `--` is KEY=VALUE."
    for group in GROUPS:
        yield from ("", f"## {group}")
        for command in REGISTRY.commands:
            if command.group != group:
                continue
            yield from ("", f"### {command.verb}", "", f"{command.summary}. Role: {command.role.word}.", "")
            yield from ("```", f"/build {command.usage}", "```")
            if command.aliases:
                yield from ("", f"Also: {', '.join(f'`{alias}`' for alias in command.aliases)}.")
            if command.inferred:
                yield from ("", f"Without a target: {command.inferred}.")
            if command.flags:
                yield from ("", "| flag | meaning |", "|---|---|")
                yield from (f"| `{_cell(flag)}` | {_cell(meaning)} |" for flag, meaning in command.flags)
            if command.examples:
                yield from ("", "Examples: " + ", ".join(f"`/build {example}`" for example in command.examples) + ".")


def settings() -> Iterator[str]:
    """Yield the page of the settings."""
    yield from ("# Settings", "", MADE, "")
    yield "Settings come from the environment and from `buildbell.toml` (`BUILDBELL_CONFIG` names another file); the environment"
    yield "wins. All problems are listed at once when the bot starts. Any secret key `x` may be given as `x_file`: the path of a"
    yield "file that holds it, relative to the configuration file."
    yield from ("", "| environment | buildbell.toml | default | meaning |", "|---|---|---|---|")
    names = {setting: name for name, setting in ENVIRONMENT.items()}
    keys = {setting: f"[{table}] {key}" for (table, key), setting in TABLES.items()}
    for setting, field in Settings.model_fields.items():
        if setting == "connections":
            continue
        default = field.default
        shown = default.get_secret_value() if isinstance(default, SecretStr) else default
        shown = ", ".join(shown) if isinstance(shown, tuple) else str(shown)
        name = f"`{names[setting]}`" if setting in names else ""
        key = f"`{keys[setting]}`" if setting in keys else ""
        yield f"| {name} | {key} | {f'`{shown}`' if shown else ''} | {_cell(field.description or '')} |"
    yield "| `BUILDBELL_CONFIG` | | `buildbell.toml` | The configuration file. |"
    yield from ("", "## Connections", "")
    yield "`[connections.NAME]` with `kind` and the options below; the same keys as `CONNECTIONS__NAME__KEY` in the environment."
    for kind, provider in PROVIDERS.items():
        yield from (
            "",
            f'### {provider.label}: `kind = "{kind}"`',
            "",
            "| option | default | meaning |",
            "|---|---|---|",
        )
        for option, field in provider.options_type.model_fields.items():
            default = "required" if field.is_required() else _default(option, field.default, provider.default_url)
            yield f"| `{option}` | {default} | {_cell(field.description or '')} |"


def _default(option: str, default: object, url: str) -> str:
    if option == "url" and url:
        return f"`{url}`"
    shown = default.get_secret_value() if isinstance(default, SecretStr) else default
    return f"`{shown}`" if shown not in (None, "", (), False) else ""


def systems() -> Iterator[str]:
    """Yield the table of CI systems by operations, and what each says where it can't."""
    yield from ("# CI systems", "", MADE, "")
    yield "What works (✓) with each system. A dash means that the system's API can't; the bot then says why and what to do."
    yield "A setting may narrow a connection further (GitLab's old API, a read-only token): see the system's own page."
    yield ""
    labels = [f"[{provider.label}]({kind}.md)" for kind, provider in PROVIDERS.items()]
    yield f"| | {' | '.join(labels)} |"
    yield f"|---|{'---|' * len(labels)}"
    for capability, words in CAPABILITIES:
        marks = ["✓" if capability in provider.capabilities else "–" for provider in PROVIDERS.values()]
        yield f"| {words} | {' | '.join(marks)} |"
    yield from ("", "## What they say where they can't", "")
    for provider in PROVIDERS.values():
        for capability, words in CAPABILITIES:
            if capability in provider.capabilities or capability not in provider.refusals:
                continue
            said, hint = provider.refusals[capability]
            yield f"- **{provider.label}, {words}**: {said}{f' {hint}' if hint else ''}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def scopes(page: str, kind: str) -> str:
    """Return a provider's page with the table of its scopes, between the marks, made anew."""
    table = ["| scope or right | for |", "|---|---|"]
    for scope in PROVIDERS[kind].scopes:
        names = " or ".join(f"`{name}`" for name in scope.name.split(" or "))
        table.append(f"| {names} | {_cell(scope.purpose)}{'; may be left out' if scope.optional else ''} |")
    before, begin, rest = page.partition(SCOPES_BEGIN)
    _old, end, after = rest.partition(SCOPES_END)
    if not begin or not end:
        raise SystemExit(f"docs/providers/{kind}.md has no place for its scopes: {SCOPES_BEGIN} {SCOPES_END}")
    return "".join((before, begin, "\n\n", "\n".join(table), "\n\n", end, after))


PAGES = {"commands.md": commands, "settings.md": settings, "providers/README.md": systems}


def main() -> int:
    """Write the pages, or say which are not up to date."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    pages = {name: "\n".join(page()) + "\n" for name, page in PAGES.items()}
    for kind in PROVIDERS:
        name = f"providers/{kind}.md"
        pages[name] = scopes((HERE / name).read_text(encoding="utf-8"), kind)
    for name, text in pages.items():
        path = HERE / name
        if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
            stale.append(name)
        elif not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"Not up to date: {', '.join(stale)}. Run `make docs`.")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
