"""What the demo pipelines are made of: repositories with branches and pull requests, test classes, odds of outcomes."""

from playground.ci.model import Outcome, Person, Pull, Repo
from playground.ci.simulation import Simulation

HOUR = 3600.0

P, F, T, W, E, O = (  # noqa: E741 - one letter an outcome keeps the patterns below readable
    Outcome.PASS,
    Outcome.FAIL,
    Outcome.TEST_FAILURE,
    Outcome.WARNINGS,
    Outcome.ERROR,
    Outcome.TIMEOUT,
)
STEADY = {P: 70, T: 14, W: 8, F: 6, E: 1, O: 1}
SHAKY = {P: 45, T: 45, O: 10}


def demo_repo(simulation: Simulation, owner: str, name: str, *, default: str = "main", topics: tuple[str, ...]) -> Repo:
    """Return a repository with a branch and an open pull request for each topic, and two tags."""
    repo = Repo(
        owner=owner, name=name, number=simulation.next_id("repo", 20), uid=simulation.uid(), default_branch=default
    )
    people: list[Person] = simulation.people
    at = simulation.now - 90 * HOUR
    simulation.commit(repo, default, "Start the week from a green build", people[0], at)
    for index, topic in enumerate(topics):
        author = people[index % len(people)]
        branch = f"feature/{topic}"
        title = topic.replace("-", " ").capitalize()
        simulation.commit(repo, branch, title, author, at + (index + 1) * HOUR)
        number = simulation.next_id(f"pull/{repo.slug}", 41)
        repo.pulls[number] = Pull(
            number=number, title=title, branch=branch, target=default, author=author, uid=simulation.uid()
        )
    for tag in ("v2.3.0", "v2.4.0"):
        repo.tags[tag] = repo.branches[default]
    return repo


def test_classes(ending: str, folder: str, *names: str) -> tuple[tuple[str, str], ...]:
    """Return test classes with their files, `folder/name` and the ending."""
    return tuple((name, f"{folder}/{name}{ending}") for name in names)
