"""Alertmanager in one object: alerts in, notifications out.

    manager = Alertmanager(configuration, world, NetworkTransport(world), DiskStorage(folder))
    manager.start()
    await manager.put_alerts([PostedAlert({"alertname": "Down", "job": "api"})])
    await manager.reload(load_file(path))
    await manager.stop()

Everything that happens does so in the world's time, so a rehearsal runs it with a virtual clock, a MemoryStorage and a transport that records.
`transport` is where notifications leave (notification.Transport); `cluster` are the replicas (cluster.Cluster), none by default.

Invariants: a reload that fails changes nothing. What was silenced, and what was told to whom, outlives the process (storage.py); alerts do
not: clients send them again.

Bound: ALERTS_MAX alerts; further ones are refused (TooMany), known ones still change.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from podium.instrument.log import logger
from podium.telemetry.metrics.alertmanager.alerts import Alert, merged, ordered, validate
from podium.telemetry.metrics.alertmanager.cluster import Alone, Membership
from podium.telemetry.metrics.alertmanager.configuration import Configuration
from podium.telemetry.metrics.alertmanager.errors import BadAlert, ConfigurationError, StorageError, TooMany
from podium.telemetry.metrics.alertmanager.groups import Dispatcher, Group
from podium.telemetry.metrics.alertmanager.inhibition import Inhibitor
from podium.telemetry.metrics.alertmanager.measurements import Measurements
from podium.telemetry.metrics.alertmanager.notification import Notifier, Transport
from podium.telemetry.metrics.alertmanager.notification_data import data_of
from podium.telemetry.metrics.alertmanager.notification_log import STATE as LOG_STATE
from podium.telemetry.metrics.alertmanager.notification_log import NotificationLog
from podium.telemetry.metrics.alertmanager.notification_templates import NotificationTemplates
from podium.telemetry.metrics.alertmanager.notifiers import NOTIFIERS
from podium.telemetry.metrics.alertmanager.pipeline import Outside, Pipeline
from podium.telemetry.metrics.alertmanager.routes import Route, build
from podium.telemetry.metrics.alertmanager.silences import STATE as SILENCES_STATE
from podium.telemetry.metrics.alertmanager.silences import Silences
from podium.telemetry.metrics.alertmanager.storage import Storage
from podium.world.interface import World
from podium.world.supervisor import Supervisor

_log = logger("alertmanager")

ALERTS_MAX = 100_000
MAINTENANCE_PERIOD_S = 15 * 60.0
RETENTION_S = 120 * 3600.0


@dataclass(frozen=True, slots=True)
class PostedAlert:
    """An alert as a client says it: without a start it starts now, without an end it ends when nobody repeats it."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    generator_url: str = ""


@dataclass(frozen=True, slots=True)
class AlertStatus:
    silenced_by: tuple[str, ...]
    inhibited_by: tuple[str, ...]

    @property
    def state(self) -> str:
        return "suppressed" if self.silenced_by or self.inhibited_by else "active"


class Alertmanager:
    def __init__(
        self,
        configuration: Configuration,
        world: World,
        transport: Transport,
        storage: Storage,
        *,
        external_url: str = "http://localhost:9093",
        cluster: Membership | None = None,
        measurements: Measurements | None = None,
        notifiers: Mapping[str, Notifier] = NOTIFIERS,
        retention_s: float = RETENTION_S,
    ) -> None:
        """Raises ConfigurationError for the templates it names, StorageError."""
        self.world, self.external_url = world, external_url.rstrip("/")
        self.cluster: Membership = cluster or Alone()
        self.measurements = measurements or Measurements()
        self.started_at = world.clock.now()
        self._storage = storage
        self.silences = Silences(
            world, storage, retention_s=retention_s, on_change=lambda key, record: self.cluster.tell(SILENCES_STATE, key, record)
        )  # fmt: skip
        self.log = NotificationLog(
            world, storage, retention_s=retention_s, on_change=lambda key, record: self.cluster.tell(LOG_STATE, key, record)
        )  # fmt: skip
        self._outside = Outside(
            world, transport, self.silences, self.log, self.measurements, self.cluster, self.external_url, notifiers
        )  # fmt: skip
        self._alerts: dict[str, Alert] = {}
        self._tasks = Supervisor("alertmanager")
        self._templates = NotificationTemplates.load(configuration.templates, world.clock)
        self.configuration = configuration
        self._dispatcher: Dispatcher | None = None
        self._reloading = asyncio.Lock()
        self.root: Route
        self._inhibitor: Inhibitor
        self._arrange(configuration)
        self.measurements.on_collect(self._collect)

    # -- life

    def start(self) -> None:
        """Within a running loop, once."""
        self.cluster.start({SILENCES_STATE: self.silences, LOG_STATE: self.log})
        self._tasks.start("maintenance", self._maintain())

    async def stop(self) -> None:
        """Ends notifications under way and closes the storage."""
        async with self._reloading:
            if self._dispatcher is not None:
                await self._dispatcher.stop()
        await self._tasks.stop()
        await self.cluster.stop()
        self._storage.close()

    async def reload(self, configuration: Configuration) -> None:
        """From now on, for all alerts there are. Notifications under way are ended first; the log knows which were sent.
        Raises ConfigurationError for its templates; then nothing has changed."""
        async with self._reloading:
            try:
                templates = NotificationTemplates.load(configuration.templates, self.world.clock)
            except ConfigurationError:
                self.reload_failed()
                raise
            old, self._dispatcher = self._dispatcher, None  # alerts that come meanwhile are grouped below
            try:
                if old is not None:
                    await old.stop()
            finally:  # also when whoever asked for the reload is gone
                self._adopt(configuration, templates)

    def _adopt(self, configuration: Configuration, templates: NotificationTemplates) -> None:
        self._templates, self.configuration = templates, configuration
        dispatcher = self._arrange(configuration)
        for alert in self._alerts.values():
            self._inhibitor.put(alert)
        for alert in self._alerts.values():
            dispatcher.put(alert)

    def reload_failed(self) -> None:
        """The configuration could not be read: counted."""
        self.measurements.reload_ok.set(0)

    def _arrange(self, configuration: Configuration) -> Dispatcher:
        self.root = build(configuration.route)
        self._inhibitor = Inhibitor(configuration.inhibit_rules)
        pipeline = Pipeline(configuration, self._templates, self._inhibitor, self._outside)
        self._dispatcher = Dispatcher(self.root, self.world, pipeline, self.measurements)
        kinds: dict[str, int] = {}
        for receiver in configuration.receivers.values():
            for integration in receiver.integrations:
                kinds[integration.kind] = kinds.get(integration.kind, 0) + 1
        self.measurements.know_integrations(kinds)
        self.measurements.receivers.set(len(configuration.receivers))
        self.measurements.config_hash.set(configuration.digest)
        self.measurements.reload_ok.set(1)
        self.measurements.reload_at.set(self.world.clock.now().timestamp())
        return self._dispatcher

    # -- alerts

    async def put_alerts(self, posted: Sequence[PostedAlert]) -> None:
        """Takes all that are valid. Raises BadAlert afterwards when some were not, TooMany when there was no place for some."""
        now = self.world.clock.now()
        refused: list[str] = []
        too_many = False
        for number, one in enumerate(posted):
            if number % 500 == 499:
                await asyncio.sleep(0)
            alert = self._alert(one, now)
            self.measurements.received.labels("resolved" if alert.resolved_at(now) else "firing", "v2").add()
            try:
                validate(alert)
            except BadAlert as error:
                self.measurements.invalid.labels("v2").add()
                refused.append(str(error))
                continue
            if alert.fingerprint not in self._alerts and len(self._alerts) >= ALERTS_MAX:
                too_many = True
                continue
            self._put(merged(self._alerts.get(alert.fingerprint), alert, now))
        if refused:
            raise BadAlert("\n".join(dict.fromkeys(refused)))
        if too_many:
            raise TooMany(f"there are {ALERTS_MAX} alerts already")

    def _alert(self, posted: PostedAlert, now: datetime) -> Alert:
        ends_at, is_timeout = posted.ends_at, posted.ends_at is None
        if ends_at is None:
            ends_at = now + timedelta(seconds=self.configuration.resolve_timeout_s)
        starts_at = posted.starts_at or (now if is_timeout else ends_at)
        labels = {name: value for name, value in posted.labels.items() if value}
        return Alert(labels, starts_at, ends_at, now, dict(posted.annotations), posted.generator_url, is_timeout)

    def _put(self, alert: Alert) -> None:
        self._alerts[alert.fingerprint] = alert
        self._inhibitor.put(alert)
        if self._dispatcher is not None:
            self._dispatcher.put(alert)

    # -- what others ask

    def alerts(self) -> list[Alert]:
        """Those that have not ended, in the order in which they came."""
        now = self.world.clock.now()
        return [alert for alert in self._alerts.values() if not alert.resolved_at(now)]

    def groups(self) -> list[Group]:
        return [] if self._dispatcher is None else self._dispatcher.groups()

    def status_of(self, alert: Alert) -> AlertStatus:
        """As of now."""
        return AlertStatus(
            tuple(self.silences.silenced_by(alert.fingerprint, alert.labels)),
            tuple(self._inhibitor.inhibited_by(alert.labels, self.world.clock.now())),
        )

    def route_labels_of(self, group: Group) -> dict[str, str]:
        """Rendered, as the group's next notification would have them."""
        alerts = ordered(group.alerts.values())
        if not group.route.labels or not alerts:
            return {}
        data = data_of(
            alerts, self.world.clock.now(), receiver=group.route.receiver, group_labels=group.labels, route_labels=group.route.labels,
            reason="unknown", external_url=self.external_url,
        )  # fmt: skip
        return self._templates.route_labels(group.route.labels, data)

    def receivers_of(self, labels: Mapping[str, str]) -> list[str]:
        return [route.receiver for route in self.root.matching(labels)]

    # -- upkeep

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(MAINTENANCE_PERIOD_S)
            now = self.world.clock.now()
            for fingerprint in [name for name, alert in self._alerts.items() if alert.resolved_at(now)]:
                del self._alerts[fingerprint]
            self._inhibitor.forget_resolved(now)
            try:
                self.silences.forget_expired()
                self.log.forget_expired()
            except StorageError as error:
                _log.error("state cannot be written", error=str(error))

    def _collect(self) -> None:
        counts = dict.fromkeys(("active", "suppressed", "unprocessed"), 0)
        for alert in self.alerts():
            counts[self.status_of(alert).state] += 1
        for state, count in counts.items():
            self.measurements.alerts.labels(state).set(count)
        for state, count in self.silences.counts().items():
            self.measurements.silences.labels(state).set(count)
        self.measurements.silences_bytes.set(self._storage.size(SILENCES_STATE))
        self.measurements.log_bytes.set(self._storage.size(LOG_STATE))
        self.measurements.log_entries.set(len(self.log))
