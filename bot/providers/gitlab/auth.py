"""GitLab's credentials: Bearer for v4, `PRIVATE-TOKEN` for v3."""

from collections.abc import Generator

import httpx
from pydantic import SecretStr
from typing_extensions import override


class PrivateToken(httpx.Auth):
    """Adds `PRIVATE-TOKEN`, the only form that v3 knows for access tokens."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["PRIVATE-TOKEN"] = self._token.get_secret_value()
        yield request
