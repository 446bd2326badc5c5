"""What an approval needs beyond the approver's role: other people, more people, a comment. Pure.

A policy is written as people type it: `deploy@main no-self two comment`. Several that fit one build hold together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.core.errors import UsageError
from bot.core.refs import spellings_of
from bot.core.text import fits_glob

USAGE = "PIPELINE[@REF] no-self two comment"
NO_SELF, COMMENT = "no-self", "comment"
PEOPLE = {"one": 1, "two": 2, "three": 3}
RULES = (NO_SELF, *list(PEOPLE)[1:], COMMENT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What an approval of a build of some pipelines and refs (globs) needs.

    With `no_self` whoever started the build may not approve it; `people` is how many have to approve.
    """

    pipelines: str = "*"
    refs: str = "*"
    no_self: bool = False
    people: int = 1
    needs_comment: bool = False

    def fits(self, names: Iterable[str], refs: Sequence[str]) -> bool:
        """Return whether it holds for a build of a pipeline of these names; a build of unknown refs has all of them."""
        if not any(fits_glob(name, self.pipelines) for name in names if name):
            return False
        if self.refs == "*" or not refs:
            return True
        return any(fits_glob(spelling, self.refs) for ref in refs for spelling in spellings_of(ref))

    @property
    def target(self) -> str:
        """Return what it holds for, as typed."""
        return self.pipelines if self.refs == "*" else f"{self.pipelines}@{self.refs}"

    @property
    def rules(self) -> str:
        """Return its rules as typed."""
        number = next((word for word, people in PEOPLE.items() if people == self.people > 1), "")
        return " ".join(filter(None, (NO_SELF if self.no_self else "", number, COMMENT if self.needs_comment else "")))

    @property
    def sentence(self) -> str:
        """Return its rules as people read them: "two people, not whoever started it, with a comment"."""
        number = next((word for word, people in PEOPLE.items() if people == self.people > 1), "")
        return ", ".join(
            filter(
                None,
                (
                    f"{number} people" if number else "",
                    "not whoever started it" if self.no_self else "",
                    "with a comment" if self.needs_comment else "",
                ),
            )
        )


def parse_policy(target: str, rules: Sequence[str]) -> Policy:
    """Read a policy's target and its rules. Raises UsageError for a rule that does not exist, and for none."""
    pipelines, at, refs = target.rpartition("@")
    if not at:
        pipelines, refs = target, "*"
    words = [word.lower() for word in rules]
    unknown = [word for word in words if word not in RULES]
    if unknown or not words:
        problem = f"There is no rule `{unknown[0]}`." if unknown else "A policy needs at least one rule."
        raise UsageError(problem, hint=f"Rules: {', '.join(RULES)}.", usage=USAGE)
    return Policy(
        pipelines=pipelines or "*",
        refs=refs or "*",
        no_self=NO_SELF in words,
        people=max((PEOPLE[word] for word in words if word in PEOPLE), default=1),
        needs_comment=COMMENT in words,
    )


def combined(policies: Iterable[Policy]) -> Policy | None:
    """Return what several policies ask for together, or None where there is none."""
    held = list(policies)
    if not held:
        return None
    return Policy(
        pipelines=held[0].pipelines if len(held) == 1 else "*",
        refs=held[0].refs if len(held) == 1 else "*",
        no_self=any(policy.no_self for policy in held),
        people=max(policy.people for policy in held),
        needs_comment=any(policy.needs_comment for policy in held),
    )
