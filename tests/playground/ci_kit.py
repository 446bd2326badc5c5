"""What the tests of the playground's CI systems share: a world on a hand-wound clock, a client, the API descriptions."""

import json
import os
import re
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from playground.ci import LocalCi, ci_app
from playground.clock import Clock

BASE = "http://ci.test"
EPOCH = 1_780_000_000.0
SPECS = Path(os.environ.get("BUILDBELL_SPECS") or Path(__file__).parents[3] / "shared" / "specs")  # noqa: TID251


class SteadyTime:
    """Seconds that pass only when told."""

    def __init__(self) -> None:
        self.at = EPOCH

    def __call__(self) -> float:
        return self.at


class Playground:
    """A world, its clock, and a client of its app."""

    def __init__(self, seed: int = 7, quota: float = 1000.0) -> None:
        self.clock = SteadyTime()
        self.world = LocalCi(seed, clock=Clock(self.clock), quota=quota)
        self.options = self.world.connections(BASE)
        self.app = ci_app(self.world)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=BASE)

    def wait(self, seconds: float) -> None:
        self.clock.at += seconds
        self.world.settle()

    async def push(self, system: str, pipeline: str, **more: Any) -> dict[str, Any]:
        response = await self.client.post("/control/push", json={"system": system, "pipeline": pipeline, **more})
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made

    async def control(self, verb: str, **body: Any) -> dict[str, Any]:
        response = await self.client.post(f"/control/{verb}", json=body)
        assert response.status_code == 200, response.text
        made: dict[str, Any] = response.json()
        return made


class Spec:
    """An API description; `check` holds an answer to it."""

    def __init__(self, kind: str) -> None:
        path = SPECS / f"{kind}.openapi.json"
        if not path.exists():
            pytest.skip(f"no API descriptions at {SPECS}")
        self._document = _plain(json.loads(path.read_text()))
        self._paths = sorted(
            (
                (re.compile("^" + re.sub(r"\\\{[^}]+\\\}", "([^/]+)", re.escape(path)) + "$"), path)
                for path in self._document["paths"]
            ),
            key=lambda pair: pair[1].count("{"),
        )
        self.checked: set[tuple[str, str, int]] = set()

    def check(self, mount: str, response: httpx.Response) -> None:
        path = response.request.url.raw_path.decode().partition("?")[0].removeprefix(mount)
        found = next((template for pattern, template in self._paths if pattern.match(path)), None)
        assert found is not None, f"{path} is not in the description"
        operation = self._document["paths"][found][response.request.method.lower()]
        described = operation["responses"].get(str(response.status_code))
        assert described is not None, f"{response.request.method} {found} does not answer {response.status_code}"
        content = described.get("content") or {}
        schema = (content.get("application/json") or {}).get("schema")
        self.checked.add((response.request.method, found, response.status_code))
        if schema is None or "json" not in response.headers.get("content-type", ""):
            return
        validator = jsonschema_rs.validator_for({**schema, "components": self._document["components"]})
        faults = [f"{error.instance_path}: {error.message}" for error in validator.iter_errors(response.json())]
        assert not faults, f"{response.request.method} {found}: {faults[:3]}"


def _plain(node: Any) -> Any:
    """Return an OpenAPI 3.0 document with `nullable` written as JSON Schema writes it, references followed by it."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _plain(value) for key, value in node.items()}
    if made.pop("nullable", False) is True:
        kind = made.get("type")
        if isinstance(kind, str):
            made["type"] = [kind, "null"]
        if "enum" in made and None not in made["enum"]:
            made["enum"] = [*made["enum"], None]
        if "allOf" in made:
            made = {"anyOf": [made, {"type": "null"}]}
    return made
