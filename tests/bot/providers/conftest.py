"""Fixtures of the adapters' tests."""

import pytest

pytest.register_assert_rewrite("tests.bot.providers.case", "tests.bot.providers.replay")


@pytest.fixture
def write_expected(request: pytest.FixtureRequest) -> bool:
    """Whether `--write-expected` was given."""
    return bool(request.config.getoption("--write-expected"))
