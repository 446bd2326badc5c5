"""The documented CI systems as recording servers, with answers in which each field has a value of its own."""

from typing import Any

from starlette.responses import Response

from playground.ci import LocalCi
from playground.ci.xcode_cloud import XcodeCloud
from tests.e2e import vendor_bodies as bodies
from tests.e2e.recording_server import RecordingServer, Sent

Servers = dict[str, tuple[RecordingServer, dict[str, Any]]]
"""Servers with their connection's options but the `url`, by the connection's name."""
ORG = "/v2/organizations/quay"
FERRY = f"{ORG}/pipelines/ferry"
PROJECT = "/api/v3/projects/31"
REFUSED = {"message": "Validation Failed", "errors": [{"field": "branch", "code": "missing"}]}


def buildkite() -> RecordingServer:
    """Return Buildkite with one build of one pipeline."""
    server = RecordingServer()
    build = bodies.BUILDKITE_BUILD
    earlier = {
        **build,
        "id": "0198f2aa-9999-4222-8333-abcdefabcde9",
        "number": 6,
        "state": "passed",
        "pull_request": {},
    }
    jobs = [bodies.BUILDKITE_JOB]
    running = {
        **build,
        "id": "0198f2aa-8888-4222-8333-abcdefabcde8",
        "number": 8,
        "state": "running",
        "finished_at": None,
        "cancel_reason": None,
    }
    server.on("GET", "/v2/access-token", {"scopes": ["read_builds", "read_pipelines"], "user": {"name": "Kaia"}})
    server.on("GET", f"{ORG}/pipelines", [build["pipeline"]])
    server.on("GET", FERRY, build["pipeline"])
    for path in ("/v2/builds", f"{ORG}/builds", f"{FERRY}/builds"):
        server.on("GET", path, [running, build, earlier])
    server.on("GET", f"{FERRY}/builds/7", build)
    server.on("GET", f"{FERRY}/builds/8", running)
    server.on(
        "GET",
        f"{FERRY}/builds/7/jobs",
        lambda sent: {"items": [*jobs, bodies.BUILDKITE_EARLIER_JOB] if _asks(sent, "include_retried_jobs") else jobs},
    )
    server.on("GET", f"{FERRY}/builds/7/jobs/[^/]+/log", lambda sent: Response(f"log of {sent.path.split('/')[-2]}\n"))
    server.on("GET", f"{FERRY}/builds/7/annotations", [])
    server.on("PUT", f"{FERRY}/builds/8/cancel", (422, {"message": "The tide is out: it could not be canceled"}))
    server.on(
        "POST", f"{FERRY}/builds", lambda sent: (422, REFUSED) if sent.json["branch"] == "sunk" else (201, running)
    )
    return server


def old_gitlab() -> RecordingServer:
    """Return a GitLab of before 9.0 with one project."""
    server = RecordingServer()
    project = {"id": 31, "path_with_namespace": "quay/ferry", "name": "ferry", "default_branch": "harbour"}
    build = bodies.OLD_BUILD
    bare = {**build, "id": 30, "artifacts_file": None, "tag": True, "ref": "v2.0", "runner": None, "started_at": None}
    running = {**build, "id": 32, "status": "running", "finished_at": None}
    server.on("GET", "/api/v3/projects", [project])
    server.on("GET", "/api/v3/projects/(31|quay/ferry)", project)
    server.on("GET", f"{PROJECT}/builds", [running, build, bare])
    for each in (build, bare, running):
        server.on("GET", f"{PROJECT}/builds/{each['id']}", each)
    server.on("GET", f"{PROJECT}/builds/31/artifacts", Response(b"PK", media_type="application/zip"))
    server.on("POST", f"{PROJECT}/builds/32/cancel", {**running, "status": "canceled"})
    server.on("POST", f"{PROJECT}/builds/31/erase", {**build, "artifacts_file": None, "download_url": None})
    return server


def truto() -> RecordingServer:
    """Return Truto with one account; of the unified model it has builds alone."""
    server = RecordingServer()
    build = bodies.TRUTO_BUILD
    pages = {
        "": {"result": [build], "next_cursor": "two"},
        "two": {"result": [{**build, "id": "900000", "number": 76}]},
    }
    server.on("GET", "/unified/ci-cd/builds", lambda sent: pages[dict(sent.query).get("next_cursor", "")])
    server.on("GET", "/unified/ci-cd/builds/900001", build)
    return server


def xcode_cloud() -> RecordingServer:
    """Return App Store Connect with one run of one workflow, which may not be started."""
    server = RecordingServer()
    run, included = bodies.XCODE_RUN, bodies.XCODE_INCLUDED
    workflow = {**included[0], "relationships": {"product": {"data": {"type": "ciProducts", "id": "product-1"}}}}
    server.on("GET", "/v1/ciProducts", {"data": [included[1]], "links": {"self": ""}})
    server.on("GET", "/v1/ciProducts/product-1/workflows", {"data": [workflow], "links": {"self": ""}})
    server.on("GET", "/v1/ciWorkflows/wf-1", {"data": workflow, "included": included, "links": {"self": ""}})
    for path in ("/v1/ciWorkflows/wf-1/buildRuns", "/v1/ciProducts/product-1/buildRuns"):
        server.on("GET", path, {"data": [run], "included": included, "links": {"self": ""}})
    server.on("GET", f"/v1/ciBuildRuns/{run['id']}", {"data": run, "included": included, "links": {"self": ""}})
    return server


def _asks(sent: Sent, name: str) -> bool:
    return dict(sent.query).get(name) == "true"


TRUTO_NEEDS: dict[str, dict[str, str]] = {
    "azure_devops": {"workspace_id": "quay"},
    "bitbucket": {"workspace_id": "quay", "repo": "ferry"},
    "circleci": {"repo_id": "gh/quay/ferry"},
    "github": {"owner": "quay", "repo_id": "ferry"},
    "jenkins": {"workflow_id": "quay/ferry"},
    "travis_ci": {"repo_id": "quay/ferry"},
}
"""What the document says that each system behind Truto requires."""


def apple_options(*, individual: bool = False) -> dict[str, Any]:
    """Return a connection with a team's key, or with a person's own."""
    system = LocalCi(seed=11).systems["xcode_cloud"]
    assert isinstance(system, XcodeCloud)
    options = system.individual_options("") if individual else system.options("")
    return {name: value for name, value in options.items() if name not in {"url", "webhook_secret"}}


def every_server() -> Servers:
    """Return each server, and one for each system behind Truto."""
    token = {"kind": "truto", "token": "t-tr"}
    servers: Servers = {
        "bk7": (buildkite(), {"kind": "buildkite", "organization": "quay", "token": "t-bk"}),
        "old7": (old_gitlab(), {"kind": "gitlab", "api_version": "v3", "token": "t-gl"}),
        "tr7": (
            truto(),
            {**token, "integrated_account_id": "account-7", "integration": "github", **TRUTO_NEEDS["github"]},
        ),
        "xc7": (xcode_cloud(), apple_options()),
        "own7": (xcode_cloud(), apple_options(individual=True)),
    }
    for system, needs in TRUTO_NEEDS.items():
        options = {**token, "integrated_account_id": f"account-{system}", "integration": system, **needs}
        servers[f"truto-{system.replace('_', '-')}"] = (truto(), options)
    return servers
