"""What /metrics shows of what it was told."""

from bot.http.quota import Quota
from bot.metrics import Allowance, Metrics


def test_of_several_workspaces_the_smallest_rest_of_a_method_is_shown_and_what_is_gone_is_not() -> None:
    metrics = Metrics.make()
    posts = [
        Allowance(system="slack", budget="chat.postMessage", quota=Quota(limit=limit, remaining=remaining))
        for limit, remaining in ((300, 20), (100, 90))
    ]
    metrics.set_budgets([*posts, Allowance(system="gitlab", budget="works", quota=Quota(limit=9, remaining=3))])
    text = metrics.text()[0].decode()
    assert 'buildbell_budget_left{budget="chat.postMessage",system="slack"} 20.0' in text
    assert 'buildbell_budget_limit{budget="chat.postMessage",system="slack"} 300.0' in text
    metrics.set_budgets(posts)
    assert "works" not in metrics.text()[0].decode()
