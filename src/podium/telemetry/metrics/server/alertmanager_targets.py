"""The Alertmanagers of a configuration: discovered, relabelled, told to the notifier.

Source: Prometheus' configuration, <alertmanager_config>.
"""

import asyncio
from collections.abc import Mapping

from podium.telemetry.metrics.configuration.alerting import AlertingConfig, AlertmanagerConfig
from podium.telemetry.metrics.discovery.groups import ADDRESS, Group
from podium.telemetry.metrics.discovery.runner import DiscoveryRunner, Maker
from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.outbound.client import OutboundClient, OutboundMaker
from podium.telemetry.metrics.outbound.interface import OutboundError, Requester
from podium.telemetry.metrics.relabel import Relabeling, RelabelRule
from podium.telemetry.metrics.rules.notifier import Alertmanager, Notifier, Relabel, Send
from podium.world.interface import World
from podium.world.supervisor import Supervisor

ANSWER_BYTES_MAX = 64 * 1024
SCHEME, PATH = "__scheme__", "__alerts_path__"


def relabel_of(rules: tuple[RelabelRule, ...]) -> Relabel | None:
    """None: labels stay as they are."""
    if not rules:
        return None
    relabeling = Relabeling(rules)

    def relabel(labels: Labels) -> Labels | None:
        values = dict(labels)
        return labels_of(values) if relabeling.apply(values) else None

    return relabel


class AlertmanagerTargets:
    """Keeps the notifier's Alertmanagers those that discovery finds."""

    def __init__(
        self, notifier: Notifier, makers: Mapping[str, Maker], world: World, supervisor: Supervisor, outbound: OutboundMaker | None = None
    ) -> None:
        self._notifier = notifier
        self._outbound = outbound or (lambda http: OutboundClient(http, world))
        self._sections: dict[str, AlertmanagerConfig] = {}
        self._requesters: dict[str, Requester] = {}
        self._found: dict[str, list[Alertmanager]] = {}
        self._supervisor = supervisor
        self._runner = DiscoveryRunner(makers, supervisor, self._update)

    def apply(self, config: AlertingConfig | None) -> None:
        sections = {f"alertmanager/{i}": section for i, section in enumerate(config.alertmanagers if config else ())}
        for name in list(self._requesters):
            if self._sections.get(name) != sections.get(name):
                self._supervisor.start(f"close/{name}", self._requesters.pop(name).aclose())
                self._found.pop(name, None)
        self._sections = sections
        for name, section in sections.items():
            self._requesters.setdefault(name, self._outbound(section.http))
        self._runner.apply({name: section.discovery for name, section in sections.items()})
        self._tell()

    def _update(self, name: str, groups: Mapping[str, Group]) -> None:
        section = self._sections.get(name)
        if section is None:
            return
        relabeling = Relabeling(section.relabel_configs)
        found: dict[str, None] = {}
        for group in groups.values():
            for own in group.targets:
                labels = {SCHEME: section.scheme, PATH: f"{section.path_prefix.rstrip('/')}/api/v2/alerts", **group.labels, **own}
                if relabeling.apply(labels) and labels.get(ADDRESS):
                    path = labels[PATH] if labels[PATH].startswith("/") else f"/{labels[PATH]}"
                    found[f"{labels[SCHEME]}://{labels[ADDRESS]}{path}"] = None
        relabel = relabel_of(section.alert_relabel_configs)
        self._found[name] = [Alertmanager(url, self._send(name, section, url), relabel) for url in found]
        self._tell()

    def _tell(self) -> None:
        self._notifier.set_alertmanagers([a for name in self._sections for a in self._found.get(name, ())])

    def _send(self, name: str, section: AlertmanagerConfig, url: str) -> Send:
        async def send(body: bytes) -> None:
            requester = self._requesters.get(name)
            if requester is None:
                return
            headers = {"content-type": "application/json"}
            timeout_s = section.timeout / 1000
            try:
                answer = await requester.request(
                    "POST", url, headers=headers, body=body, timeout_s=timeout_s, response_bytes_max=ANSWER_BYTES_MAX
                )
            except OutboundError as error:
                raise ConnectionError(str(error)) from error
            if answer.status // 100 != 2:
                raise ConnectionError(f"bad response status {answer.status_text}")

        return send

    async def stop(self) -> None:
        self._runner.stop()
        await asyncio.gather(*(r.aclose() for r in self._requesters.values()))
        self._requesters.clear()
