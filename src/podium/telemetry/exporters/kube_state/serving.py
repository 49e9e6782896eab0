"""kube-state-metrics over HTTP: /metrics, and health.

Source: kube-state-metrics pkg/app/server.go.
"""

from podium.telemetry.exporters import serving
from podium.telemetry.exporters.kube_state.exporter import KubeState
from podium.world.http_messages import HttpRequest, Response


def handle(state: KubeState, request: HttpRequest) -> Response:
    match request.path:
        case "/metrics":
            return state.respond(request.headers)
        case "/healthz" | "/livez":
            return serving.text(200, "OK")
        case "/readyz":
            return serving.text(200, "OK") if state.is_synced else serving.text(503, "objects are still being listed")
        case "/":
            return serving.page("Kube metrics", serving.links({"Metrics": "/metrics", "Health": "/healthz"}))
    return serving.text(404, "404 page not found")
