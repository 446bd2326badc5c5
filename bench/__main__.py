"""Run benchmarks by name, or all of them: `python -m bench [--short] [ROW ...]`."""

import sys
import tempfile
from pathlib import Path

from bench import cores, growth, requests, scale, start, ticks, worker
from bench.table import Line, show

ROWS = {row.name: row for row in (*requests.ROWS, *start.ROWS, *worker.ROWS, *scale.ROWS, *growth.ROWS, *ticks.ROWS)}


def main(names: list[str]) -> None:
    """Run the rows and print their lines; with `--short` in their short form, those that have one."""
    is_short = "--short" in names
    names = [name for name in names if name != "--short"]
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        sys.exit(f"There is no row {', '.join(unknown)}. There are: {', '.join(ROWS)}.")
    cores.pin(cores.CLIENT)
    lines: list[Line] = []
    for name in names or ROWS:
        run = ROWS[name].short if is_short else ROWS[name].run
        if run is not None:
            with tempfile.TemporaryDirectory(prefix="buildbell-bench-") as folder:
                lines += run(Path(folder))
    show(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
