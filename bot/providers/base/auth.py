"""Credentials that more than one provider sends the same way."""

from collections.abc import Generator

import httpx
from pydantic import SecretStr
from typing_extensions import override


class Bearer(httpx.Auth):
    """Adds `Authorization: Bearer`."""

    def __init__(self, token: SecretStr) -> None:
        self._token = token

    @override
    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        yield request
