"""What the management API may ask of a server that the cluster's objects configure, and the page at its address."""

from typing import Any

from podium.instrument.exposition import Family
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.server import about
from podium.telemetry.metrics.server.server import MetricsServer

INDEX = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Podium: metrics</title>
<style>body{font:16px/1.5 system-ui;margin:3rem auto;max-width:40rem;color:#1c2330}a{color:#1f5fbf}
code{background:#eef1f6;padding:.1em .3em;border-radius:4px}</style>
<h1>Metrics of this cluster</h1>
<p>Prometheus' HTTP API is at this address: point Grafana or <code>promtool</code> here.</p>
<ul><li><a href="/query">Queries</a>, <a href="/alerts">alerts</a>, <a href="/rules">rules</a>, <a href="/targets">targets</a></li>
<li><a href="/alertmanager/">Alertmanager</a>: silences and groups</li><li><a href="/exporters/node/metrics">This machine</a>, <a
href="/exporters/kube-state/metrics">the cluster's objects</a>, <a href="/metrics">this server</a> as metrics</li></ul></html>"""


class ServerControl:
    """What the management API may ask of a server that objects configure."""

    def __init__(self, server: MetricsServer) -> None:
        self._server = server

    def ready(self) -> bool:
        return True

    async def reload(self) -> None:
        raise ConfigurationError("this server follows the cluster's objects: change those")

    def stop(self) -> None:
        raise ConfigurationError("this server ends with the cluster")

    def configuration(self) -> str:
        return self._server.configuration.printed()

    def flags(self) -> dict[str, str]:
        return about.flags(self._server)

    def runtime(self) -> dict[str, Any]:
        return about.runtime(self._server)

    def self_metrics(self) -> list[Family]:
        return self._server.self_metrics()
