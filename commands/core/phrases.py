"""What people say around a command: please, the, it. Only what can mean nothing else is taken away or made plain.

Nothing here makes one verb another: a phrase only says which build or pipeline is meant, as one word would.
"""

import re
from collections.abc import Sequence

_POLITE = r"(?:please|pls|plz|thanks|thank\s+you|thx)"
_POLITE_START = re.compile(
    rf"^(?:(?:{_POLITE}|hey|hi|hello|can\s+you|could\s+you|would\s+you)\b[\s,]*)+", re.IGNORECASE
)
_POLITE_END = re.compile(rf"(?:^|[\s,]){_POLITE}[\s.!]*+$", re.IGNORECASE)
_NOUN = r"(?:builds?|one|run|pipeline|job)"
_PLACES = (
    (re.compile(r"^(?:the\s+)?(?:build|run)\s+#?(\d+)(?=\s|$)", re.IGNORECASE), r"#\1"),
    (re.compile(r"^(?:the\s+)?failed\s+(?:jobs?|steps?|tests?)(?:\s+of(?=\s)|(?=\s|$))", re.IGNORECASE), ""),
    (re.compile(rf"^(?:the\s+)?(last|running|failed|green)(?:\s+{_NOUN})?(?=\s|$)", re.IGNORECASE), r"\1"),
    (re.compile(r"^(?:the\s+)?(?:latest|newest)(?:\s+(?:build|one|run))?(?=\s|$)", re.IGNORECASE), "last"),
    (re.compile(rf"^(?:this|that|the)\s+{_NOUN}(?=\s|$)", re.IGNORECASE), "this"),
    (re.compile(r"^(?:it|this|that)(?=\s|$)", re.IGNORECASE), "this"),
    (
        re.compile(
            r"^my\s+(?:(?:own|last|latest|newest|running|failed)\s+)?(?:builds?|runs?|one)(?=\s|$)", re.IGNORECASE
        ),
        "mine",
    ),
    (re.compile(r"^the\s+(?=\S)", re.IGNORECASE), ""),
)
"""How a target is said in several words, and the one word for it. `mine` names only what the person started."""


def without_politeness(text: str) -> str:
    """Return a line without words of politeness before it and after it; what stands in quotes is left alone."""
    begun = _POLITE_START.sub("", text.strip())
    line = _POLITE_END.sub("", begun).rstrip(" ,\t\n")
    ends_with_flag = line.rsplit(maxsplit=1)[-1:] and line.rsplit(maxsplit=1)[-1].startswith("-")
    return begun if ends_with_flag else line


def reason_in(words: Sequence[str]) -> str:
    """Return the reason that words after a target give, without the word that leads to it."""
    begins = 1 if words and words[0].lower().rstrip(":,") in {"because", "since", "reason"} else 0
    return " ".join(words[begins:])


def plain_target(words: str) -> str:
    """Return the words after a verb with the target that they begin with as one word: `the last build` is `last`."""
    for pattern, word in _PLACES:
        plain, count = pattern.subn(word, words, count=1)
        if count:
            return plain.strip()
    return words
