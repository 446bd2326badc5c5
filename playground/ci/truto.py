"""A stand-in of Truto: its unified CI/CD API in front of the other local systems, and requests of theirs passed on.

Each of them is an integrated account. What it answers comes from the systems' own APIs, asked with their credentials.
"""

import base64
import binascii
import hmac
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from typing_extensions import override

from playground.ci.model import Build, Pipeline, stamp
from playground.ci.simulation import Simulation
from playground.ci.storage import storage_route
from playground.ci.system import JSON, METHODS, Call, Meter, Refusal, System, WebhookRequest, answer, whole
from playground.ci.truto_model import INTEGRATIONS, Integration, Paging, Resource, filled, unified

PER_WINDOW = 500
WINDOW_SECONDS = 10
PER_PAGE = 50
HOME = "github"
"""The integration of the demo's connection."""
OWN_QUERY = "truto_"
ENVIRONMENT = str(uuid.uuid5(uuid.NAMESPACE_URL, "https://api.truto.one/demo"))
REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    429: "Too Many Requests",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    """An integrated account: a connection to one system."""

    id: str
    integration: Integration
    system: System


class Truto(System):
    """Truto, in front of other systems."""

    name = "truto"
    label = "Truto"
    connection = "demo-truto"

    def __init__(self, simulation: Simulation, behind: Mapping[str, System]) -> None:
        super().__init__(simulation)
        self.token = self.secret("token")
        self._meter = Meter(round(PER_WINDOW * simulation.quota), WINDOW_SECONDS)
        self._hooks: list[JSON] = []
        accounts = [
            _Account(id=account_id(name), integration=integration, system=behind[integration.system])
            for name, integration in INTEGRATIONS.items()
        ]
        self._accounts = {account.id: account for account in accounts}
        mounts: list[BaseRoute] = [Mount(account.system.mount, routes=account.system.routes()) for account in accounts]
        inner = Starlette(routes=[storage_route(simulation, dict(behind)), *mounts])
        self._transport = httpx.ASGITransport(inner)

    @override
    def options(self, base: str) -> dict[str, object]:
        repo = self._accounts[account_id(HOME)].system.pipelines[0].repo
        return {
            "kind": "truto",
            "url": f"{base}{self.mount}",
            "token": self.token,
            "integrated_account_id": account_id(HOME),
            "integration": HOME,
            "owner": repo.owner,
            "repo_id": repo.name,
            "webhook_secret": self.webhook_secret,
            "private_network": True,
        }

    @override
    def routes(self) -> list[BaseRoute]:
        api, account, model = self.api, "/integrated-account/{account}", "/unified/ci-cd/{resource}"
        return [
            api("/ping", lambda _call: answer({"pong": True})),
            api("/integrated-account", self._list_accounts),
            api(account, lambda call: answer(self._account_json(self._find(call.at("account"))))),
            api(f"{account}/capabilities", self._capabilities),
            api("/webhook", lambda _call: answer({"result": self._hooks, "next_cursor": None})),
            api("/webhook", self._create_hook, "POST"),
            api(model, self._list),
            api(f"{model}/{{id:path}}", self._get),
            api("/custom/{path:path}", self._pass_on, *METHODS),
            self.other_paths(),
        ]

    # credentials, limits, errors

    @override
    def authenticate(self, call: Call) -> Response | None:
        scheme, _, token = call.header("authorization").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.encode(), self.token.encode()):
            return self.failure(401, "Invalid API token")
        return None

    @override
    def meters(self) -> list[Meter]:
        return [self._meter]

    @override
    def rate_headers(self, now: float) -> dict[str, str]:
        return {
            "ratelimit-limit": f"{self._meter.limit};w={WINDOW_SECONDS}",
            "ratelimit-remaining": str(self._meter.left()),
            "ratelimit-reset": str(self._meter.reset_in(now)),
        }

    @override
    def failure(self, status: int, message: str) -> Response:
        return answer({"statusCode": status, "error": REASONS.get(status, "Error"), "message": message}, status)

    def _refuse(self, status: int, message: str, **more: object) -> Refusal:
        body = {"statusCode": status, "error": REASONS.get(status, "Error"), "message": message, **more}
        return Refusal(answer(body, status))

    def _remote_refusal(self, reply: httpx.Response) -> Refusal:
        """Return what a system behind refused, marked as its refusal."""
        try:
            raw: object = reply.json()
        except ValueError:
            raw = reply.text
        response = self._refuse(reply.status_code, _message(raw), truto_is_remote_error=True, raw_response=raw).response
        response.headers.update({name: reply.headers[name] for name in ("retry-after",) if name in reply.headers})
        return Refusal(response)

    # accounts

    def _find(self, key: str) -> _Account:
        if key not in self._accounts:
            raise self._refuse(404, "Integrated account not found")
        return self._accounts[key]

    def _account_of(self, call: Call) -> _Account:
        key = call.query.get("integrated_account_id")
        if not key:
            raise self._refuse(400, "integrated_account_id is required")
        return self._find(key)

    def _account_json(self, account: _Account) -> JSON:
        return {
            "id": account.id,
            "tenant_id": "acme",
            "environment_id": ENVIRONMENT,
            "status": "active",
            "is_sandbox": False,
            "is_blocked": False,
            "integration": {"name": account.integration.name, "label": account.integration.label, "category": "ci-cd"},
        }

    def _list_accounts(self, _call: Call) -> Response:
        accounts = [self._account_json(account) for account in self._accounts.values()]
        return answer({"result": accounts, "next_cursor": None, "limit": PER_PAGE})

    def _capabilities(self, call: Call) -> Response:
        account = self._find(call.at("account"))
        offered = [
            {"model": "ci-cd", "resource": name, "methods": resource.methods}
            for name, resource in account.integration.resources.items()
        ]
        return answer({"unified": offered, "proxy": []})

    # the unified model

    def _resource(self, call: Call, account: _Account, method: str) -> Resource:
        resource = account.integration.resources.get(call.at("resource"))
        if resource is None or method not in resource.methods:
            message = f"{call.at('resource')} of {account.integration.label} has no method {method}"
            raise self._refuse(404, message)
        return resource

    async def _parameters(self, call: Call, account: _Account, path: str, required: tuple[str, ...]) -> dict[str, str]:
        """Return the values that a path needs. Refuses with 400 what is missing."""
        values = {name: value for name, value in call.query.items() if not name.startswith(OWN_QUERY)}
        missing = [name for name in required if not values.get(name)]
        if missing:
            insight = {"missing_required_query_parameters": missing}
            raise self._refuse(400, f"{', '.join(missing)} required", truto_error_insight=insight)
        if "{workflow_of_build}" in path:
            flows = (await self._ask(call, account, f"pipeline/{values['build_id']}/workflow")).json()["items"]
            values["workflow_of_build"] = flows[0]["id"] if flows else ""
        return values

    async def _list(self, call: Call) -> Response:
        account = self._account_of(call)
        resource = self._resource(call, account, "list")
        values = await self._parameters(call, account, resource.list_path, resource.required)
        if "{workflow_of_build}" in resource.list_path and not values["workflow_of_build"]:
            return self._page(call, [], None)
        size = whole(call.query.get("limit"), PER_PAGE, most=100)
        cursor = _uncovered(call.query.get("next_cursor"))
        remote = {
            name.removeprefix("remote_query[").removesuffix("]"): value
            for name, value in values.items()
            if name.startswith("remote_query[")
        }
        paging = _paging(account.integration, size, cursor)
        try:
            path = filled(resource.list_path, values)
        except KeyError as exc:
            raise self._refuse(400, f"{exc.args[0]} required") from exc
        reply = await self._ask(call, account, path, query={**resource.query, **remote, **paging})
        content = reply.json()
        items: list[JSON] = content.get(resource.list_member) or [] if resource.list_member else content
        if resource.only is not None:
            member, value = resource.only
            items = [item for item in items if item.get(member) == value]
        following = _following(account.integration.paging, reply, len(items) >= size, cursor)
        if call.query.get("truto_response_format") == "raw":
            return answer(items)
        return self._page(call, [self._unified(call, resource, item) for item in items], following)

    def _unified(self, call: Call, resource: Resource, raw: JSON) -> JSON:
        with_remote_data = call.query.get("truto_ignore_remote_data") != "true"
        made = unified(resource, raw, with_remote_data=with_remote_data)
        return {name: value for name, value in made.items() if name not in call.all("truto_exclude_fields[]")}

    def _page(self, call: Call, items: list[JSON], following: str | None) -> Response:
        for name in ("status", "conclusion"):
            wanted = call.query.get(name)
            items = [item for item in items if wanted in {None, item.get(name)}]
        key = call.query.get("truto_key_by")
        result: object = {str(item.get(key)): item for item in items} if key else items
        covered = _covered(following) if following else None
        return answer({"result": result, "next_cursor": covered, "prev_cursor": None, "result_count": len(items)})

    async def _get(self, call: Call) -> Response:
        account = self._account_of(call)
        resource = self._resource(call, account, "get")
        required = tuple(name for name in resource.required if f"{{{name}}}" in resource.get_path)
        values = await self._parameters(call, account, resource.get_path, required)
        path = filled(resource.get_path, {**values, "id": call.at("id")})
        query = {name: value for name, value in resource.query.items() if name == "api-version"}
        reply = await self._ask(call, account, path, query=query)
        return answer(self._unified(call, resource, reply.json()))

    # the systems behind

    def _credentials(self, account: _Account) -> dict[str, str]:
        options = account.system.options("")
        token = str(options["token"])
        basic = f"{options.get('email', '')}:{token}"
        basic_header = {"Authorization": f"Basic {base64.b64encode(basic.encode()).decode()}"}
        return {
            "github": {"Authorization": f"Bearer {token}"},
            "circleci": {"Authorization": f"Bearer {token}"},
            "travis_ci": {"Authorization": f"token {token}", "Travis-API-Version": "3"},
        }.get(account.integration.name, basic_header)

    async def _send(
        self, call: Call, account: _Account, path: str, query: list[tuple[str, str]], method: str, body: bytes
    ) -> httpx.Response:
        """Return what a system behind answers to a request with its own credentials."""
        headers = {"User-Agent": "truto", "Accept": call.header("accept") or "*/*", **self._credentials(account)}
        if body:
            headers["Content-Type"] = "application/json"
        url = f"{call.origin}{account.system.mount}{account.integration.base}/{path}"
        async with httpx.AsyncClient(transport=self._transport, follow_redirects=True, trust_env=False) as client:
            return await client.request(
                method, url, params=urlencode(query) or None, headers=headers, content=body or None
            )

    async def _ask(
        self, call: Call, account: _Account, path: str, *, query: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Return the answer to a read. Refuses as the system behind does."""
        reply = await self._send(call, account, path, list((query or {}).items()), "GET", b"")
        if not reply.is_success or "json" not in reply.headers.get("content-type", ""):
            raise self._remote_refusal(reply)
        return reply

    async def _pass_on(self, call: Call) -> Response:
        account = self._account_of(call)
        path = call.raw_path.partition("/custom/")[2]
        query = [
            (name, value)
            for name, value in call.request.query_params.multi_items()
            if name != "integrated_account_id" and not name.startswith(OWN_QUERY)
        ]
        reply = await self._send(call, account, path, query, call.request.method, call.body)
        if not reply.is_success:
            raise self._remote_refusal(reply)
        kind = reply.headers.get("content-type", "application/octet-stream")
        return Response(reply.content, reply.status_code, headers={"Content-Type": kind})

    # pages and webhooks

    @override
    def web_path(self, build: Build) -> str:
        return "/"

    @override
    def pipeline_web_path(self, pipeline: Pipeline) -> str:
        return "/"

    def _create_hook(self, call: Call) -> Response:
        body = self.body(call)
        if not body.get("target_url"):
            raise self._refuse(400, "target_url is required")
        key = str(uuid.uuid5(uuid.UUID(ENVIRONMENT), f"webhook/{len(self._hooks)}"))
        hook: JSON = {
            "id": key,
            "environment_id": ENVIRONMENT,
            "target_url": body["target_url"],
            "event_types": body.get("event_types") or ["record:*"],
            "is_active": body.get("is_active", True),
        }
        self._hooks.append(hook)
        return answer({**hook, "secret": self.webhook_secret}, 201)

    @override
    def hears_of(self, build: Build) -> bool:
        return build.pipeline.system == INTEGRATIONS[HOME].system

    @override
    def webhooks(self, event: str, build: Build) -> list[WebhookRequest]:
        if event not in {"created", "started", "waiting", "reopened", "finished"}:
            return []
        body = json.dumps(
            {
                "id": str(uuid.uuid5(uuid.UUID(build.uid), f"record/{event}/{build.attempt}/{build.updated_at}")),
                "event": "record:created" if event == "created" else "record:updated",
                "payload": {"integrated_account_id": account_id(HOME), "resource": "ci-cd/builds", "id": str(build.id)},
                "environment_id": ENVIRONMENT,
                "webhook_id": str(uuid.uuid5(uuid.UUID(ENVIRONMENT), "webhook")),
                "created_at": stamp(build.updated_at),
            }
        ).encode()
        signature = hmac.new(self.webhook_secret.encode(), body, "sha256").hexdigest()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "truto",
            "X-Truto-Signature": f"format=sha256,v={signature}",
        }
        return [WebhookRequest(headers=headers, body=body)]


def _message(raw: object) -> str:
    """Return what a system says of its refusal, wherever its body has the words."""
    body = raw if isinstance(raw, dict) else {}
    error = body.get("error")
    words = (
        body.get("message") or body.get("error_message") or (error.get("message") if isinstance(error, dict) else "")
    )
    return str(words or "The integration refused the request")


def account_id(integration: str) -> str:
    """Return the id of the integrated account that is connected to a system."""
    return str(uuid.uuid5(uuid.UUID(ENVIRONMENT), integration))


def _covered(cursor: str) -> str:
    return base64.urlsafe_b64encode(cursor.encode()).decode()


def _uncovered(cursor: str | None) -> str:
    try:
        return base64.urlsafe_b64decode((cursor or "").encode()).decode()
    except (ValueError, binascii.Error):
        return ""


def _paging(integration: Integration, size: int, cursor: str) -> dict[str, str]:
    """Return what asks a system for a page; `cursor` is what its last page led to, empty for the first one."""
    parameters = {integration.size_name: str(size)} if integration.size_name else {}
    match integration.paging:
        case Paging.PAGE:
            return {**parameters, "page": cursor or "1"}
        case Paging.OFFSET:
            return {**parameters, "offset": cursor or "0"}
        case Paging.TOKEN:
            return {**parameters, **({"page-token": cursor} if cursor else {})}
        case Paging.HEADER:
            return {**parameters, **({"continuationToken": cursor} if cursor else {})}


def _following(paging: Paging, reply: httpx.Response, is_full: bool, cursor: str) -> str | None:  # noqa: FBT001
    """Return where a system's list goes on, None after its last page."""
    match paging:
        case Paging.PAGE:
            return str(int(cursor or 1) + 1) if is_full else None
        case Paging.OFFSET:
            pages: Any = reply.json().get("@pagination") or {}
            following = pages.get("next")
            return str(following["offset"]) if following else None
        case Paging.TOKEN:
            token = reply.json().get("next_page_token")
            return str(token) if token else None
        case Paging.HEADER:
            return str(reply.headers.get("x-ms-continuationtoken") or "") or None
