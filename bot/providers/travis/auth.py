"""Credentials: Travis's own scheme of the Authorization header.

Page: https://developer.travis-ci.com/authentication
"""

from collections.abc import Generator

import httpx
from pydantic import SecretStr
from typing_extensions import override


class TokenAuth(httpx.Auth):
    """Adds `Authorization: token`."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"token {self._token.get_secret_value()}"
        yield request
