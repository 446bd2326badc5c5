"""Credentials: an access token as Bearer, or an API token as Basic with its owner's e-mail address.

Page: https://developer.atlassian.com/cloud/bitbucket/rest/intro/#authentication
"""

import base64
from collections.abc import Generator

import httpx
from pydantic import SecretStr
from typing_extensions import override


class TokenAuth(httpx.Auth):
    """Adds an API token with its owner's address, or an access token alone where `email` is empty."""

    def __init__(self, email: str, token: SecretStr) -> None:
        self._email = email
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._token.get_secret_value()
        pair = base64.b64encode(f"{self._email}:{token}".encode()).decode()
        request.headers["Authorization"] = f"Basic {pair}" if self._email else f"Bearer {token}"
        yield request
