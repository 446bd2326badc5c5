"""The CI systems the bot speaks with: one line each."""

from collections.abc import Mapping
from typing import Any

import httpx

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import UsageError
from bot.http.client import ApiClient
from bot.providers.azure_devops.provider import AzureDevOps
from bot.providers.base.options import Options
from bot.providers.base.provider import Provider
from bot.providers.bitbucket.provider import Bitbucket
from bot.providers.buildkite.provider import Buildkite
from bot.providers.circleci.provider import CircleCI
from bot.providers.github_actions.provider import GitHubActions
from bot.providers.gitlab.provider import GitLab
from bot.providers.jenkins.provider import Jenkins
from bot.providers.travis.provider import Travis
from bot.providers.truto.provider import Truto
from bot.providers.xcode_cloud.provider import XcodeCloud

# Each class takes options of its own kind, and a mapping can't say that: hence Any.
PROVIDERS: Mapping[str, type[Provider[Any]]] = {
    "azure_devops": AzureDevOps,
    "bitbucket": Bitbucket,
    "buildkite": Buildkite,
    "circleci": CircleCI,
    "github_actions": GitHubActions,
    "gitlab": GitLab,
    "jenkins": Jenkins,
    "travis": Travis,
    "truto": Truto,
    "xcode_cloud": XcodeCloud,
}


def open_provider(
    connection: str, kind: str, options: Options, *, client: httpx.AsyncClient, clock: Clock, sleep: Sleep = sleep
) -> Provider[Any]:
    """Return the connection's provider, ready to ask; nothing is sent yet.

    Raises UsageError for a kind that is not there and for options of another kind.
    """
    provider = PROVIDERS.get(kind)
    if provider is None:
        raise UsageError(f"I don't know the CI system `{kind}`.", hint=f"I know {', '.join(PROVIDERS)}.")
    if not isinstance(options, provider.options_type):
        raise UsageError(f"The options of {connection} are not those of {provider.label}.")
    provider = provider.variant(options)
    api = ApiClient(
        client,
        base_url=provider.base_url(options),
        provider=provider.label,
        clock=clock,
        auth=provider.auth(options, clock),
        map_error=provider.map_error,
        read_quota=provider.read_quota,
        headers=provider.headers(options),
        credential_origins=provider.credential_origins(options),
    )
    return provider(api, options, connection=connection, clock=clock, sleep=sleep)
