"""The CI systems the bot speaks with: one line each."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import httpx
from typing_extensions import override

from bot.core.clock import Clock, Sleep, sleep
from bot.core.errors import UsageError
from bot.http.client import ApiClient
from bot.providers.base.options import Options
from bot.providers.base.provider import Provider


class Providers(Mapping[str, type[Provider[Any]]]):
    """Provider classes by kind. A class is imported when it is first asked for: most installations use one or two.

    Each class takes options of its own kind, and a mapping can't say that: hence Any.
    """

    def __init__(self, classes: Mapping[str, str]) -> None:
        self._classes = classes

    @override
    def __getitem__(self, kind: str) -> type[Provider[Any]]:
        name = self._classes[kind]
        provider: type[Provider[Any]] = getattr(import_module(f"bot.providers.{kind}.provider"), name)
        return provider

    @override
    def __contains__(self, kind: object) -> bool:
        return kind in self._classes

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    @override
    def __len__(self) -> int:
        return len(self._classes)


PROVIDERS = Providers(
    {
        "azure_devops": "AzureDevOps",
        "bitbucket": "Bitbucket",
        "buildkite": "Buildkite",
        "circleci": "CircleCI",
        "github_actions": "GitHubActions",
        "gitlab": "GitLab",
        "jenkins": "Jenkins",
        "travis": "Travis",
        "truto": "Truto",
        "xcode_cloud": "XcodeCloud",
    }
)


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
