"""What of a simulated cluster answers on its network: the API server, and the simulated nodes at one address (`?node=NAME` tells which)."""

from typing import cast

from podium.api.server import ApiServer
from podium.node.fleet import Fleet
from podium.node.kubelet_metrics import UnknownNode
from podium.simulation.errors import Unreachable
from podium.simulation.network import Handler
from podium.world.http_messages import HttpRequest, Response
from podium.world.http_server import Connection

_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)


class _Nowhere:
    """Stands for the connection of a request that came without one."""

    remote_address = "127.0.0.1"
    detached = False


def api_server(server: ApiServer) -> Handler:
    """Everything but streams: those need a connection."""

    async def answer(request: HttpRequest) -> Response:
        if "upgrade" in request.headers or request.query.get("watch", ["false"])[-1] not in ("false", "0"):
            return Response(501, b"a simulated network carries no streams: use a client of the cluster\n", _TEXT)
        request.headers.pop("accept-encoding", None)  # compressing is a thread's work, and saves nothing here
        found = await server.handle(request, cast(Connection, _Nowhere()))
        return found if found is not None else Response(501, b"a simulated network carries no streams\n", _TEXT)

    return answer


def simulated_nodes(fleet: Fleet) -> Handler:
    """Metrics as the kubelet serves them. A node that is cut off, or that is not of this fleet, is not to be reached."""

    async def answer(request: HttpRequest) -> Response:
        fleet.metrics.count_request(request)
        if request.path == "/healthz":
            return Response(200, b"ok", _TEXT)
        if not fleet.metrics.served(request.path):
            return Response(404, b"404 page not found\n", _TEXT)
        try:
            return await fleet.metrics.respond(request)
        except UnknownNode as error:
            raise Unreachable from error

    return answer
