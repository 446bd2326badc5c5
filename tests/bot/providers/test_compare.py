"""The pages of repository hosts that compare what two builds were made of."""

import pytest

from bot.core.models import Build
from bot.providers.base.compare import compare_page

BASE, HEAD = "00" * 20, "b2" * 20


def build(commit: str | None, *, page: str = "", repo: str | None = "quay/ferry", of_commit: str = "") -> Build:
    details = {"page of the commit": of_commit} if of_commit else {}
    return Build(connection="ci", pipeline="p", id="1", commit=commit, repo=repo, web_url=page or None, details=details)


@pytest.mark.parametrize(
    ("after", "page"),
    [
        (
            build(HEAD, page="https://app.circleci.com/pipelines/github/quay/ferry/41"),
            f"https://github.com/quay/ferry/compare/{BASE}...{HEAD}",
        ),
        (
            build(HEAD, page="https://app.travis-ci.com/bitbucket/quay/ferry/builds/9"),
            f"https://bitbucket.org/quay/ferry/branches/compare/{HEAD}..{BASE}",
        ),
        (
            build(HEAD, of_commit="https://gitlab.com/quay/ferry/-/commit/b2"),
            f"https://gitlab.com/quay/ferry/-/compare/{BASE}...{HEAD}",
        ),
        (build(HEAD, page="https://buildkite.com/quay/ferry/builds/7"), None),
        (build(HEAD, page="https://app.circleci.com/pipelines/github/quay/ferry/41", repo=None), None),
        (build(None, page="https://app.circleci.com/pipelines/github/quay/ferry/41"), None),
        (
            build(HEAD, page="https://app.circleci.com/pipelines/github/x", repo="quay/f?x#y"),
            f"https://github.com/quay/f%3Fx%23y/compare/{BASE}...{HEAD}",
        ),
    ],
)
def test_two_builds_are_compared_at_the_host_that_an_address_names(after: Build, page: str | None) -> None:
    assert compare_page(build(BASE), after) == page
