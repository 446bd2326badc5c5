"""Holds the stand-ins' answers to the vendors' API descriptions."""

from typing import Any

from tests.playground.ci_kit import Playground, Spec


async def test_buildkites_answers_fit_its_description() -> None:
    spec, ground = Spec("buildkite"), Playground()
    ground.client.headers["Authorization"] = f"Bearer {ground.options['demo-buildkite']['token']}"
    mount, org = "/ci/buildkite", "/v2/organizations/demo"

    async def ask(method: str, path: str, **more: Any) -> Any:
        response = await ground.client.request(method, f"{mount}{path}", **more)
        spec.check(mount, response)
        return response.json() if "json" in response.headers.get("content-type", "") else None

    for path in ("/access-token", "/user", "/meta", "/organizations", "/builds"):
        await ask("GET", f"/v2{path}")
    for path in ("", "/rate_limit", "/pipelines", "/pipelines/web", "/pipelines/none", "/services"):
        await ask("GET", f"{org}{path}")
    made = await ground.push("buildkite", "web", outcome="test_failure")
    gated = await ground.push("buildkite", "deploy", outcome="pass")
    warned = await ground.push("buildkite", "web", outcome="warnings")
    for _ in range(30):
        ground.wait(4)
        await ask("GET", f"{org}/builds")
        await ask("GET", f"{org}/pipelines/deploy/builds/{gated['number']}")
    builds = f"{org}/pipelines/web/builds"
    build = await ask("GET", f"{builds}/{made['number']}")
    for part in ("jobs", "artifacts", "annotations"):
        await ask("GET", f"{builds}/{made['number']}/{part}")
        await ask("GET", f"{builds}/{warned['number']}/{part}")
    suite = "/v2/analytics/organizations/demo"
    await ask("GET", f"{suite}/builds/{build['id']}/tests")
    run = (await ask("GET", f"{suite}/suites/web/runs"))[0]
    await ask("GET", f"{suite}/suites/web/runs/{run['id']}/failed_executions")
    failed = next(job for job in build["jobs"] if job["state"] == "failed")
    for part in ("", "/log", "/artifacts", "/annotations"):
        await ask("GET", f"{org}/jobs/{failed['id']}{part}")
    await ask("GET", f"{org}/jobs/{failed['id']}/log", headers={"Range": "bytes=-10", "Accept": "text/plain"})
    await ask("PUT", f"{org}/jobs/{failed['id']}/retry")
    gates = (await ask("GET", f"{org}/pipelines/deploy/builds/{gated['number']}"))["jobs"]
    gate = next(job for job in gates if job["type"] == "manual")
    await ask("PUT", f"{org}/jobs/{gate['id']}/unblock", json={"fields": {"region": "mars"}})
    await ask("PUT", f"{org}/jobs/{gate['id']}/unblock", json={})
    artifact = (await ask("GET", f"{builds}/12/artifacts"))[0]
    await ask("GET", f"{org}/jobs/{artifact['job_id']}/artifacts/{artifact['id']}/download")
    await ask("POST", builds, json={"commit": "HEAD"})
    fresh = await ask("POST", builds, json={"commit": "HEAD", "branch": "main"})
    await ask("PUT", f"{builds}/{fresh['number']}/cancel")
    await ask("PUT", f"{builds}/12/cancel")
    await ask("PUT", f"{builds}/12/rebuild")
    await ask("PUT", f"{builds}/{made['number']}/retry_failed_jobs", json={"states": "mended"})
    await ask("PUT", f"{builds}/{warned['number']}/retry_failed_jobs")
    await ask("POST", f"{org}/services", json={"provider": "webhook", "settings": {"url": "http://bot.test"}})
    await ask("GET", f"{org}/pipelines", headers={"Authorization": "Bearer no"})
    await ground.control("fault", system="buildkite", kind="429", count=1)
    await ask("GET", f"{org}/pipelines")
    assert len(spec.checked) >= 38
    await ground.client.aclose()
