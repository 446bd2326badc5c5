"""Limit headers: read on every vendor that sends them, as its pages write them; odd ones are none."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from bot.http.quota import Quota
from bot.providers import PROVIDERS
from tests.bot.providers.case import NOW

UNITS = {"x-ratelimit-limit": "200", "x-ratelimit-remaining": "40", "x-ratelimit-reset": str(int(NOW.timestamp()) + 60)}
PLAIN = {"ratelimit-limit": "200", "ratelimit-remaining": "40", "ratelimit-reset": "60"}
IN_A_MINUTE = NOW + timedelta(seconds=60)

HEADERS: Mapping[str, Mapping[str, str] | str] = {
    "azure_devops": UNITS,
    "bitbucket": {"x-ratelimit-limit": "200", "x-ratelimit-remaining": "40", "x-ratelimit-reset": "60"},
    "buildkite": PLAIN,
    "circleci": PLAIN,
    "github_actions": {**UNITS, "x-ratelimit-resource": "core"},
    "gitlab": {**PLAIN, "ratelimit-reset": UNITS["x-ratelimit-reset"]},
    "jenkins": "no limits of its own",
    "travis": "its limiter answers 429 with the limit in the body and sends no headers before",
    "truto": {**PLAIN, "ratelimit-limit": "200;w=60"},
    "xcode_cloud": {"x-rate-limit": "user-hour-lim:200;user-hour-rem:40;"},
}
ODD = ("", "many", "-1", "1.5", "1e3", "\u00b2", "9" * 400, "0x10", " ", "60;w", "NaN")


@pytest.mark.parametrize("kind", sorted(PROVIDERS))
def test_limit_headers_are_read_on_every_vendor_that_sends_them(kind: str) -> None:
    headers = HEADERS[kind]
    quota = PROVIDERS[kind].read_quota(httpx.Headers({} if isinstance(headers, str) else dict(headers)), NOW)
    if isinstance(headers, str):
        assert quota is None, headers
        return
    assert quota is not None
    resets_at = None if kind == "xcode_cloud" else IN_A_MINUTE
    assert quota == Quota(limit=200, remaining=40, resets_at=resets_at)


@pytest.mark.parametrize("kind", sorted(kind for kind, headers in HEADERS.items() if not isinstance(headers, str)))
def test_odd_limit_headers_are_none_and_break_nothing(kind: str) -> None:
    headers = HEADERS[kind]
    assert not isinstance(headers, str)
    for name in headers:
        for odd in ODD:
            sent = httpx.Headers(
                [(key.encode(), (odd if key == name else value).encode("latin-1")) for key, value in headers.items()]
            )
            quota = PROVIDERS[kind].read_quota(sent, NOW)
            assert quota is None or (quota.limit >= quota.remaining >= 0), (name, odd)
            assert quota is None or quota.resets_at is None or quota.resets_at < datetime(2300, 1, 1, tzinfo=UTC), (
                name,
                odd,
            )
