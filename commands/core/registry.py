"""What a command is, and how typed words find theirs."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Generic, TypeVar

from typing_extensions import override

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


@dataclass(frozen=True, slots=True)
class Listed:
    """A command by its verb, its aliases and its module, whose `COMMAND` it is: imported when it is first asked for."""

    verb: str
    module: str
    aliases: tuple[str, ...] = ()

    def load(self) -> Command[Any, Any]:
        """Return the command. Raises TypeError where it is not called as it is listed."""
        command: Command[Any, Any] = import_module(self.module).COMMAND
        if (command.verb, command.aliases) != (self.verb, self.aliases):
            raise TypeError(f"{self.module} has the command {command.verb}, not {self.verb}, or other aliases")
        return command


class Forms(Mapping[str, Form]):
    """Forms by name, each of a class in a module: imported and made when it is first asked for."""

    def __init__(self, classes: Mapping[str, tuple[str, str]]) -> None:
        self.classes = classes
        self._made: dict[str, Form] = {}

    @override
    def __getitem__(self, name: str) -> Form:
        form = self._made.get(name)
        if form is None:
            module, made_by = self.classes[name]
            form = self._made[name] = getattr(import_module(module), made_by)()
        return form

    @override
    def __contains__(self, name: object) -> bool:
        return name in self.classes

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self.classes)

    @override
    def __len__(self) -> int:
        return len(self.classes)


class Registry:
    """Every command and every form, in the order of the help text. Raises TypeError for a word that two commands have.

    A command that is listed by its module is checked when that is imported: TypeError for one without `authorize`.
    """

    def __init__(self, commands: Iterable[Command[Any, Any] | Listed], forms: Mapping[str, Form] | None = None) -> None:
        self.forms: Mapping[str, Form] = forms or {}
        self._loaded: dict[str, Command[Any, Any]] = {}
        self._listed: dict[str, Listed] = {}
        self._verb_of: dict[str, str] = {}
        for command in commands:
            if isinstance(command, Listed):
                self._listed[command.verb] = command
            else:
                self._loaded[command.verb] = _checked(command)
            for word in (command.verb, *command.aliases):
                if word in self._verb_of:
                    raise TypeError(f"two commands are called {word}")
                self._verb_of[word] = command.verb
        self._verbs = tuple(dict.fromkeys(self._verb_of.values()))

    @property
    def commands(self) -> tuple[Command[Any, Any], ...]:
        """Return every command; imports all."""
        return tuple(self._command(verb) for verb in self._verbs)

    def load(self) -> None:
        """Import every command and every form now, so that nobody waits for it later."""
        list(self.commands)
        list(self.forms.values())

    def _command(self, verb: str) -> Command[Any, Any]:
        command = self._loaded.get(verb)
        if command is None:
            command = self._loaded[verb] = _checked(self._listed[verb].load())
        return command

    def find(self, verb: str) -> Command[Any, Any] | None:
        """Return the command that a word names: its verb, an alias, or a unique beginning of a reading verb."""
        word = verb.lower()
        if word in self._verb_of:
            return self._command(self._verb_of[word])
        begins = [self._command(verb) for verb in self._verbs if len(word) > 1 and verb.startswith(word)]
        reading = [command for command in begins if command.reads]
        return reading[0] if len(reading) == 1 else None

    def split(self, text: str, slash: str = "/build") -> tuple[Command[Any, Any], str]:
        """Return the command that a line names and the words after it; a line that names only a target asks for a status.

        Raises UsageError for a first word that is neither, with the verb that was probably meant.
        """
        text = without_politeness(text) or text
        head, *more = text.split(maxsplit=1) or [""]
        rest = more[0].strip() if more else ""
        if not head:
            return self._command(self._verbs[0]), ""
        command = self.find(head)
        if command is not None:
            return command, plain_target(rest) if command.names_target else rest
        if looks_like_a_target(head):
            return self._command(self._verbs[0]), text.strip()
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
        names = [
            name for name, verb in self._verb_of.items() if name[:2] == word[:2] or not self._command(verb).is_dangerous
        ]
        near = get_close_matches(word, names, n=5, cutoff=NEAR)
        if not near:
            return None
        begins = [name for name in near if name[:3] == word[:3]]
        best = max(begins or near, key=lambda name: (_common(name, word), -abs(len(name) - len(word))))
        return self._command(self._verb_of[best])


def _checked(command: Command[Any, Any]) -> Command[Any, Any]:
    if not callable(command.authorize):
        raise TypeError(f"the command {command.verb} declares no authorize")
    if command.role is not Role.VIEW and command.authorize is anyone:
        raise TypeError(f"the command {command.verb} needs the {command.role.word} role, yet authorizes anyone")
    return command


def _common(name: str, word: str) -> int:
    """Return how many letters two words have in common, each counted as often as both have it."""
    return sum(min(name.count(letter), word.count(letter)) for letter in set(name))


def looks_like_a_target(word: str) -> bool:
    """Return whether a word can only be a target: a URL, `@ref`, `#build`, `connection:path`."""
    begins = word.startswith(("http://", "https://", "@", "#"))
    return begins or any(sign in word for sign in "@#:") or word.lower() in {"all", "mine", "this"} or is_sha(word)
