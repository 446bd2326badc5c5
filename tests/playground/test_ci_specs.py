"""Holds the stand-ins' answers to the vendors' API descriptions."""

from typing import Any

import httpx
import jwt

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
    approvals = (await ask("GET", f"{org}/pipelines/deploy/builds/{gated['number']}"))["jobs"]
    approval = next(job for job in approvals if job["type"] == "manual")
    await ask("PUT", f"{org}/jobs/{approval['id']}/unblock", json={"fields": {"region": "mars"}})
    await ask("PUT", f"{org}/jobs/{approval['id']}/unblock", json={})
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


async def test_xcode_clouds_answers_fit_its_description() -> None:  # noqa: PLR0915 - a walk through every operation
    spec, ground = Spec("xcode_cloud"), Playground()
    options, now = ground.options["demo-xcode"], int(ground.clock())
    claims = {"iss": options["issuer_id"], "iat": now, "exp": now + 1200, "aud": "appstoreconnect-v1"}
    signed = jwt.encode(claims, str(options["private_key"]), algorithm="ES256", headers={"kid": str(options["key_id"])})
    ground.client.headers["Authorization"] = f"Bearer {signed}"
    mount = "/ci/xcode_cloud"

    async def ask(method: str, path: str, **more: Any) -> Any:
        response = await ground.client.request(method, f"{mount}/v1{path}", **more)
        spec.check(mount, response)
        return response.json()

    runs_include = "workflow,product,sourceBranchOrTag,destinationBranch,pullRequest,builds"
    product = (await ask("GET", "/ciProducts", params={"include": "app,bundleId,primaryRepositories"}))["data"][0]["id"]
    await ask("GET", f"/ciProducts/{product}")
    await ask("GET", "/ciProducts/none")
    await ask("GET", "/apps/6448220113/ciProduct")
    workflows = await ask("GET", f"/ciProducts/{product}/workflows", params={"include": "product,repository"})
    await ask("GET", f"/ciProducts/{product}/additionalRepositories")
    pulls_workflow = next(row for row in workflows["data"] if row["attributes"]["name"] == "Pull Requests")["id"]
    release = next(row for row in workflows["data"] if row["attributes"]["name"] == "Release")["id"]
    await ask("GET", f"/ciWorkflows/{release}", params={"include": "product,repository,xcodeVersion,macOsVersion"})
    await ask(
        "PATCH",
        f"/ciWorkflows/{release}",
        json={"data": {"type": "ciWorkflows", "id": release, "attributes": {"isEnabled": True}}},
    )
    await ask("PATCH", f"/ciWorkflows/{release}", json={"data": {"type": "ciWorkflows", "attributes": {"x": 1}}})
    repository = (
        await ask("GET", f"/ciWorkflows/{release}/repository", params={"include": "scmProvider,defaultBranch"})
    )["data"]["id"]
    for path in ("/scmProviders", "/scmRepositories", f"/ciProducts/{product}/primaryRepositories"):
        await ask("GET", path)
    await ask("GET", f"/scmRepositories/{repository}")
    reference = (await ask("GET", f"/scmRepositories/{repository}/gitReferences", params={"include": "repository"}))[
        "data"
    ][1]["id"]
    pull = (await ask("GET", f"/scmRepositories/{repository}/pullRequests"))["data"][0]["id"]
    await ask("GET", f"/scmGitReferences/{reference}")
    await ask("GET", f"/scmPullRequests/{pull}")
    await ask("GET", "/ciBuildRuns/none")

    def body(**points: tuple[str, str]) -> dict[str, Any]:
        relations = {name: {"data": {"type": kind, "id": key}} for name, (kind, key) in points.items()}
        return {"data": {"type": "ciBuildRuns", "relationships": relations}}

    await ask("POST", "/ciBuildRuns", json={})
    await ask("POST", "/ciBuildRuns", json=body(workflow=("ciWorkflows", release)))
    one = await ask(
        "POST",
        "/ciBuildRuns",
        json=body(workflow=("ciWorkflows", release), sourceBranchOrTag=("scmGitReferences", reference)),
    )
    other = await ask(
        "POST",
        "/ciBuildRuns",
        json=body(workflow=("ciWorkflows", pulls_workflow), pullRequest=("scmPullRequests", pull)),
    )
    await ground.control("outcome", system="xcode_cloud", build=one["data"]["id"], outcome="pass")
    await ground.control("outcome", system="xcode_cloud", build=other["data"]["id"], outcome="test_failure")
    for _ in range(25):
        ground.wait(5)
        path = f"/ciProducts/{product}/buildRuns"
        await ask("GET", path, params={"sort": "-number", "include": runs_include, "limit": 4})
    await ask("GET", f"/ciWorkflows/{release}/buildRuns")
    for run in (one, other):
        key = run["data"]["id"]
        await ask("GET", f"/ciBuildRuns/{key}", params={"include": runs_include})
        await ask("GET", f"/ciBuildRuns/{key}/builds")
        for action in (await ask("GET", f"/ciBuildRuns/{key}/actions", params={"include": "buildRun"}))["data"]:
            path = f"/ciBuildActions/{action['id']}"
            await ask("GET", path)
            await ask("GET", f"{path}/buildRun")
            for part, kind in (("artifacts", "ciArtifacts"), ("issues", "ciIssues"), ("testResults", "ciTestResults")):
                found = (await ask("GET", f"{path}/{part}"))["data"]
                if found:
                    await ask("GET", f"/{kind}/{found[0]['id']}")
    await ask("GET", "/ciProducts", params={"limit": 300})
    await ask("GET", "/ciProducts", headers={"Authorization": "Bearer no"})
    await ground.control("fault", system="xcode_cloud", kind="429", count=1)
    await ask("GET", "/ciProducts")
    assert len(spec.checked) > 35
    await ground.client.aclose()


async def test_gitlabs_answers_fit_its_description() -> None:
    spec, ground = Spec("gitlab"), Playground()
    ground.client.headers["Authorization"] = f"Bearer {ground.options['demo-gitlab']['token']}"
    mount, v4 = "/ci/gitlab", "/api/v4"

    async def ask(method: str, path: str, **more: Any) -> Any:
        response = await ground.client.request(method, f"{mount}{v4}{path}", **more)
        spec.check(mount, response)
        return response.json() if "json" in response.headers.get("content-type", "") else None

    one, other = "/projects/acme%2Fbackend", "/projects/acme%2Fapi-gateway"
    for path in (
        "/personal_access_tokens/self",
        "/version",
        "/metadata",
        "/user",
        "/projects",
        "/groups/acme/projects",
    ):
        await ask("GET", path)
    await ask("GET", "/groups")
    for path in ("", "/repository/branches", "/repository/branches/main", "/repository/tags", "/hooks", "/deployments"):
        await ask("GET", f"{one}{path}")
    await ask("GET", "/projects/999")
    started = await ask("POST", f"{one}/pipeline", json={"ref": "main", "variables": [{"key": "A", "value": "1"}]})
    await ask("POST", f"{one}/pipeline", json={"ref": "nowhere"})
    await ask("POST", f"{one}/pipeline", json={})
    await ask("POST", f"{one}/merge_requests/41/pipelines")
    await ask("GET", f"{one}/merge_requests/41/pipelines")
    failing = await ground.push("gitlab", "backend", outcome="test_failure")
    await ground.push("gitlab", "backend", outcome="warnings")
    await ground.push("gitlab", "api-gateway", outcome="pass")
    for _ in range(24):
        ground.wait(5)
        for project in (one, other):
            latest = (await ask("GET", f"{project}/pipelines"))[0]["id"]
            await ask("GET", f"{project}/pipelines/{latest}")
            await ask("GET", f"{project}/pipelines/{latest}/jobs")
    broken = ground.world.build("gitlab", failing["id"]).id  # type: ignore[union-attr]
    run = f"{one}/pipelines/{broken}"
    for part in ("", "/jobs", "/bridges", "/trigger_jobs", "/variables", "/test_report", "/test_report_summary"):
        await ask("GET", f"{run}{part}")
    await ask("GET", f"{one}/pipelines/{started['id']}/variables")
    await ask("GET", f"{one}/repository/commits/{started['sha']}")
    await ask("GET", f"{one}/repository/commits/{started['sha']}/statuses")
    await ask("GET", f"{one}/pipelines/latest")
    await ask("GET", f"{one}/jobs", params={"scope[]": "failed"})
    failed = (await ask("GET", f"{run}/jobs", params={"scope[]": "failed"}))[0]["id"]
    await ask("GET", f"{one}/jobs/{failed}")
    await ask("GET", f"{one}/jobs/{failed}/trace")
    await ask("POST", f"{one}/jobs/{failed}/retry")
    await ask("POST", f"{run}/cancel")
    ground.wait(5)
    await ask("POST", f"{run}/retry")
    approval = (await ask("GET", f"{other}/jobs", params={"scope[]": "manual"}))[0]["id"]
    await ask("POST", f"{other}/jobs/{approval}/play")
    await ask("POST", f"{other}/jobs/{approval}/cancel")
    schedule = (await ask("GET", f"{one}/pipeline_schedules"))[0]["id"]
    await ask("POST", f"{one}/pipeline_schedules/{schedule}/play")
    await ask("POST", f"{one}/hooks", json={"url": "http://bot.test", "pipeline_events": True})
    await ask("GET", "/user", headers={"Authorization": "Bearer no"})
    await ground.control("fault", system="gitlab", kind="429", count=1)
    await ask("GET", "/projects")
    assert len(spec.checked) > 38
    await ground.client.aclose()


async def test_old_gitlabs_answers_fit_its_description() -> None:
    spec, ground = Spec("gitlab_v3"), Playground()
    ground.client.headers["PRIVATE-TOKEN"] = str(ground.options["demo-gitlab3"]["token"])
    mount, v3 = "/ci/gitlab_v3", "/api/v3"

    async def ask(method: str, path: str, **more: Any) -> Any:
        response = await ground.client.request(method, f"{mount}{v3}{path}", **more)
        spec.check(mount, response)
        return response.json() if "json" in response.headers.get("content-type", "") else None

    project = "/projects/legacy%2Fmonolith"
    for path in ("/version", "/user", "/projects", "/projects/owned", "/projects/visible", "/projects/search/mono"):
        await ask("GET", path)
    for path in (
        "",
        "/repository/branches",
        "/repository/branches/master",
        "/repository/tags",
        "/triggers",
        "/pipelines",
    ):
        await ask("GET", f"{project}{path}")
    started = await ask("POST", f"{project}/pipeline", data={"ref": "master"})
    broken = await ground.push("gitlab_v3", "monolith", outcome="fail")
    for _ in range(15):
        ground.wait(6)
        await ask("GET", f"{project}/builds")
        await ask("GET", f"{project}/pipelines/{started['id']}")
    sha = broken["commit"]
    for part in ("", "/builds", "/statuses"):
        await ask("GET", f"{project}/repository/commits/{sha}{part}")
    builds = await ask("GET", f"{project}/builds", params={"scope": "failed"})
    build = f"{project}/builds/{builds[0]['id']}"
    await ask("GET", build)
    await ask("GET", f"{build}/trace")
    for act in ("retry", "cancel", "erase"):
        await ask("POST", f"{build}/{act}")
    for act in ("retry", "cancel"):
        await ask("POST", f"{project}/pipelines/{started['id']}/{act}")
    token = (await ask("POST", f"{project}/triggers"))["token"]
    await ask("GET", f"{project}/triggers/{token}")
    await ask("POST", f"{project}/trigger/builds", data={"token": token, "ref": "master"})
    assert len(spec.checked) > 25
    await ground.client.aclose()


async def test_github_actions_answers_fit_its_description() -> None:
    spec, ground = Spec("github_actions"), Playground()
    ground.client.headers["Authorization"] = f"Bearer {ground.options['demo-github']['token']}"
    mount, repo = "/ci/github_actions", "/repos/acme/storefront"

    async def ask(method: str, path: str, **more: Any) -> Any:
        response = await ground.client.request(method, f"{mount}{path}", **more)
        spec.check(mount, response)
        return response.json() if "json" in response.headers.get("content-type", "") else None

    for path in ("/branches", "/tags", "/git/matching-refs/heads", "/actions/workflows", "/actions/runs", "/hooks"):
        await ask("GET", f"{repo}{path}")
    await ask("GET", "/orgs/acme/repos")
    workflow = f"{repo}/actions/workflows/deploy.yml"
    for path in ("", "/runs"):
        await ask("GET", f"{workflow}{path}")
    await ask("POST", f"{workflow}/dispatches", json={"ref": "main"})
    body = {"ref": "main", "return_run_details": True}
    gated = (await ask("POST", f"{workflow}/dispatches", json=body))["workflow_run_id"]
    await ground.control("outcome", system="github_actions", build=str(gated), outcome="pass")
    broken = await ground.push("github_actions", "CI", outcome="test_failure", branch="feature/gift-cards")
    for _ in range(20):
        ground.wait(5)
        runs = await ask("GET", f"{repo}/actions/runs", params={"per_page": 3})
        for run in runs["workflow_runs"]:
            await ask("GET", f"{repo}/actions/runs/{run['id']}/jobs")
    number = ground.world.build("github_actions", broken["id"]).id  # type: ignore[union-attr]
    run = f"{repo}/actions/runs/{number}"
    suite = (await ask("GET", run))["check_suite_id"]
    for path in ("/attempts/1", "/attempts/1/jobs", "/artifacts", "/approvals", "/logs"):
        await ask("GET", f"{run}{path}")
    await ask("GET", f"{repo}/check-suites/{suite}/check-runs")
    for job in (await ask("GET", f"{run}/jobs"))["jobs"]:
        await ask("GET", f"{repo}/actions/jobs/{job['id']}")
        if job["conclusion"] != "skipped":
            await ask("GET", f"{repo}/actions/jobs/{job['id']}/logs")
        await ask("GET", f"{repo}/check-runs/{job['id']}")
        await ask("GET", f"{repo}/check-runs/{job['id']}/annotations")
    artifact = (await ask("GET", f"{run}/artifacts"))["artifacts"][0]["id"]
    await ask("GET", f"{repo}/actions/artifacts/{artifact}")
    pending = (await ask("GET", f"{repo}/actions/runs/{gated}/pending_deployments"))[0]["environment"]["id"]
    decision = {"environment_ids": [pending], "state": "approved", "comment": "By hand"}
    await ask("POST", f"{repo}/actions/runs/{gated}/pending_deployments", json=decision)
    await ask("GET", f"{repo}/actions/runs/{gated}/approvals")
    await ask("POST", f"{run}/rerun-failed-jobs")
    await ask("POST", f"{run}/cancel")
    await ask("POST", f"{repo}/hooks", json={"config": {"url": "http://bot.test"}})
    assert len(spec.checked) > 28
    await ground.client.aclose()


async def test_jenkins_answers_fit_its_description() -> None:
    spec, ground = Spec("jenkins"), Playground()
    options = ground.options["demo-jenkins"]
    ground.client.auth = httpx.BasicAuth(str(options["user"]), str(options["token"]))
    mount = "/ci/jenkins"

    async def ask(method: str, path: str, **more: Any) -> httpx.Response:
        response = await ground.client.request(method, f"{mount}{path}", **more)
        spec.check(mount, response)
        return response

    for path in ("/api/json", "/whoAmI/api/json", "/crumbIssuer/api/json", "/computer/api/json", "/rssAll"):
        await ask("GET", path)
    job = "/job/nightly-regression"
    for path in ("/api/json", "/lastBuild/api/json", "/wfapi/runs"):
        await ask("GET", f"{job}{path}")
    location = (await ask("POST", f"{job}/buildWithParameters", data={"SUITE": "full"})).headers["location"]
    item = location.removeprefix(f"http://ci.test{mount}")
    await ask("GET", "/queue/api/json")
    broken = await ground.push("jenkins", "nightly-regression", outcome="test_failure")
    for _ in range(25):
        ground.wait(4)
        await ask("GET", f"{item}api/json")
        await ask("GET", f"{job}/wfapi/runs")
        await ask("GET", f"{job}/lastBuild/api/json")
    build = f"{job}/{broken['number']}"
    for path in ("/api/json", "/wfapi/describe", "/wfapi/artifacts", "/wfapi/pendingInputActions", "/consoleText"):
        await ask("GET", f"{build}{path}")
    for path in ("/testReport/api/json", "/warnings-ng/api/json", "/compiler/all/api/json", "/restart/api/json"):
        await ask("GET", f"{build}{path}")
    node = (await ask("GET", f"{build}/wfapi/describe")).json()["stages"][-1]["id"]
    await ask("GET", f"{build}/execution/node/{node}/wfapi/describe")
    await ask("GET", f"{build}/execution/node/{node}/wfapi/log")
    await ask("GET", f"{build}/logText/progressiveText")
    await ask("POST", f"{build}/replay/rebuild")
    await ask("POST", f"{build}/stop")
    await ask("POST", "/queue/cancelItem", params={"id": "1"})
    await ask("GET", "/job/nothing/api/json")
    assert len(spec.checked) > 25
    await ground.client.aclose()
