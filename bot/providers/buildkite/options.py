"""What a connection to Buildkite needs."""

from pydantic import Field, SecretStr

from bot.providers.base.options import Options

NEEDED_SCOPES = ("read_pipelines", "read_builds", "write_builds", "read_build_logs", "read_artifacts")


class BuildkiteOptions(Options):
    """One organization and a token for it."""

    organization: str = Field(
        min_length=1, description="The organization's slug, as in buildkite.com/SLUG.", pattern=r"^[^/\s]+$"
    )
    token: SecretStr = Field(
        min_length=1, description=f"API access token with the scopes {', '.join(NEEDED_SCOPES)}; read_suites for tests."
    )
