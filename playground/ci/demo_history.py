"""The finished builds that the playground starts with: about twelve of each demo pipeline."""

from dataclasses import dataclass

from playground.ci.demo_pipelines import demo_pipelines
from playground.ci.demo_repos import HOUR
from playground.ci.model import Build, Outcome, Pipeline, Pull, Source
from playground.ci.simulation import Simulation
from playground.team import TEAM

HISTORY = 12

MESSAGES = (
    "Show the delivery date in the basket",
    "Round prices half to even",
    "Fix a crash when the voucher field is empty",
    "Keep the session across a restart",
    "Translate the receipt into Portuguese",
    "Bump dependencies",
    "Read the address book only once",
    "Make the search field larger on small screens",
    "Retry a payment that timed out",
    "Log out everywhere when the password changes",
    "Speed up the product list",
    "Sort orders by the day they ship",
    "Drop the old importer",
    "Explain why a card was declined",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One build of the history: when, of what, ending how."""

    at: float
    pipeline: Pipeline
    outcome: Outcome
    index: int


def fill(simulation: Simulation) -> None:
    """Fill a new simulation. Everything but the private key and the times follows from its seed."""
    for member in TEAM:
        if member.commits:
            simulation.person(member.name, member.email)
    start = simulation.now
    simulation.pipelines = demo_pipelines(simulation)
    for pipeline in simulation.pipelines:
        pipeline.created_at = start - 400 * 24 * HOUR
    for entry in sorted(_history(simulation, start), key=lambda entry: entry.at):
        _play(simulation, entry)
    for pipeline in simulation.pipelines:
        _play_out(simulation, pipeline)


def _history(simulation: Simulation, start: float) -> list[_Entry]:
    entries = []
    for pipeline in simulation.pipelines:
        at = start - simulation.rng.uniform(0.3, 1.2) * HOUR
        for index, outcome in enumerate(reversed(pipeline.pattern[:HISTORY])):
            entries.append(_Entry(at=at, pipeline=pipeline, outcome=outcome, index=HISTORY - 1 - index))
            at -= simulation.rng.uniform(1.5, 5.0) * HOUR
    return entries


def _play(simulation: Simulation, entry: _Entry) -> None:
    pipeline, repo, rng = entry.pipeline, entry.pipeline.repo, simulation.rng
    author = rng.choice(simulation.people)
    source = pipeline.sources[entry.index % len(pipeline.sources)]
    message = rng.choice(MESSAGES)
    pull: Pull | None = None
    if source is Source.PULL:
        pull = repo.pulls[rng.choice(sorted(repo.pulls))]
        branch = pull.branch
    else:
        branch = repo.default_branch if entry.index % 4 else rng.choice(sorted(repo.branches))
    old = source is Source.SCHEDULE
    commit = repo.branches[branch] if old else simulation.commit(repo, branch, message, author, entry.at - 40)
    simulation.start(
        pipeline,
        commit=commit,
        source=source,
        branch=branch,
        pull=pull,
        creator=None if old else commit.author,
        outcome=entry.outcome,
        unattended=True,
        at=entry.at,
    )
    simulation.settle()


def _play_out(simulation: Simulation, pipeline: Pipeline) -> None:
    unfinished: list[Build] = [build for build in pipeline.builds if not build.finished]
    for build in unfinished:
        simulation.finish(build, build.outcome)
