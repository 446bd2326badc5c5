"""The wheel carries the built page, or is not made at all."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from playground import PAGE
from tests.chromium import IN_CI

ROOT = Path(__file__).parents[2]
KEPT = ("bot", "commands", "playground")
FILES = ("pyproject.toml", "README.md", "LICENSE", "hatch_build.py")
IGNORED = shutil.ignore_patterns("__pycache__", "node_modules", "dist")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the sources as a fresh clone has them: without the built page."""
    root = tmp_path / "clone"
    for folder in KEPT:
        shutil.copytree(ROOT / folder, root / folder, ignore=IGNORED)
    for file in FILES:
        shutil.copy(ROOT / file, root / file)
    return root


def build(root: Path, *, path: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(root / "out")]
    environment = {**os.environ, "PYTHONPATH": ""} | ({} if path is None else {"PATH": path})  # noqa: TID251
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)  # noqa: S603


@pytest.mark.skipif(not (PAGE / "index.html").exists() and not IN_CI, reason="the page is not built here")
def test_a_wheel_holds_the_page_and_not_its_sources(clone: Path) -> None:
    shutil.copytree(PAGE, clone / "playground" / "page" / "dist")
    made = build(clone)
    assert made.returncode == 0, made.stderr
    [wheel] = (clone / "out").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    page = [name.removeprefix("playground/page/") for name in names if name.startswith("playground/page/")]
    assert "dist/index.html" in page
    assert {Path(name).suffix for name in page if "/assets/" in name} == {".js", ".css"}
    assert [name for name in page if not name.startswith("dist/")] == []
    assert {"bot/__main__.py", "commands/__init__.py", "playground/__init__.py"} <= set(names)


def test_a_page_that_cannot_be_built_makes_no_wheel_and_is_named(clone: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, script in (("node", "#!/bin/sh\necho v24.0.0\n"), ("npm", "#!/bin/sh\nexit 7\n")):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    made = build(clone, path=f"{tools}{os.pathsep}/bin{os.pathsep}/usr/bin")
    assert made.returncode != 0
    assert "The playground's page could not be built" in made.stderr
    assert not list((clone / "out").glob("*.whl"))
