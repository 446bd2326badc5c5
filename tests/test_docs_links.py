"""The pages lead somewhere: links, anchors, pictures, commands, settings, scopes and the tests they name."""

import re
import runpy
from pathlib import Path

import pytest

from bot.manifest import EVENTS, SCOPES
from bot.providers import PROVIDERS
from bot.settings import ENVIRONMENT
from commands.core.grammar import clean, without_switch
from commands.registry import REGISTRY
from tests.test_deploy import assert_is_a_command

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def prose(page: Path) -> str:
    """Return a page without its fenced examples."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    made: dict[str, int] = {}
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).strip().replace(" ", "-")
        found.add(f"{anchor}-{made[anchor]}" if anchor in made else anchor)
        made[anchor] = made.get(anchor, 0) + 1
    return found


def id_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_every_link_picture_and_anchor_leads_somewhere(page: Path) -> None:
    text = prose(page)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), f"{id_of(page)} links to {target}"
        assert other.is_relative_to(ROOT)
        if anchor:
            assert anchor in anchors(other), f"{id_of(page)} links to {target}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        for target in re.findall(r"\]\(([^)#\s:]+)[)#]", prose(page)):
            other = (page.parent / target).resolve()
            waiting += sorted(other.glob("*.md")) if other.is_dir() else [other]
    assert sorted(id_of(page) for page in PAGES if page not in reached) == []


def test_every_scene_has_its_pictures_in_light_and_dark() -> None:
    scenes = runpy.run_path(str(ROOT / "docs" / "pictures.py"))["SCENES"]
    taken = {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    assert taken == {f"{scene}-{theme}.png" for scene in scenes for theme in ("light", "dark")}


def test_every_picture_is_shown_somewhere() -> None:
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    pictures = list((ROOT / "docs").rglob("*.png"))
    assert pictures
    assert [picture.name for picture in pictures if picture.name not in shown] == []
    assert max(picture.stat().st_size for picture in pictures) < 200 * 1024


def typed_commands() -> list[tuple[str, str]]:
    """Every `/build …` of the hand-written pages that names no placeholder."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        if "Made by docs/build.py" in text or page.name in {"CHANGELOG.md", "adding-a-provider.md"}:
            continue
        for words in re.findall(r"`/build ([^`\n]+)`|^ *(/build [^\n]+)$", text, flags=re.MULTILINE):
            typed = (words[0] or words[1].removeprefix("/build ")).partition("   #")[0].strip()
            if not re.search(r"[<…]|failed with", typed):
                found.append((id_of(page), typed))
    return found


@pytest.mark.parametrize(("page", "typed"), typed_commands())
def test_commands_that_pages_show_are_taken_by_the_bot(page: str, typed: str) -> None:
    mentioned = re.sub(r"@(ana|noor|bo)\b", r"<@U1|\1>", typed)
    mentioned = mentioned.replace("@ios-team", "<!subteam^S1|@ios-team>")
    command, rest = REGISTRY.split(clean(mentioned))
    words, asks_form = without_switch(rest, "form")
    assert command.form is not None or not asks_form
    command.parse(words)


def test_program_calls_that_pages_show_exist() -> None:
    seen = 0
    for page in PAGES:
        if page.name == "CHANGELOG.md":
            continue
        for call in re.findall(r"`(?:\.venv/bin/)?buildbell ((?:[a-z]+)[^`\n]*)`", page.read_text(encoding="utf-8")):
            words = call.split()
            if call.startswith(("ask", "[")) or "…" in call or "<" in call:
                continue
            assert_is_a_command([word for word in words if word != "URL"] + (["u"] if words[-1] == "--url" else []))
            seen += 1
    assert seen > 20


def test_variables_that_pages_name_exist() -> None:
    known = {*ENVIRONMENT, *(f"{name}_FILE" for name in ENVIRONMENT), "BUILDBELL_CONFIG"}
    for name in (
        "README.md",
        "docs/quickstart.md",
        "docs/slack.md",
        "docs/deploy.md",
        "docs/operations.md",
        "docs/security.md",
    ):
        text = (ROOT / name).read_text(encoding="utf-8")
        named = set(re.findall(r"\b((?:SLACK|BUILDBELL|WATCH|DATABASE|PUBLIC|LOG|HEALTH)_[A-Z_]+)\b", text))
        assert named <= known, f"{name}: {named - known}"


def first_cells(page: str, heading: str) -> set[str]:
    """Return the names in backticks in the first column of the tables below a heading."""
    text = (ROOT / page).read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_scope_and_event_of_the_manifest_is_explained_and_no_other() -> None:
    explained = first_cells("docs/slack.md", "What the app may do, and why")
    assert explained == {*SCOPES, *EVENTS}


def test_the_redirect_address_is_the_one_that_is_sent() -> None:
    page = (ROOT / "docs/slack.md").read_text(encoding="utf-8")
    assert "https://YOUR-HOST/slack/oauth_redirect" in page
    assert "https://YOUR-HOST/slack/install" in page


def test_every_test_that_the_threats_name_exists_and_every_threat_names_one() -> None:
    section = (ROOT / "docs/security.md").read_text(encoding="utf-8").split("\n## Threats\n")[1]
    rows = [
        line for line in section.splitlines() if line.startswith("| ") and not line.startswith(("| threat", "| tried"))
    ]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"def (test_\w+)\(", sources))
    assert len(rows) > 40
    for row in rows:
        named = set(re.findall(r"`(test_\w+)`", row))
        assert named, row
        assert named <= defined, named - defined


@pytest.mark.parametrize("kind", PROVIDERS)
def test_every_ci_system_has_its_credentials_what_works_what_does_not_its_webhook_and_its_limits(kind: str) -> None:
    text = (ROOT / f"docs/providers/{kind}.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    for expected in ("What works", "What does not, and why", "Webhook", "Limits"):
        assert expected in headings
    assert re.search(r"^## (The token|The key|The credentials|Credentials)$", text, flags=re.MULTILINE)
    if kind != "truto":
        assert re.search(r"\*[^*\n]+ > [^*]+\*", text), "no way to the token, click by click"
    webhook = text.split("\n## Webhook\n")[1].split("\n## ")[0]
    assert re.search(r"/hooks/CONNECTION|PUBLIC_URL|no address", webhook)
