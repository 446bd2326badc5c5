"""What a command is, and how typed words find theirs."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from bot.core.errors import Ambiguous, UsageError
from bot.core.models import is_sha
from commands.core.context import Answer, Context, Opening, Role
from commands.core.forms import Form
from commands.core.permissions import Requirement
from commands.core.phrases import plain_target, without_politeness

A = TypeVar("A")
R = TypeVar("R")

NEAR = 0.6


async def nothing_to_resolve(_args: Any, _context: Context) -> None:
    """Resolve nothing: for commands that name no pipeline and no build."""


def anyone(_args: Any, _resolved: Any, _context: Context) -> Sequence[Requirement]:
    """Require nothing: for commands that only read, or change only the person's own settings."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Generic[A, R]):
    """One verb, in the steps of the executor.

    `parse` reads the words after the verb into the command's own typed arguments. `opens` says whether they ask for a
    form by themselves, `form` is the one that `--form` opens, with what the other words say in it. `resolve` turns targets into matches; it may return an Answer where it has to ask which. `authorize` lists what
    the person must hold; only the executor checks it. `run` acts. `spoken` gives arguments back as words, for the
    audit of forms; `recorded` says what was resolved as words, for the audit, where typed words hold ids or secrets; it is
    asked once the command has ended. `form_role` is the least role that may open the form, `role` where it is None. `role` is the least role that the help shows the verb to; `acts` says whether given arguments
    change something that a viewer may change (their watch, a mute). `is_dangerous` verbs stop, erase or approve:
    they are never guessed from a typing mistake. `names_target` says that the words after the verb begin with a build or
    a pipeline, which may be said in several (`the last build`).
    """

    verb: str
    usage: str
    summary: str
    role: Role
    group: str
    parse: Callable[[str], A]
    authorize: Callable[[A, R, Context], Sequence[Requirement]]
    run: Callable[[A, R, Context], Awaitable[Answer]]
    resolve: Callable[[A, Context], Awaitable[R | Answer]] = nothing_to_resolve  # type: ignore[assignment]
    opens: Callable[[A, Context], Opening | None] = lambda _args, _context: None
    form: Callable[[A, Context], Opening] | None = None
    spoken: Callable[[A], str] = lambda _args: ""
    recorded: Callable[[A, R], str | None] | None = None
    aliases: tuple[str, ...] = ()
    flags: tuple[tuple[str, str], ...] = ()
    examples: tuple[str, ...] = ()
    inferred: str = ""
    acts: Callable[[A], bool] | None = None
    is_dangerous: bool = False
    names_target: bool = False
    form_role: Role | None = None

    @property
    def reads(self) -> bool:
        """Whether the verb only reads; a unique beginning is enough to name such a one."""
        return self.role is Role.VIEW and self.acts is None

    def changes(self, args: A) -> bool:
        """Return whether these arguments change something, so that an audit row is due."""
        return self.acts(args) if self.acts is not None else self.role is not Role.VIEW


class Registry:
    """Every command and every form, in the order of the help text. Raises TypeError for a command without `authorize`."""

    def __init__(self, commands: Iterable[Command[Any, Any]], forms: Iterable[Form] = ()) -> None:
        self.commands = tuple(commands)
        self.forms = {form.name: form for form in forms}
        self._by_word: dict[str, Command[Any, Any]] = {}
        for command in self.commands:
            if not callable(command.authorize):
                raise TypeError(f"the command {command.verb} declares no authorize")
            if command.role is not Role.VIEW and command.authorize is anyone:
                raise TypeError(f"the command {command.verb} needs the {command.role.word} role, yet authorizes anyone")
            for word in (command.verb, *command.aliases):
                if word in self._by_word:
                    raise TypeError(f"two commands are called {word}")
                self._by_word[word] = command

    def find(self, verb: str) -> Command[Any, Any] | None:
        """Return the command that a word names: its verb, an alias, or a unique beginning of a reading verb."""
        word = verb.lower()
        if word in self._by_word:
            return self._by_word[word]
        begins = [
            command for command in self.commands if command.reads and len(word) > 1 and command.verb.startswith(word)
        ]
        return begins[0] if len(begins) == 1 else None

    def split(self, text: str, slash: str = "/build") -> tuple[Command[Any, Any], str]:
        """Return the command that a line names and the words after it; a line that names only a target asks for a status.

        Raises UsageError for a first word that is neither, with the verb that was probably meant.
        """
        text = without_politeness(text) or text
        head, *more = text.split(maxsplit=1) or [""]
        rest = more[0].strip() if more else ""
        if not head:
            return self.commands[0], ""
        command = self.find(head)
        if command is not None:
            return command, plain_target(rest) if command.names_target else rest
        if looks_like_a_target(head):
            return self.commands[0], text.strip()
        raise self._unknown(head, rest, slash)

    def _unknown(self, head: str, rest: str, slash: str) -> UsageError | Ambiguous:
        """Return the answer to an unknown word. The guess is never an act that stops, erases or approves something."""
        near = self._near(head.lower())
        if near is not None and near.is_dangerous:
            return UsageError(f"I don't know the command `{head}`.", hint=f"`{slash} help` lists everything.")
        if near is None:
            hint = f"`{slash} help` lists everything. If it is a pipeline: `{slash} status {head}`."
            question = f"I don't know the command `{head}`. To build a pipeline of that name: `{slash} run {head}`?"
            if head.isidentifier() and not rest:
                return Ambiguous(question, choices=((f"Run {head}", f"run {head} --form"),), hint=hint)
            return UsageError(f"I don't know the command `{head}`.", hint=hint)
        return UsageError(
            f"I don't know `{head}`. Did you mean `{near.verb}`?", hint=f"`{slash} help` lists everything."
        )

    def _near(self, word: str) -> Command[Any, Any] | None:
        """Return the command whose verb is nearest to a word. Letters at the end weigh less than another verb.

        A dangerous verb is one only for words that begin as it does: there it keeps another from taking its place.
        """
        names = [name for name, command in self._by_word.items() if not command.is_dangerous or name[:2] == word[:2]]
        near = get_close_matches(word, names, n=5, cutoff=NEAR)
        if not near:
            return None
        begins = [name for name in near if name[:3] == word[:3]]
        best = max(begins or near, key=lambda name: (_common(name, word), -abs(len(name) - len(word))))
        return self._by_word[best]


def _common(name: str, word: str) -> int:
    """Return how many letters two words have in common, each counted as often as both have it."""
    return sum(min(name.count(letter), word.count(letter)) for letter in set(name))


def looks_like_a_target(word: str) -> bool:
    """Return whether a word can only be a target: a URL, `@ref`, `#build`, `connection:path`."""
    begins = word.startswith(("http://", "https://", "@", "#"))
    return begins or any(sign in word for sign in "@#:") or word.lower() in {"all", "mine", "this"} or is_sha(word)
