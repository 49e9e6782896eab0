"""`nodes/NAME/proxy/PATH` for what a node agent tells without a pod: metrics, the summary, health. Answers are passed on as they come.

This is how `kubectl get --raw` and a Prometheus without access to the nodes' own ports read them. Logs and commands have resources of their own.

Source: k8s.io/kubernetes pkg/registry/core/node/rest/proxy.go, pkg/registry/core/node/strategy.go (ResourceLocation).
"""

from urllib.parse import quote, urlencode

from podium.api.request import Request
from podium.objects.status import BadRequest, MethodNotAllowed
from podium.world.http_client import HttpClient
from podium.world.http_messages import HttpRequest, Response

PATHS = ("healthz", "metrics", "stats/summary")
_PASSED_ON = ("accept", "accept-encoding")
_PASSED_BACK = ("content-type", "content-encoding", "vary")


def node_and_port(name: str) -> tuple[str, str]:
    """`NAME`, `NAME:PORT` or `https:NAME:PORT`; the port is empty when it is not given. Raises BadRequest."""
    parts = name.split(":")
    if len(parts) == 3 and parts[0] in ("https", ""):
        return parts[1], parts[2]
    if len(parts) > 2:
        raise BadRequest(f"invalid node request {name!r}")
    return parts[0], parts[1] if len(parts) == 2 else ""


def node_path(request: Request, http: HttpRequest) -> str:
    """What is asked of the node. Raises MethodNotAllowed for what is not passed on."""
    path = http.path.partition(f"/nodes/{request.name}/proxy")[2].strip("/")
    if http.method not in ("GET", "HEAD"):
        raise MethodNotAllowed("Podium passes only GET on to nodes")
    if path not in PATHS and not path.startswith("metrics/"):
        raise MethodNotAllowed(f"Podium passes only {', '.join(PATHS)} on to nodes, not {path or '/'!r}")
    return path


async def fetch(client: HttpClient, node: str, path: str, http: HttpRequest) -> Response:
    """Raises ConnectionError."""
    headers = {name: http.headers[name] for name in _PASSED_ON if name in http.headers}
    query = urlencode({**{name: values[-1] for name, values in http.query.items() if name != "node"}, "node": node})
    answer = await client.request("GET", f"/{quote(path)}?{query}", headers=headers)
    back = tuple((name.encode(), answer.headers[name].encode("latin-1")) for name in _PASSED_BACK if name in answer.headers)
    return Response(answer.status, answer.body, back)
