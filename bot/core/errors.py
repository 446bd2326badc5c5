"""The errors that are shown to people.

`str(error)` is the sentence the person reads, `hint` what to do next. Neither ever holds a token or a vendor's raw body.
"""


class BotError(Exception):
    """An error that is shown to a person in one sentence. `choices` are (label, command): what to press next.

    `url` is a page of a connected system where the person can go on.
    """

    url: str | None = None

    def __init__(self, message: str, *, hint: str | None = None, choices: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.choices = choices


class UsageError(BotError):
    """The words do not say what to do. `usage` is the line of help that fits."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        usage: str | None = None,
        choices: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, choices=choices)
        self.usage = usage


class NotAllowed(BotError):
    """The person may not do that here."""


class NotLinked(BotError):
    """Nothing that fits is linked to the channel."""


class Ambiguous(BotError):
    """Several things match, and the person has to choose one of `choices`: (label, the command that picks it)."""


class StoreError(BotError):
    """The database refused, in words for the person who runs the bot."""


class ProviderError(BotError):
    """A CI system said no. `provider` is its label, `status` the HTTP status where there was one."""

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        status: int | None = None,
        hint: str | None = None,
        choices: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, choices=choices)
        self.provider = provider
        self.status = status


class AuthFailed(ProviderError):
    """The credentials are wrong, expired or too small."""


class NotFound(ProviderError):
    """It is not there, or not visible to the connection."""


class Rejected(ProviderError):
    """The system understood and refused."""


class Unsupported(ProviderError):
    """The system cannot do that at all; the hint names the nearest thing that works."""


class RateLimited(ProviderError):
    """Too many requests. `retry_after` is how long to wait, in seconds."""

    def __init__(
        self, message: str, *, provider: str, retry_after: float, status: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, provider=provider, status=status, hint=hint)
        self.retry_after = retry_after


class BudgetSpent(RateLimited):
    """We hold a request back, so that what is left of the vendor's limit serves what comes first. Nothing was sent."""


class Unavailable(ProviderError):
    """No answer, or a fault on the other side. `acted` says that a request may have taken effect all the same."""

    def __init__(
        self, message: str, *, provider: str, status: int | None = None, hint: str | None = None, acted: bool = False
    ) -> None:
        super().__init__(message, provider=provider, status=status, hint=hint)
        self.acted = acted


class UnexpectedResponse(ProviderError):
    """The answer does not read as documented: our reader or their page is wrong."""
