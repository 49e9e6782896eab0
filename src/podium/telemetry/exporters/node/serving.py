"""The node exporter over HTTP: /metrics, with collect[]= for some collectors and exclude[]= for all but some.

Source: node exporter node_exporter.go (ServeHTTP).
"""

from podium.instrument.exposition import respond
from podium.telemetry.exporters import serving
from podium.telemetry.exporters.node.exporter import NodeExporter
from podium.world.http_messages import HttpRequest, Response


async def handle(exporter: NodeExporter, request: HttpRequest) -> Response:
    if request.path == "/":
        return serving.page("Node exporter", serving.links({"Metrics": "/metrics"}))
    if request.path != "/metrics":
        return serving.text(404, "404 page not found")
    wanted, unwanted = request.query.get("collect[]", []), request.query.get("exclude[]", [])
    if wanted and unwanted:
        return serving.text(400, "collect[] and exclude[] cannot be used together")
    unknown = [name for name in (*wanted, *unwanted) if name not in exporter.collectors]
    if unknown:
        return serving.text(400, f"Couldn't create filtered metrics handler: missing collector: {unknown[0]}")
    page = await exporter.collect(wanted or [name for name in exporter.collectors if name not in unwanted] if unwanted else wanted)
    return respond(page.families.values(), request.headers)
