"""Budgets of requests: who goes without first, what refusals teach, and what processes tell each other."""

import math
from datetime import timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core.errors import BudgetSpent, RateLimited
from bot.http.budget import LEAST_A_MINUTE, Budget, BudgetState, Purpose, current_purpose, spending
from bot.http.quota import Quota
from tests.bot.http.wire import Clock, Make, Wire

HELD = (Purpose.DELIVERY, Purpose.POLL, Purpose.COUNTS)
NOW = 1_000.0


def budget(least_calls: int = 60) -> Budget:
    return Budget(least_calls=least_calls)


@pytest.mark.parametrize(
    ("remaining", "held"),
    [
        (200, []),
        (61, []),
        (60, ["counts"]),
        (21, ["counts"]),
        (20, ["poll", "counts"]),
        (1, ["poll", "counts"]),
        (0, ["delivery", "poll", "counts"]),
    ],
)
def test_where_little_is_left_counts_stop_first_then_polls_and_commands_never(remaining: int, held: list[str]) -> None:
    own = budget()
    own.report(NOW, limit=200, remaining=remaining, resets_in=30)
    assert [purpose.value for purpose in HELD if own.wait(NOW, purpose)] == held
    assert own.wait(NOW, Purpose.COMMAND) == 0
    assert all(own.wait(NOW + 30, purpose) == 0 for purpose in HELD)


def test_requests_under_way_are_counted_before_their_answers_come() -> None:
    own = budget()
    own.report(NOW, limit=100, remaining=35, resets_in=20)
    assert own.wait(NOW, Purpose.COUNTS) == 0
    own.spend(NOW, 5)
    assert own.wait(NOW, Purpose.COUNTS) == 20


def test_a_limit_that_no_header_names_is_learned_and_tried_again_after_a_while() -> None:
    own = budget()
    own.spend(NOW, 200)
    own.refuse(NOW)
    assert own.a_minute == 199
    assert own.wait(NOW, Purpose.POLL) == 60
    assert own.wait(NOW, Purpose.COMMAND) == 0
    own.spend(NOW + 60, 150)
    assert own.wait(NOW + 60, Purpose.COUNTS) == 60
    assert own.wait(NOW + 60, Purpose.POLL) == 0
    own.wait(NOW + 360)
    assert own.a_minute == pytest.approx(199 * 1.25)


def test_a_refusal_after_few_requests_teaches_nothing() -> None:
    own = budget()
    own.spend(NOW, 60)
    own.refuse(NOW)
    assert own.wait(NOW, Purpose.COUNTS) == 0


@given(st.integers(1, 2000), st.integers(0, 3))
def test_a_learned_limit_never_stops_everything(calls: int, refusals: int) -> None:
    own = budget(least_calls=0)
    own.spend(NOW, calls)
    for _refusal in range(refusals):
        own.refuse(NOW)
    assert own.a_minute >= LEAST_A_MINUTE
    assert all(own.wait(NOW + 60, purpose) == 0 for purpose in HELD)


def test_processes_add_up_what_they_spend() -> None:
    one, other = budget(), budget()
    one.spend(NOW, 120)
    other.spend(NOW, 100)
    one.learn(NOW, [other.state(NOW)])
    one.refuse(NOW)
    other.learn(NOW, [one.state(NOW)])
    assert one.a_minute == other.a_minute == 219
    one.spend(NOW, 79)
    other.learn(NOW, [one.state(NOW)])
    assert other.wait(NOW, Purpose.POLL) > 0
    assert other.wait(NOW + 60, Purpose.POLL) == 0


def test_a_limit_is_eased_though_other_processes_knew_the_lower_one_a_moment_ago() -> None:
    processes = [budget() for _ in range(5)]
    processes[0].spend(NOW, 100)
    processes[0].refuse(NOW)
    learned = processes[0].a_minute
    for second in range(3, 1200, 3):
        states = [own.state(NOW + second) for own in processes]
        for index, own in enumerate(processes):
            own.learn(NOW + second, [*states[:index], *states[index + 1 :]])
    assert {own.a_minute for own in processes} == {processes[0].a_minute}
    assert processes[0].a_minute > 5 * learned


def test_one_refusal_teaches_no_limit_below_what_went_well_and_the_second_does() -> None:
    own = budget()
    for second in range(60):
        own.spend(NOW + second, 5)
    own.wait(NOW + 90)
    own.spend(NOW + 90)
    own.refuse(NOW + 90)
    assert own.a_minute >= 280
    own.refuse(NOW + 91)
    assert own.a_minute < 160


def test_what_is_left_of_a_learned_limit_is_known() -> None:
    own = budget()
    assert own.left(NOW) is None
    own.spend(NOW, 200)
    own.refuse(NOW)
    assert own.left(NOW) == (199, 0)
    assert own.left(NOW + 60) == (199, 199)


def test_a_refusal_while_plenty_is_reported_as_left_teaches_only_its_wait() -> None:
    own = budget()
    own.report(NOW, limit=1000, remaining=900, resets_in=300)
    own.spend(NOW, 100)
    own.refuse(NOW, 7)
    assert own.a_minute == math.inf
    assert own.wait(NOW, Purpose.COMMAND) == 7


def test_a_limit_that_is_met_again_and_again_is_tried_more_and_more_rarely() -> None:
    own = budget()
    met: list[float] = []
    for second in range(3600):
        now = NOW + second
        while own.wait(now, Purpose.POLL) == 0:
            own.spend(now)
            if len(own._calls) > 200:
                own.refuse(now)
                met.append(now)
    assert len(met) <= 16


def test_counts_wait_while_polls_are_held_back_in_any_process_and_not_for_ever() -> None:
    one, other = budget(), budget()
    one.hold(NOW, Purpose.POLL)
    for second in range(3, 58, 3):
        states = one.state(NOW + second), other.state(NOW + second)
        other.learn(NOW + second, [states[0]])
        one.learn(NOW + second, [states[1]])
    assert [own.wait(NOW + 57, Purpose.COUNTS) > 0 for own in (one, other)] == [True, True]
    assert [own.wait(NOW + 57, Purpose.POLL) for own in (one, other)] == [0, 0]
    assert [own.wait(NOW + 61, Purpose.COUNTS) for own in (one, other)] == [0, 0]


def test_a_newer_report_of_another_process_counts_and_an_older_one_does_not() -> None:
    own = budget()
    own.report(NOW, limit=100, remaining=90, resets_in=300)
    own.learn(NOW + 5, [BudgetState(limit=100, remaining=10, resets_in=200, age=10)])
    assert own.wait(NOW + 5, Purpose.POLL) == 0
    own.learn(NOW + 9, [BudgetState(limit=100, remaining=10, resets_in=200, age=2)])
    assert own.wait(NOW + 9, Purpose.POLL) == pytest.approx(198)


def test_what_is_spent_is_told_to_whoever_spends_it() -> None:
    own = budget()
    assert current_purpose() is Purpose.COMMAND
    with spending(Purpose.POLL) as poll:
        own.spend(NOW)
        with spending(Purpose.COUNTS) as counts:
            own.spend(NOW, 3)
        assert current_purpose() is Purpose.POLL
    own.spend(NOW)
    assert (poll.requests, counts.requests) == (1, 3)


# in requests


async def test_a_client_holds_polls_back_and_answers_commands_where_the_vendor_says_that_little_is_left(
    api_over: Make,
) -> None:
    wire = Wire(httpx.Response(200, json={}))
    api = api_over(
        wire, read_quota=lambda _headers, now: Quota(limit=50, remaining=4, resets_at=now + timedelta(seconds=9))
    )
    await api.get("a")
    with spending(Purpose.POLL) as spent, pytest.raises(BudgetSpent, match="for 9 s") as caught:
        await api.get("b")
    assert caught.value.retry_after == 9
    assert spent.requests == 0
    await api.get("c")
    assert [request.url.path for request in wire.asked] == ["/api/a", "/api/c"]
    assert api.budget.held == {Purpose.POLL: 1}


async def test_a_wait_that_one_process_was_told_to_keep_is_kept_by_all(api_over: Make, clock: Clock) -> None:
    wire = Wire(httpx.Response(429, headers={"retry-after": "400"}))
    first, second = api_over(wire), api_over(wire)
    with pytest.raises(RateLimited):
        await first.get("a")
    second.budget.learn([first.budget.state()])
    with pytest.raises(RateLimited, match="400 s"):
        await second.get("b")
    assert len(wire.asked) == 1
    clock.at += timedelta(seconds=400)
    wire.answers = [httpx.Response(200, json={})]
    await second.get("c")
