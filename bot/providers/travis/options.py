"""A connection's options: an owner's name and an API token."""

from pydantic import Field, SecretStr

from bot.core.models import Scope
from bot.providers.base.options import Options

LABEL = "Travis CI"

SCOPES = (
    Scope(name="read access to the repository", purpose="builds, jobs, logs, notifications"),
    Scope(name="write access to the repository", purpose="start, cancel, restart"),
)


class TravisOptions(Options):
    """What a connection to Travis CI needs."""

    owner: str = Field(
        min_length=1,
        pattern=r"^[^/\\\s.][^/\\\s]*$",
        description="The user or organization, as in app.travis-ci.com/github/OWNER.",
    )
    token: SecretStr = Field(min_length=1, description="API token, from the settings of the account it acts for.")
    webhook_secret: SecretStr | None = Field(
        default=None, description="The installation's public key (PEM), where the bot is not to fetch it itself."
    )
