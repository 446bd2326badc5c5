"""Pre-signed downloads: no token wanted, and none borne; each address is good for a minute."""

import hmac

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from typing_extensions import override

from playground.ci.simulation import Simulation
from playground.ci.system import System, sign


class _Refused(Response):
    """A refusal in the words of object stores."""

    media_type = "application/xml"

    @override
    def render(self, content: object) -> bytes:
        return f"<?xml version='1.0'?><Error><Code>{content}</Code></Error>".encode()


def storage_route(simulation: Simulation, systems: dict[str, System]) -> Route:
    """Return the route that hands out files."""

    async def download(request: Request) -> Response:
        if "authorization" in request.headers or "private-token" in request.headers:
            return _Refused("OnlyOneAuthMechanismAllowed", 400)
        until, signature = request.query_params.get("expires", ""), request.query_params.get("signature", "")
        raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
        path = raw.decode("latin-1").partition("?")[0]
        if not until.isdigit() or not hmac.compare_digest(signature, sign(simulation, path, int(until))):
            return _Refused("SignatureDoesNotMatch", 403)
        if int(until) < simulation.now:
            return _Refused("AccessDenied", 403)
        system = systems.get(request.path_params["system"])
        artifact = system.artifact(request.path_params["uid"]) if system else None
        if artifact is None:
            return _Refused("NoSuchKey", 404)
        return Response(artifact.content, media_type=artifact.mime)

    return Route("/ci/storage/{system}/{uid}/{name:path}", download, methods=["GET"])
