"""Which systems can tell that a branch or tag does not exist."""

import pytest

from bot.core.models import RefKind
from bot.providers import PROVIDERS

BRANCH, TAG = RefKind.BRANCH, RefKind.TAG


@pytest.mark.parametrize(
    ("kind", "kinds"),
    [
        ("azure_devops", {BRANCH}),  # tags only in Azure Repos
        ("bitbucket", {BRANCH, TAG}),
        ("buildkite", set()),
        ("circleci", set()),
        ("github_actions", {BRANCH, TAG}),
        ("gitlab", {BRANCH, TAG}),
        ("jenkins", set()),
        ("travis", set()),
        ("truto", {BRANCH}),
        ("xcode_cloud", {BRANCH, TAG}),
    ],
)
def test_systems_that_know_refs_only_from_builds_do_not_claim_to_list_them_all(kind: str, kinds: set[RefKind]) -> None:
    assert PROVIDERS[kind].lists_all_refs == kinds
