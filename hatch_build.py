"""Build the playground's page before it goes into a wheel, so that `buildbell demo` works wherever the wheel is installed.

An editable installation gets none: there `make setup` builds it.
"""

import runpy
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = Path(__file__).parent / "playground" / "page"


class PageHook(BuildHookInterface[Any]):
    """Runs `playground/page/build.py`, which does nothing where the page is up to date."""

    def dependencies(self) -> list[str]:
        """Return what the build needs besides hatchling: Node.js, where the machine has none that fits."""
        script = runpy.run_path(str(PAGE / "build.py"))
        needed: list[str] = [] if script["is_built"]() or script["installed_node"]() else [script["NODE_PACKAGE"]]
        return needed

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page. Raises RuntimeError saying what to do where that fails, rather than make a wheel without it."""
        if version == "editable":
            return
        try:
            runpy.run_path(str(PAGE / "build.py"))["main"](force=False)
        except (OSError, subprocess.CalledProcessError) as exc:
            raise RuntimeError(
                f"The playground's page could not be built, so there is no wheel ({exc}). It needs Node.js 20.19 or"
                " newer and its packages; see the lines above. `python playground/page/build.py` does the same alone."
            ) from exc
