"""What the pages say is held to the code."""

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
