"""What a connection to a GitLab server needs."""

import re
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from bot.core.models import Scope
from bot.providers.base.options import Options

_API_TAIL = re.compile(r"/+(?:api(?:/(?:v\d+|graphql))?/*)?$")

SCOPES = (
    Scope(
        name="read_api",
        purpose="builds, jobs, logs, artifacts, tests, counts, notifications (with the role Reporter)",
        also=("api",),
    ),
    Scope(name="api", purpose="start, cancel, retry, rebuild, approvals, erase (with the role Developer)"),
)


class GitLabOptions(Options):
    """A connection to a GitLab server."""

    token: SecretStr = Field(
        description="Access token (personal, group or project). Scope `api`; `read_api` is enough to watch."
    )
    api_version: Literal["v4", "v3"] = Field(
        default="v4", description="`v3` for servers before GitLab 9.0, where a build is what v4 calls a job."
    )
    group: str = Field(default="", description="Only projects of this group and its subgroups.")
    trigger_token: SecretStr | None = Field(
        default=None, description="Pipeline trigger token to start builds with, where the access token may not."
    )

    @field_validator("url")
    @classmethod
    def _without_api(cls, url: str) -> str:
        return _API_TAIL.sub("", url)

    @field_validator("group")
    @classmethod
    def _bare_group(cls, group: str) -> str:
        return group.strip("/")
