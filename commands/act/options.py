"""The provider's own options of a start or a rebuild: read, checked, and whose name they carry."""

from collections.abc import Iterable, Mapping

from bot.core.errors import UsageError
from bot.core.text import folded
from bot.providers.base.provider import AnyProvider
from commands.core.context import Context
from commands.core.grammar import ParsedArgs

_AUTHORS = ("author", "committer", "requested_for", "requestedfor", "creator")


def options_given(parsed: ParsedArgs, usage: str) -> dict[str, str]:
    """Return `--option NAME=VALUE` pairs, `--clean` as `clean=true`. Raises UsageError for what is no pair.

    An option that is given several times is a list, as if its values stood in one with commas between.
    """
    options: dict[str, str] = {}
    for pair in parsed.flags.get("option", ()):
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"`--option` takes NAME=VALUE, not `{pair}`.", usage=usage)
        if name in options and "." in name and options[name] != value:
            raise UsageError(f"`--option {name}=…` is given twice, with two values.", usage=usage)
        options[name] = value if options.get(name, value) == value else f"{options[name]},{value}"
    if parsed.has("clean"):
        options["clean"] = "true"
    return options


def check_options(options: Iterable[str], provider: AnyProvider) -> None:
    """Raise UsageError for an option that the provider does not have; one that ends with a dot takes a name after it."""
    allowed = provider.start_options
    for name in options:
        if not any(name == option or (option.endswith(".") and name.startswith(option)) for option in allowed):
            raise UsageError(
                f"{provider.label} has no start option `{name}`.",
                hint=f"It has: {', '.join(f'`{option}`' for option in allowed)}." if allowed else "It has none.",
            )


async def names_somebody_else(options: Mapping[str, str], context: Context) -> bool:
    """Return whether an option names an author or committer who is not the person themselves."""
    named = [
        value
        for name, value in options.items()
        if any(name.lower().startswith(word) for word in _AUTHORS) and value.strip()
    ]
    if not named:
        return False
    own = await names_of(context.user, context)
    for value in named:
        if any(folded(part.strip()) not in own for part in _name_and_address(value) if part.strip()):
            return True
    return False


def _name_and_address(author: str) -> list[str]:
    """Return the parts of `Name <address>`; Slack takes the angle brackets of an address away."""
    text = author.strip()
    name, bracket, rest = text.partition("<")
    if bracket and ">" not in name and rest.endswith(">") and not set("<>") & set(rest[:-1]):
        return [name, rest[:-1]]
    words = text.rsplit(maxsplit=1)
    is_bare = len(words) == 2 and "@" in words[1][1:-1] and not set("<>") & set(words[0])
    return words if is_bare else [text]


async def names_of(user: str, context: Context) -> frozenset[str]:
    """Return the names, addresses and handles that are a person's own, without regard to case, and their Slack id."""
    person = await context.services.people.person(context.team, user)
    identities = await context.store.people.identities(context.team, user)
    names = {person.name, person.email, user, *(row.value for row in identities)}
    return frozenset(folded(name) for name in names if name)
