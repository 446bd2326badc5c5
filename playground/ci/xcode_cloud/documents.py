"""JSON:API as Apple writes it: resources, sparse fields, included relations, pages, requests' documents, errors."""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response
from typing_extensions import override

from playground.ci.system import JSON, Call, Refusal, System, answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A JSON:API resource; `related` yields what each relationship points at, one or a list."""

    type: str
    id: str
    attributes: Mapping[str, Any]
    related: Mapping[str, Callable[[], "Resource | list[Resource] | None"]]
    linked: tuple[str, ...] = ()


class AppleDocuments(System):
    """What every resource's handlers need: answers, and refusals in Apple's words."""

    # errors

    def unauthorized(self) -> Response:
        """Return the refusal of a token, whatever is wrong with it: Apple does not tell."""
        return self._error(
            401,
            "NOT_AUTHORIZED",
            "Authentication credentials are missing or invalid.",
            "Provide a properly configured and signed bearer token, and make sure that it has not expired.",
        )

    @override
    def failure(self, status: int, message: str) -> Response:
        if status == 401:
            return self.unauthorized()
        code = {
            400: "PARAMETER_ERROR.INVALID",
            403: "FORBIDDEN_ERROR",
            404: "NOT_FOUND",
            429: "RATE_LIMIT_EXCEEDED",
            500: "UNEXPECTED_ERROR",
        }.get(status, "ENTITY_ERROR")
        return self._error(status, code, message, message)

    def _error(self, status: int, code: str, title: str, detail: str, **source: str) -> Response:
        error: JSON = {
            "id": str(uuid.uuid4()),
            "status": str(status),
            "code": code,
            "title": title,
            "detail": detail,
        }
        if source:
            error["source"] = source
        return answer({"errors": [error]}, status)

    def _refuse(self, status: int, code: str, title: str, detail: str, **source: str) -> Refusal:
        return Refusal(self._error(status, code, title, detail, **source))

    def _missing(self, kind: str, key: str) -> Refusal:
        return self._refuse(
            404,
            "NOT_FOUND",
            "The specified resource does not exist",
            f"There is no resource of type '{kind}' with id '{key}'",
        )

    def _not_allowed(self, kind: str, allowed: str) -> Response:
        return self._error(
            403,
            "FORBIDDEN_ERROR",
            "The given operation is not allowed",
            f"The resource '{kind}' does not allow 'GET_COLLECTION'. Allowed operations are: {allowed}",
        )

    @override
    def unknown_path(self, call: Call) -> Response:
        return self._error(
            404, "PATH_ERROR", "The URL path is not valid", f"The resource '{call.at('rest')}' does not exist"
        )

    def _relation_required(self, name: str) -> Refusal:
        return self._refuse(
            409,
            "ENTITY_ERROR.RELATIONSHIP.REQUIRED",
            "The provided entity is missing a required relationship",
            f"You must provide a value for the relationship '{name}' with this request",
            pointer=f"/data/relationships/{name}",
        )

    def _relation_invalid(self, name: str, detail: str = "") -> Refusal:
        return self._refuse(
            409,
            "ENTITY_ERROR.RELATIONSHIP.INVALID",
            "The provided entity includes a relationship with an invalid value",
            detail or f"The relationship '{name}' points at nothing this key can see",
            pointer=f"/data/relationships/{name}",
        )

    # documents

    def _document(
        self, call: Call, resources: "list[Resource]", includes: Iterable[str]
    ) -> tuple[list[JSON], list[JSON]]:
        allowed = [name for part in includes for name in part.split(",")]
        names = comma(call.query.get("include"))
        for name in names:
            if name not in allowed:
                raise self._refuse(
                    400,
                    "PARAMETER_ERROR.INVALID",
                    "A parameter has an invalid value",
                    f"'{name}' is not a valid relationship name",
                    parameter="include",
                )
        fields = {
            name[len("fields[") : -1]: comma(value)
            for name, value in call.request.query_params.items()
            if name.startswith("fields[")
        }
        for resource in resources[:1]:
            self._check_fields(resource, fields.get(resource.type))
        included: dict[tuple[str, str], JSON] = {}
        data = [self._write(call, resource, names, fields, included) for resource in resources]
        return data, list(included.values())

    def _check_fields(self, resource: Resource, names: Sequence[str] | None) -> None:
        """Refuse a field that a resource does not have."""
        for name in names or ():
            if name not in {*resource.attributes, *resource.related, *resource.linked}:
                raise self._refuse(
                    400,
                    "PARAMETER_ERROR.INVALID",
                    "A parameter has an invalid value",
                    f"'{name}' is not a valid field name",
                    parameter=f"fields[{resource.type}]",
                )

    def _write(
        self,
        call: Call,
        resource: Resource,
        includes: list[str],
        fields: Mapping[str, list[str]],
        included: dict[tuple[str, str], JSON],
    ) -> JSON:
        field_names = fields.get(resource.type)
        own = f"{self.root(call)}/v1/{resource.type}/{resource.id}"
        attributes = {
            name: value
            for name, value in resource.attributes.items()
            if value is not None and (field_names is None or name in field_names)
        }
        made: JSON = {"type": resource.type, "id": resource.id, "attributes": attributes}
        relationships: JSON = {}
        for name in (*resource.related, *resource.linked):
            if field_names is not None and name not in field_names:
                continue
            relation: JSON = {}
            if name in resource.linked:
                relation["links"] = {"self": f"{own}/relationships/{name}", "related": f"{own}/{name}"}
            if name in includes and name in resource.related:
                points = resource.related[name]()
                several = points if isinstance(points, list) else [points] if points else []
                for other in several:
                    included.setdefault((other.type, other.id), {})
                    included[(other.type, other.id)] = self._write(call, other, [], fields, included)
                named = [{"type": other.type, "id": other.id} for other in several]
                if isinstance(points, list):
                    relation["data"] = named
                    relation["meta"] = {"paging": {"total": len(named), "limit": max(len(named), 10)}}
                elif named:
                    relation["data"] = named[0]
            if relation:
                relationships[name] = relation
        if relationships:
            made["relationships"] = relationships
        made["links"] = {"self": own}
        return made

    def _resource(self, call: Call, resource: Resource, *includes: str, status: int = 200) -> Response:
        (data,), included = self._document(call, [resource], includes)
        made: JSON = {"data": data, "links": {"self": call.url}}
        if comma(call.query.get("include")):
            made["included"] = included
        return answer(made, status)

    def _list(self, call: Call, resources: list[Resource], *includes: str) -> Response:
        limit = self._limit(call)
        start = 0
        cursor = call.query.get("cursor")
        if cursor is not None:
            ids = [resource.id for resource in resources]
            if cursor not in ids:
                raise self._refuse(
                    400,
                    "PARAMETER_ERROR.INVALID",
                    "A parameter has an invalid value",
                    "'cursor' is not a valid cursor",
                    parameter="cursor",
                )
            start = ids.index(cursor) + 1
        page = resources[start : start + limit]
        data, included = self._document(call, page, includes)
        links, paging = {"self": str(call.request.url)}, {"total": len(resources), "limit": limit}
        if start + limit < len(resources):
            kept = [(key, value) for key, value in call.request.query_params.multi_items() if key != "cursor"]
            links["next"] = f"{call.url}?{urlencode([*kept, ('cursor', page[-1].id)])}"
            paging["nextCursor"] = page[-1].id  # type: ignore[assignment]
        made: JSON = {"data": data, "links": links, "meta": {"paging": paging}}
        if comma(call.query.get("include")):
            made["included"] = included
        return answer(made)

    def _limit(self, call: Call) -> int:
        text = call.query.get("limit")
        if text is None:
            return 50
        if not text.isdigit() or not 1 <= int(text) <= 200:
            raise self._refuse(
                400,
                "PARAMETER_ERROR.INVALID",
                "A parameter has an invalid value",
                "The limit must be between 1 and 200",
                parameter="limit",
            )
        return int(text)

    # what requests bring

    def _parsed_document(self, call: Call, kind: str) -> tuple[JSON, JSON]:
        """Return the attributes and the relationships' ids that a request's document gives."""
        body = self.body(call)
        data = body.get("data")
        if not isinstance(data, dict):
            raise self._refuse(
                422,
                "ENTITY_UNPROCESSABLE",
                "The entity could not be processed",
                "The document has no data",
                pointer="/data",
            )
        if data.get("type") != kind:
            raise self._refuse(
                409,
                "ENTITY_ERROR.TYPE_MISMATCH",
                "The type does not fit the path",
                f"Expected a resource of type '{kind}'",
                pointer="/data/type",
            )
        attributes, relationships = data.get("attributes") or {}, data.get("relationships") or {}
        ids = {}
        for name, relation in relationships.items():
            pointed = relation.get("data") if isinstance(relation, dict) else None
            if not isinstance(pointed, dict) or not isinstance(pointed.get("id"), str):
                raise self._refuse(
                    409,
                    "ENTITY_ERROR.RELATIONSHIP.INVALID",
                    "The provided entity includes a relationship with an invalid value",
                    f"The relationship '{name}' has no value",
                    pointer=f"/data/relationships/{name}",
                )
            ids[name] = pointed
        return attributes, ids

    def _check_attributes(self, attributes: JSON, allowed: frozenset[str]) -> None:
        for name in attributes:
            if name not in allowed:
                raise self._refuse(
                    409,
                    "ENTITY_ERROR.ATTRIBUTE.UNKNOWN",
                    "The provided entity includes an unknown attribute",
                    f"'{name}' is not an attribute on the resource",
                    pointer=f"/data/attributes/{name}",
                )
        for name, kind in (("isEnabled", bool), ("clean", bool), ("name", str), ("actions", list)):
            if name in attributes and not isinstance(attributes[name], kind):
                raise self._refuse(
                    409,
                    "ENTITY_ERROR.ATTRIBUTE.TYPE",
                    "An attribute in the provided entity has the wrong type",
                    f"'{name}' must be a {kind.__name__}",
                    pointer=f"/data/attributes/{name}",
                )


def comma(text: str | None) -> list[str]:
    """Return the parts of a query's comma-separated value, none where it is absent."""
    return [part for part in (text or "").split(",") if part]
