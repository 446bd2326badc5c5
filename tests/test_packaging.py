"""The wheel: built as from a fresh clone, by pip and by uv, and started where nothing else of the project is."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import httpx
import pytest
from trove_classifiers import classifiers

from playground import PAGE
from tests.chromium import IN_CI

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
MODULES = ROOT / "playground" / "page" / "node_modules"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

pytestmark = [
    pytest.mark.skipif(
        not (PAGE / "index.html").exists() and not MODULES.exists() and not IN_CI, reason="the page is not built here"
    ),
]


def ran(*words: str | Path, cwd: Path) -> str:
    """Run a program of this machine, which must succeed, and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # noqa: TID251 - a child's
    done = subprocess.run(  # noqa: S603 - tools beside this Python
        [str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a fresh clone holds. The page is built in it, with the packages that are here already; else the built one is taken."""
    root = tmp_path_factory.mktemp("clone")
    for name in ran("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines():
        source = ROOT / name
        if name.startswith("tests/") or not source.is_file():
            continue
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / name)
    page = root / "playground" / "page"
    if MODULES.exists():
        shutil.copytree(MODULES, page / "node_modules", symlinks=True)
    elif (PAGE / "index.html").exists():
        shutil.copytree(PAGE, page / "dist")
    return root


@pytest.fixture(scope="module")
def wheel(clone: Path) -> Path:
    """The wheel as pip builds it, without fetching anything."""
    ran(BIN / "python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation",
        "--wheel-dir", "dist", ".", cwd=clone)  # fmt: skip
    [made] = (clone / "dist").glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty virtual environment with the wheel in it; what it depends on comes from this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    ran(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    ran(BIN / "python", "-m", "pip", "--quiet", "--python", python, "install", "--no-deps", "--no-index", wheel,
        cwd=folder.parent)  # fmt: skip
    own = Path(ran(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder.parent).strip())
    # One line of a .pth adds a folder and reads no .pth in it, so an editable installation there is not seen.
    paths = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    (own / "dependencies.pth").write_text("\n".join(paths))
    return folder


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    said = metadata(wheel)
    assert (said["Name"], said["Version"]) == ("buildbell", PROJECT["version"])
    assert said["Requires-Python"] == PROJECT["requires-python"]
    assert said["License-Expression"] == "Apache-2.0"
    assert said["Description-Content-Type"] == "text/markdown"
    named = said.get_all("Classifier")
    assert named
    assert set(named) <= classifiers
    assert not [name for name in named if name.startswith("License ::")]
    assert f"Programming Language :: Python :: {'.'.join(map(str, sys.version_info[:2]))}" in named
    needed = {re.split(r"[<>=;\[]", requirement)[0] for requirement in said.get_all("Requires-Dist") or []}
    assert needed >= {"httpx", "sqlmodel", "asyncpg"}
    assert said.get_all("Provides-Extra") == ["mcp", "postgres"]


def test_the_wheel_holds_the_page_its_types_and_its_migrations_and_nothing_beside(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {"bot/py.typed", "commands/py.typed", "playground/py.typed", "playground/page/dist/index.html"} <= set(names)
    assert any(name.startswith("bot/store/migrations/versions/") for name in names)
    tops = {name.split("/")[0] for name in names}
    assert tops == {"bot", "commands", "playground", f"buildbell-{PROJECT['version']}.dist-info"}
    assert not [name for name in names if "node_modules" in name or "__pycache__" in name or name.endswith(".jsx")]


def test_uv_builds_the_same_wheel(clone: Path, wheel: Path) -> None:
    uv = shutil.which("uv", path=str(BIN)) or shutil.which("uv")
    if uv is None:
        assert not IN_CI, "uv is among the tools of the tests"
        pytest.skip("uv is not on this machine")
    ran(uv, "build", "--quiet", "--wheel", "--offline", "--no-build-isolation", "--python", BIN / "python",
        "--out-dir", "by-uv", cwd=clone)  # fmt: skip
    [made] = (clone / "by-uv").glob("*.whl")
    assert zipfile.ZipFile(made).namelist() == zipfile.ZipFile(wheel).namelist()
    assert metadata(made).as_string() == metadata(wheel).as_string()


@pytest.fixture
def demo(installed: Path, tmp_path: Path) -> Iterator[str]:
    """Start `buildbell demo` in an empty folder and return its address; end it as Ctrl-C does."""
    running = subprocess.Popen(  # noqa: S603 - the command just installed
        [str(installed / "bin" / "buildbell"), "demo", "--port", "0"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed: list[str] = []
        for line in running.stdout or []:
            printed.append(line)
            if match := re.search(r"playground: (http://\S+)", line):
                yield match[1]
                break
        else:
            pytest.fail("".join(printed))
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
        assert running.returncode == 0
    finally:
        running.kill()
        running.wait()


async def test_the_installed_demo_serves_its_page(demo: str, installed: Path) -> None:
    place = ran(installed / "bin" / "python", "-c", "import bot; print(bot.__file__)", cwd=installed).strip()
    assert Path(place).is_relative_to(installed)
    async with httpx.AsyncClient(base_url=demo, timeout=30) as client:
        page = await client.get("/")
        assert page.status_code == 200
        assets = re.findall(r'(?:src|href)="\.?(/assets/[^"]+)"', page.text)
        assert {Path(name).suffix for name in assets} == {".js", ".css"}
        for name in assets:
            assert (await client.get(name)).status_code == 200


def test_the_installed_command_knows_its_subcommands(installed: Path, tmp_path: Path) -> None:
    shown = ran(installed / "bin" / "buildbell", "--help", cwd=tmp_path)
    for name in ("serve", "demo", "doctor", "migrate", "manifest", "ask"):
        assert name in shown


def test_a_page_that_cannot_be_built_makes_no_wheel_and_is_named(clone: Path, tmp_path: Path) -> None:
    shutil.copytree(clone, tmp_path / "clone", ignore=shutil.ignore_patterns("node_modules", "dist", "by-uv"))
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, script in (("node", "#!/bin/sh\necho v24.0.0\n"), ("npm", "#!/bin/sh\nexit 7\n")):
        (tools / name).write_text(script)
        (tools / name).chmod(0o755)
    done = subprocess.run(  # noqa: S603 - hatchling of this Python
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "out")],
        cwd=tmp_path / "clone",
        env={"PATH": f"{tools}:/bin:/usr/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "The playground's page could not be built" in done.stderr
    assert not list((tmp_path / "out").glob("*.whl"))


def test_images_of_the_examples_carry_the_version_of_the_project() -> None:
    for name in ("compose.yaml", "deploy/kubernetes.yaml"):
        versions = set(re.findall(r"image: buildbell:(\S+)", (ROOT / name).read_text(encoding="utf-8")))
        assert versions == {PROJECT["version"]}
