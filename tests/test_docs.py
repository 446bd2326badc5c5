"""What the pages say is held to the code."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bot.manifest import EVENTS, GLOBAL_SHORTCUTS, MESSAGE_SHORTCUTS, manifest
from bot.providers import PROVIDERS
from bot.settings import ENVIRONMENT
from commands.registry import REGISTRY
from commands.slack.events import HANDLED

ROOT = Path(__file__).resolve().parents[1]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_pages_made_from_the_code_are_up_to_date() -> None:
    checked = subprocess.run(
        [sys.executable, "docs/build.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("kind", PROVIDERS)
def test_every_provider_has_its_page_and_describes_its_options(kind: str) -> None:
    page = read(f"docs/providers/{kind}.md")
    for name, field in PROVIDERS[kind].options_type.model_fields.items():
        assert field.description, f"{kind}.{name} has no description"
    assert f'kind = "{kind}"' in page or f"`{kind}`" in page


@pytest.mark.parametrize("kind", sorted(PROVIDERS))
def test_every_provider_describes_what_its_lists_take(kind: str) -> None:
    page = read(f"docs/providers/{kind}.md")
    provider = PROVIDERS[kind]
    missing = [name for name in (*provider.list_options, *provider.show_options) if f"`{name.rstrip('.')}" not in page]
    assert not missing


def test_readme_names_settings_that_exist() -> None:
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+|HOST|PORT)`", read("README.md")))
    assert named
    assert named <= {*ENVIRONMENT, "BUILDBELL_CONFIG"}


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_manifest_file_is_what_the_program_prints() -> None:
    assert yaml.safe_load(read("manifest.yml")) == manifest()


def test_the_manifest_names_what_the_app_handles() -> None:
    handled = {*HANDLED, "app_mention", "message.im"}
    assert set(EVENTS) == handled
    ids = [id_ for id_, _name, _words in (*GLOBAL_SHORTCUTS, *MESSAGE_SHORTCUTS)]
    assert len(ids) == len(set(ids))
    features = manifest()["features"]
    assert {shortcut["callback_id"] for shortcut in features["shortcuts"]} == set(ids)


def test_every_verb_has_examples_that_parse() -> None:
    for command in REGISTRY.commands:
        assert command.examples, command.verb
        for example in command.examples:
            verb, _, words = example.partition(" ")
            assert verb == command.verb
            if "<" not in words and "@ana" not in words and "#random" not in words:
                command.parse(words)


def test_the_page_lock_names_no_addresses() -> None:
    lock = json.loads(read("playground/page/package-lock.json"))
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert "://" not in re.sub(r"#.*", "", read("requirements.lock"))


def _names_in(tree: ast.Module) -> set[str]:
    """Every class, function and method (also as `Class.method`) and module constant that a module defines."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.ClassDef):
            methods = [item.name for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
            names |= {name for method in methods for name in (method, f"{node.name}.{method}")}
            names |= {
                item.target.id
                for item in node.body
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            }
    return names


def defined_names() -> set[str]:
    """Every name that the code defines, and every module: by its full name and by the last part of it."""
    names: set[str] = set()
    for package in ("bot", "commands", "playground"):
        for path in (ROOT / package).rglob("*.py"):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            names |= {module, module.rpartition(".")[2], *_names_in(ast.parse(path.read_text(encoding="utf-8")))}
    return names


def test_every_module_and_name_in_the_architecture_page_exists() -> None:
    page = re.sub(r"```.*?```", "", read("docs/architecture.md"), flags=re.DOTALL)
    names, made = defined_names(), set(re.findall(r"^([a-z]+):", read("Makefile"), flags=re.MULTILINE))
    unknown = []
    for quoted in re.findall(r"`([^`]+)`", page):
        if quoted.startswith("make "):
            exists = quoted.removeprefix("make ") in made
        elif "/" in quoted:
            exists = (ROOT / quoted).exists()
        else:
            exists = re.sub(r"\(.*\)$", "", quoted).removeprefix("provider.") in names
        if not exists and quoted not in {">", "|", "pyproject.toml"}:
            unknown.append(quoted)
    assert not unknown


def test_every_package_in_the_layers_of_the_architecture_page_exists() -> None:
    picture = read("docs/architecture.md").split("```")[1]
    modules = re.findall(r"\bbot\.[a-z_.]+|\bcommands\.[a-z_]+", picture)
    assert len(modules) > 15
    assert set(modules) <= defined_names()


def test_decision_records_have_numbers_of_their_own() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs/adr").glob("*.md")]
    assert sorted(numbers) == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    for path in (ROOT / "docs/adr").glob("*.md"):
        assert path.read_text(encoding="utf-8").startswith(f"# {int(path.name[:4])}. ")
