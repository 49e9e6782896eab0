"""What an Alertmanager costs: taking alerts, flushing groups, answering, as JSON on one line.

    .venv/bin/python bench/alertmanager_bench.py [ALERTS]

CPU time of one process under a virtual clock, notifications going nowhere: the network is not measured.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from podium.telemetry.metrics.alertmanager.alertmanager import Alertmanager
from podium.telemetry.metrics.alertmanager.api import AlertmanagerApi
from podium.telemetry.metrics.alertmanager.configuration import load
from podium.telemetry.metrics.alertmanager.matchers import parse_matchers
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply, Mail
from podium.telemetry.metrics.alertmanager.silences import Silence
from podium.telemetry.metrics.alertmanager.storage import MemoryStorage
from podium.world import virtual
from podium.world.http_messages import HttpRequest
from podium.world.virtual import VirtualWorld

CONFIG = """
route: {receiver: hook, group_by: [service], group_wait: 30s, group_interval: 5m}
inhibit_rules: [{source_matchers: [severity=critical], target_matchers: [severity=warning], equal: [service]}]
receivers: [{name: hook, webhook_configs: [{url: 'http://nowhere/'}]}]
"""
SILENCES = 200
PER_REQUEST = 64


class Nowhere:
    count = 0

    async def http(self, message: HttpMessage, settings: Mapping[str, Any]) -> HttpReply:
        self.count += 1
        return HttpReply(200, {}, b"")

    async def mail(self, mail: Mail, settings: Mapping[str, Any]) -> None:
        raise NotImplementedError


async def measure(world: VirtualWorld, alerts: int) -> dict[str, float]:
    transport = Nowhere()
    manager = Alertmanager(load(CONFIG), world, transport, MemoryStorage())
    manager.start()

    async def no_reload() -> None:
        pass

    api = AlertmanagerApi(manager, no_reload)
    now = world.clock.now()
    for number in range(SILENCES):
        matchers = parse_matchers(f'instance=~"never-{number}-.*"')
        manager.silences.put(Silence("", matchers, now, now + timedelta(days=1), now, "bench", ""))
    posted = [
        {"labels": {"alertname": f"Alert{n % 50}", "service": f"s{n % 500}", "instance": f"i-{n}", "severity": "critical" if n % 10 else "warning"},
         "annotations": {"summary": f"something about {n}"}, "endsAt": (now + timedelta(days=1)).isoformat()}
        for n in range(alerts)
    ]  # fmt: skip
    bodies = [json.dumps(posted[i : i + PER_REQUEST]).encode() for i in range(0, alerts, PER_REQUEST)]

    async def post_all() -> float:
        before = time.process_time()
        for body in bodies:
            answer = api.handle(HttpRequest("POST", "/api/v2/alerts", "", {}, {}, body, None))
            assert (await answer).status == 200  # type: ignore[misc]
        return time.process_time() - before

    results = {"alerts": float(alerts), "post_us_per_alert": await post_all() / alerts * 1e6}
    before = time.process_time()
    await asyncio.sleep(40)
    results["first_flush_us_per_alert"] = (time.process_time() - before) / alerts * 1e6
    results["notifications"] = float(transport.count)
    results["repost_us_per_alert"] = await post_all() / alerts * 1e6
    before = time.process_time()
    await asyncio.sleep(300)
    results["idle_flush_us_per_alert"] = (time.process_time() - before) / alerts * 1e6
    for name, path in (
        ("get_alerts_ms", "/api/v2/alerts"),
        ("get_groups_ms", "/api/v2/alerts/groups"),
        ("metrics_ms", "/metrics"),
        ("page_ms", "/"),
    ):
        before = time.process_time()
        assert api.handle(HttpRequest("GET", path, "", {}, {}, b"", None)).status == 200  # type: ignore[union-attr]
        results[name] = (time.process_time() - before) * 1e3
    results["max_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    await manager.stop()
    return results


def main() -> None:
    alerts = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    results = virtual.run(lambda world: measure(world, alerts))
    print(json.dumps({"bench": "alertmanager", **{name: round(value, 2) for name, value in results.items()}}))


if __name__ == "__main__":
    main()
