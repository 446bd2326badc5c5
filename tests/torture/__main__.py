"""`make torture`: the long run, on SQLite in one process and on PostgreSQL with two webs and three workers."""

import argparse
import asyncio
import secrets
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.postgres import programs, running_postgres
from tests.torture.torture import Plan, Report, torture

WEBS_AND_WORKERS = ("web", "web", "worker", "worker", "worker")
SHOWN = 20


def main() -> int:
    """Run what the command line names and print what it showed; 1 where anything went wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--builds", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", default=secrets.token_hex(4), help="repeats a run in kind")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--keep", type=Path, help="a folder for the database and the bot's logs")
    arguments = parser.parse_args()
    databases = ("sqlite", "postgres") if arguments.database == "both" else (arguments.database,)
    is_clean = True
    for database in databases:
        with ExitStack() as stack:
            folder = Path(arguments.keep or stack.enter_context(tempfile.TemporaryDirectory(prefix="bb-torture-")))
            folder = folder / database
            folder.mkdir(parents=True, exist_ok=True)
            url = f"sqlite:///{folder / 'bot.db'}"
            roles: tuple[str, ...] = ("",)
            if database == "postgres":
                found = programs()
                if found is None:
                    sys.stdout.write("PostgreSQL is not installed: its run is left out.\n")
                    continue
                server = stack.enter_context(running_postgres(found))
                url, roles = server.url("postgres"), WEBS_AND_WORKERS
            sys.stdout.write(f"{database}: seed {arguments.seed}, {arguments.builds} builds, {arguments.kills} kills\n")
            sys.stdout.flush()
            plan = Plan(
                seed=arguments.seed, builds=arguments.builds, kills=arguments.kills, database_url=url, roles=roles
            )
            report = asyncio.run(torture(plan, folder))
            sys.stdout.write(shown(report))
            sys.stdout.flush()
            is_clean = is_clean and report.is_clean
    return 0 if is_clean else 1


def shown(report: Report) -> str:
    """Return a report as text."""
    verdict = report.verdict
    ends = report.unexpected_ends or "none"
    faults = ", ".join(f"{name} {count}" for name, count in sorted(report.faults.items()))
    lines = [
        f"  {report.builds} builds, {report.attempts} attempts, {report.seconds:.0f} s, quiet: {report.is_quiet}",
        f"  {report.kills} kills, {report.kills_while_starting} while starting; {report.starts} starts; other ends: {ends}",
        f"  {verdict.notifications} notifications expected, {verdict.in_summaries} in summaries; {verdict.cards} cards",
        f"  {verdict.requests} requests of people; {verdict.refused} never reached the bot, {verdict.explained} explained",
        f"  {verdict.said_repeated} answers repeated and marked so",
        f"  faults: {faults}",
        f"  {len(verdict.lost)} lost, {len(verdict.twice)} twice, {len(verdict.disordered)} out of order",
        f"  {len(verdict.unanswered)} unanswered, {len(verdict.answered_twice)} answered twice",
        f"  {len(verdict.acted_twice)} acted twice, {len(verdict.wrong_cards)} wrong cards",
    ]
    for kind, found in verdict.problems.items():
        lines += [f"  {kind}:", *(f"    {problem}" for problem in found[:SHOWN])]
        if len(found) > SHOWN:
            lines.append(f"    and {len(found) - SHOWN} more")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
