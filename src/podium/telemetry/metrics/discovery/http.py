"""http_sd_configs: target groups from an HTTP server, as JSON. Source: Prometheus' <http_sd_config>, "Writing HTTP service discovery"."""

import re

from podium.telemetry.metrics.configuration.discovery import HttpDiscoveryConfig
from podium.telemetry.metrics.discovery.group_files import read_json
from podium.telemetry.metrics.discovery.groups import META, Sink, TargetGroup
from podium.telemetry.metrics.discovery.refreshing import DiscoveryFailed, Shrinking, refreshing
from podium.telemetry.metrics.outbound.interface import Requester

URL = META + "url"
BODY_BYTES_MAX = 64 * 1024 * 1024
_JSON = re.compile(r'application/json(;\s*charset=("utf-8"|utf-8))?', re.IGNORECASE)


class HttpDiscoverer:
    def __init__(self, config: HttpDiscoveryConfig, requester: Requester) -> None:
        self._config = config
        self._requester = requester
        self._known = Shrinking()

    async def run(self, sink: Sink) -> None:
        try:
            await refreshing(f"http_sd {self._config.url}", self._config.refresh_interval, self.refresh, sink)
        finally:
            await self._requester.aclose()

    async def refresh(self) -> list[TargetGroup]:
        """Raises MetricsError."""
        interval_s = self._config.refresh_interval / 1000
        response = await self._requester.request(
            "GET",
            self._config.url,
            headers={"accept": "application/json", "x-prometheus-refresh-interval-seconds": f"{interval_s:g}"},
            timeout_s=interval_s,
            response_bytes_max=BODY_BYTES_MAX,
        )
        if response.status != 200:
            raise DiscoveryFailed(f"server returned HTTP status {response.status_text}")
        content_type = response.headers.get("content-type", "").strip()
        if not _JSON.fullmatch(content_type):
            raise DiscoveryFailed(f'unsupported content type "{content_type}"')
        return self._known.complete(self._config.url, read_json(response.body, self._config.url, URL))
