"""The rows of the benchmark that have a short form run, each against its floor; what they measure is not judged here."""

import subprocess
import sys
from pathlib import Path

from bench.__main__ import ROWS

ROOT = Path(__file__).parents[2]


def test_every_row_with_a_short_form_reports_its_floor_and_the_bot() -> None:
    short = [name for name, row in ROWS.items() if row.short is not None]
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "bench", "--short", *short], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    assert short == ["webhooks", "memory"]
    for what in ("CPU of a webhook, its write included", "memory of 20 pipelines on 2 connections"):
        (line,) = (line for line in done.stdout.splitlines() if what in line)
        _edge, _what, floor, bot, ratio, *_rest = (cell.strip() for cell in line.split("│"))
        assert floor != bot
        assert float(ratio) > 0.5
