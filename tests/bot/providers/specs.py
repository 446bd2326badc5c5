"""Holds requests (and our payloads) to the vendors' API descriptions, OpenAPI 3.0 or 3.1.

The descriptions are not part of the project: they lie beside it in `shared/specs`, or where BUILDBELL_SPECS says. Where
they are not, the tests run without them and one test says so by skipping.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx
import jsonschema_rs

ROOT = Path(__file__).parents[3]
FOLDER = Path(
    os.environ.get("BUILDBELL_SPECS") or ROOT.parent / "shared" / "specs"  # noqa: TID251 - tests read the environment themselves
)
ABSENT = f"the API descriptions are not there ({FOLDER.name}); set BUILDBELL_SPECS to their folder"
METHODS = {"get", "put", "post", "delete", "patch", "head"}
JSON_TYPES = ("application/json", "application/vnd.api+json", "text/json", "application/json-patch+json")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method at one path of a description."""

    document: "Document"
    template: str
    method: str
    pattern: re.Pattern[str]
    weight: int
    parameters: Sequence[Mapping[str, Any]]
    body: Mapping[str, Any]
    answers: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Document:
    """One description, its schemas made plain JSON Schema."""

    file: Path
    whole: Mapping[str, Any]
    is_31: bool
    validators: dict[str, Any] = field(default_factory=dict)

    def follow(self, part: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a `$ref` points at."""
        seen = 0
        while "$ref" in part and seen < 20:
            at: Any = self.whole
            for step in part["$ref"].removeprefix("#/").split("/"):
                at = at[unquote(step).replace("~1", "/").replace("~0", "~")]
            part, seen = at, seen + 1
        return part

    def annotations(self, schema: Mapping[str, Any], value: object, at: str) -> list[str]:
        """What is wrong with a value, at most five sentences."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self.validators:
            kind = jsonschema_rs.Draft202012Validator if self.is_31 else jsonschema_rs.Draft4Validator
            self.validators[key] = kind({**schema, "components": self.whole.get("components", {})})
        return [
            f"  {at}{''.join(f'/{step}' for step in error.instance_path)}: {error.message[:300]}"
            for _, error in zip(range(5), self.validators[key].iter_errors(value), strict=False)
        ]


@cache
def documents(kind: str) -> tuple[Document, ...]:
    """The descriptions of a CI system: `<kind>.openapi.json` and its variants `<kind>_*.openapi.json`."""
    found = []
    for file in sorted(FOLDER.glob(f"{kind}*.openapi.json")):
        name = file.name.removesuffix(".openapi.json")
        if name == kind or name.startswith(f"{kind}_"):
            whole = json.loads(file.read_bytes())
            is_31 = str(whole["openapi"]).startswith("3.1")
            found.append(Document(file, whole if is_31 else _without_nullable(whole), is_31))
    return tuple(found)


@cache
def operations(kind: str) -> tuple[Operation, ...]:
    """Every operation of a CI system's descriptions."""
    return tuple(one for document in documents(kind) for one in _operations(document))


def _operations(document: Document) -> Iterator[Operation]:
    for template, item in document.whole["paths"].items():
        for method in METHODS & item.keys():
            about = item[method]
            servers = about.get("servers") or item.get("servers") or document.whole.get("servers") or [{"url": ""}]
            common = {(one["name"], one["in"]): one for one in map(document.follow, item.get("parameters", ()))}
            own = {(one["name"], one["in"]): one for one in map(document.follow, about.get("parameters", ()))}
            for server in servers:
                path = _server_path(server["url"]) + re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template))
                yield Operation(
                    document=document,
                    template=template,
                    method=method,
                    pattern=re.compile(rf"{path}/?"),
                    weight=len(re.sub(r"\{[^}]*\}", "", template)),
                    parameters=tuple({**common, **own}.values()),
                    body=document.follow(about.get("requestBody", {})),
                    answers=about.get("responses", {}),
                )


def _server_path(url: str) -> str:
    if url.startswith("{"):
        return "(?:/[^/]+)*?"  # the whole root is the operator's
    path = re.sub(r"^https?://[^/]*", "", url).rstrip("/")
    return re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Specs:
    """One CI system's descriptions and what is allowed besides them (each with its reason)."""

    kind: str
    unlisted: Mapping[str, str] = field(default_factory=dict)
    undeclared: Mapping[str, str] = field(default_factory=dict)
    spec_path: Callable[[str], str] = str
    check_answers: bool = True

    @property
    def there(self) -> bool:
        return bool(documents(self.kind))

    def operation_of(self, request: httpx.Request) -> Operation | None:
        """The operation a request asks for: the most literal path that fits."""
        path = self._path(request)
        fitting = [
            one for one in operations(self.kind) if one.method == request.method.lower() and one.pattern.fullmatch(path)
        ]
        return max(fitting, key=lambda one: one.weight, default=None)

    def faults_of(self, request: httpx.Request) -> list[str]:
        """What the description does not have: the path, a query parameter, its value, or the body."""
        if not self.there:
            return []
        operation = self.operation_of(request)
        if operation is None:
            path = self._path(request)
            if any(fits(template, path) for template in self.unlisted):
                return []
            return [f"  no {request.method} {path} in {', '.join(one.file.name for one in documents(self.kind))}"]
        return [*self._query_faults(operation, request), *_body_faults(operation, request)]

    def faults_of_answer(self, request: httpx.Request, status: int, body: object) -> list[str]:
        """What is wrong with our payload's body by the description; nothing where it has no schema for it."""
        operation = self.operation_of(request) if self.there and self.check_answers else None
        if operation is None or status >= 400:
            return []
        answer = operation.answers.get(str(status)) or operation.answers.get("default")
        schema = _json_schema(operation.document.follow(answer or {}))
        return operation.document.annotations(schema, body, "body") if schema else []

    def _path(self, request: httpx.Request) -> str:
        return self.spec_path(request.url.raw_path.decode().partition("?")[0])

    def _query_faults(self, operation: Operation, request: httpx.Request) -> list[str]:
        declared = {one["name"]: one for one in operation.parameters if one["in"] == "query"}
        given: dict[str, list[str]] = {}
        for name, value in parse_qsl(request.url.query.decode(), keep_blank_values=True):
            given.setdefault(name, []).append(value)
        faults = [
            f"  query parameter {name} is required"
            for name, one in declared.items()
            if one.get("required") and name not in given
        ]
        for name, values in given.items():
            if name in self.undeclared:
                continue
            parameter = declared.get(name) or _deep(declared, name)
            if parameter is not None:
                faults += _value_faults(operation.document, parameter, name, values)
            else:
                faults.append(f"  query parameter {name} is not declared (there are: {', '.join(sorted(declared))})")
        return faults


def _deep(declared: Mapping[str, Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    """An object's member, `meta[key]`: the parameter stands under its first word; its value is not checked."""
    parameter = declared.get(name.partition("[")[0])
    return {"name": name, "schema": {}} if parameter is not None and name.endswith("]") else None


def _value_faults(document: Document, parameter: Mapping[str, Any], name: str, values: list[str]) -> list[str]:
    schema = document.follow(parameter.get("schema", {}))
    if "array" in _types(schema):
        if parameter.get("explode") is False or (len(values) == 1 and "," in values[0]):
            values = [part for value in values for part in value.split(",")]
        item = document.follow(schema.get("items", {}))
        return document.annotations(schema, [_typed(item, value) for value in values], f"query {name}")
    if len(values) > 1:
        return [f"  query parameter {name} is given {len(values)} times and takes one value"]
    return document.annotations(schema, _typed(schema, values[0]), f"query {name}")


def _types(schema: Mapping[str, Any]) -> list[str]:
    named = schema.get("type", [])
    return [named] if isinstance(named, str) else list(named)


def _typed(schema: Mapping[str, Any], value: str) -> object:
    types = _types(schema)
    if "integer" in types and re.fullmatch(r"-?\d+", value):
        return int(value)
    if "number" in types and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value)
    if "boolean" in types and value in {"true", "false"}:
        return value == "true"
    return value


def _body_faults(operation: Operation, request: httpx.Request) -> list[str]:
    if not request.content:
        return ["  a body is required"] if operation.body.get("required") else []
    sent = request.headers.get("content-type", "").partition(";")[0]
    content = operation.body.get("content", {})
    if not operation.body:
        return [] if request.content == b"{}" else ["  a body is sent and none is described"]
    if content and sent not in content and "*/*" not in content:
        return [f"  the body is {sent}; described is {', '.join(content)}"]
    schema = _json_schema(operation.body)
    if schema is None or not sent.endswith("json"):
        return []
    return operation.document.annotations(schema, json.loads(request.content), "body")


def _json_schema(part: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for kind, about in part.get("content", {}).items():
        if kind.partition(";")[0] in JSON_TYPES or kind.endswith("+json"):
            schema: Mapping[str, Any] | None = about.get("schema")
            return schema
    return None


def fits(template: str, path: str) -> bool:
    """Whether a path fits a template; a `{name}` takes anything but a slash, `{name*}` slashes too."""
    pattern = re.sub(r"\\\{[^}]*\\\*\\\}", ".+", re.escape(template))
    return re.fullmatch(re.sub(r"\\\{[^}]*\\\}", "[^/]+", pattern), path) is not None


def _without_nullable(part: Any) -> Any:
    """OpenAPI 3.0's `nullable` as JSON Schema says it."""
    if isinstance(part, list):
        return [_without_nullable(one) for one in part]
    if not isinstance(part, dict):
        return part
    plain = {name: _without_nullable(value) for name, value in part.items() if name != "nullable"}
    if part.get("nullable") is not True:
        return plain
    if isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"], "null"]
        if isinstance(plain.get("enum"), list) and None not in plain["enum"]:
            plain["enum"] = [*plain["enum"], None]
        return plain
    return {"anyOf": [plain, {"type": "null"}]} if plain.keys() & {"$ref", "allOf", "oneOf", "anyOf", "enum"} else plain
