"""Which values of a start name refs, and what a ref is called."""

import pytest

from bot.core.refs import is_pattern, names_a_ref, refs_in_values, spellings_of


@pytest.mark.parametrize(
    "name",
    [
        "BRANCH",
        "branchName",
        "GIT_BRANCH_TO_BUILD",
        "SOURCEBRANCHNAME",
        "ref",
        "git-ref",
        "gitRef",
        "Build.SourceBranch",
        "GITHUB_HEAD_REF",
        "CI_COMMIT_REF_NAME",
        "CI_COMMIT_TAG",
        "BUILDKITE_TAG",
        "COMMIT",
        "SHA1",
        "revision",
        "commitish",
        "TAG",
        "GIT_TAG",
        "tagName",
    ],
)
def test_name_of_a_value_that_is_a_ref_is_recognized(name: str) -> None:
    assert names_a_ref(name)


@pytest.mark.parametrize(
    "name",
    ["STAGE", "IMAGE_TAG", "DOCKER_TAGS", "REFRESH", "PREFIX", "HREF", "VERSION", "TARGET", "REVIEW", "MASHA", "WORD"],
)
def test_name_of_another_value_is_not_taken_for_a_refs(name: str) -> None:
    assert not names_a_ref(name)


def test_refs_in_values_are_those_of_names_that_speak_of_refs_and_whole_ones() -> None:
    values = {"GIT_REF": "main", "BRANCHES": "one, two", "STAGE": "main", "WORD": "refs/heads/main", "BRANCH": ""}
    assert refs_in_values(values) == ("main", "one, two", "one", "two", "refs/heads/main")


@pytest.mark.parametrize(
    "ref",
    [
        "main",
        "refs/remotes/upstream/main",
        "remotes/a/main",
        "origin/main",
        "main~2",
        "main^{tree}",
        "+main:x",
        " main ",
    ],
)
def test_ref_is_known_by_its_plain_name_whatever_git_calls_it(ref: str) -> None:
    assert "main" in spellings_of(ref)


def test_branches_that_only_look_like_it_keep_their_names() -> None:
    for name in ("feature/main", "main-2", "upstream/main", "maintenance"):
        assert "main" not in spellings_of(name)


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("ma*", True), ("m?in", True), ("[m]ain", True), ("{main,other}", True), ("main", False), ("fix/{x}", False)],
)
def test_patterns_are_told_from_names(text: str, is_one: bool) -> None:
    assert is_pattern(text) == is_one
