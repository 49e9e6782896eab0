"""From a group's alerts to its receiver: what is muted is left out, what is new is sent, and what was sent is written down.

For each flush: wait until the replicas have settled; leave out inhibited alerts; nothing outside the route's active times or within its mute
times; leave out silenced alerts. Then for each integration of the receiver, all at once: wait for this replica's turn, ask the notification
log whether there is anything to say, send with retries until the flush's deadline, write the log.

So an integration that hangs holds up neither the others nor other groups, and not its own group beyond the deadline. Retries wait 0.5 s, then
1.5 times longer each time up to 60 s, half at random.

Source: upstream's notify package (stages and their order), cenkalti/backoff's defaults.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from podium.instrument.log import logger
from podium.telemetry.metrics.alertmanager.alerts import Alert
from podium.telemetry.metrics.alertmanager.configuration import Configuration, IntegrationSettings
from podium.telemetry.metrics.alertmanager.errors import NotificationError
from podium.telemetry.metrics.alertmanager.inhibition import Inhibitor
from podium.telemetry.metrics.alertmanager.measurements import Measurements
from podium.telemetry.metrics.alertmanager.notification import Notification, Notifier, Transport
from podium.telemetry.metrics.alertmanager.notification_data import data_of
from podium.telemetry.metrics.alertmanager.notification_log import FIRST, NotificationLog, why_notify
from podium.telemetry.metrics.alertmanager.notification_templates import NotificationTemplates
from podium.telemetry.metrics.alertmanager.routes import Route
from podium.telemetry.metrics.alertmanager.silences import Silences
from podium.telemetry.metrics.alertmanager.time_intervals import TimeInterval
from podium.world.interface import World

_log = logger("alertmanager.pipeline")

DEADLINE_MIN_S = 10.0
ATTEMPT_TIMEOUT_S = 300.0
"""A receiver that says nothing for so long is asked again, in groups whose interval leaves time for it."""
BACKOFF_FIRST_S, BACKOFF_FACTOR, BACKOFF_MAX_S, BACKOFF_SPREAD = 0.5, 1.5, 60.0, 0.5


class Turn(Protocol):
    """This replica among its peers."""

    async def wait_ready(self) -> None: ...

    def turn_delay_s(self) -> float:
        """How long to wait for those who go first: 0 for the first."""
        ...


@dataclass(slots=True)
class Flush:
    """One notification of one group. `alerts` in order; the ends of firing ones are None. `muted_by` is an outcome: the time intervals that
    mute the group."""

    group_key: str
    group_labels: Mapping[str, str]
    route: Route
    alerts: list[Alert]
    now: datetime
    muted_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outside:
    """What a pipeline works with besides the configuration."""

    world: World
    transport: Transport
    silences: Silences
    log: NotificationLog
    measurements: Measurements
    turn: Turn
    external_url: str
    notifiers: Mapping[str, Notifier]


class Pipeline:
    def __init__(self, configuration: Configuration, templates: NotificationTemplates, inhibitor: Inhibitor, outside: Outside) -> None:
        self._configuration, self._templates, self._inhibitor, self._outside = configuration, templates, inhibitor, outside

    async def notify(self, flush: Flush) -> bool:
        """Whether all went well (also when there was nothing to say): what is resolved may be forgotten then."""
        outside = self._outside
        deadline_s = max(flush.route.group_interval_s, DEADLINE_MIN_S) + outside.turn.turn_delay_s()
        try:
            async with asyncio.timeout(deadline_s):
                await outside.turn.wait_ready()
        except TimeoutError:
            _log.warning("replicas have not settled in time", group=flush.group_key)
            return False
        alerts = self._unmuted(flush)
        if not alerts:
            return True
        receiver = self._configuration.receivers[flush.route.receiver]
        steps = [self._integration(flush, alerts, integration, deadline_s) for integration in receiver.integrations]
        return all(await asyncio.gather(*steps))

    # -- what is muted

    def _unmuted(self, flush: Flush) -> list[Alert]:
        now, suppressed = flush.now, self._outside.measurements.suppressed
        kept = [a for a in flush.alerts if not self._inhibitor.inhibited_by(a.labels, now)]
        if len(kept) < len(flush.alerts):
            suppressed.labels("inhibition").add(len(flush.alerts) - len(kept))
        flush.muted_by = ()
        active, mute = flush.route.active_time_intervals, flush.route.mute_time_intervals
        if kept and active and not any(self._within(name, now) for name in active):
            flush.muted_by = active
            suppressed.labels("active_time_interval").add(len(kept))
            return []
        muting = tuple(name for name in mute if self._within(name, now))
        if kept and muting:
            flush.muted_by = muting
            suppressed.labels("mute_time_interval").add(len(kept))
            return []
        heard = [a for a in kept if not self._outside.silences.silenced_by(a.fingerprint, a.labels)]
        if len(heard) < len(kept):
            suppressed.labels("silence").add(len(kept) - len(heard))
        return heard

    def _within(self, name: str, now: datetime) -> bool:
        intervals: Sequence[TimeInterval] = self._configuration.time_intervals.get(name, ())
        return any(interval.contains(now) for interval in intervals)

    # -- one integration

    async def _integration(self, flush: Flush, alerts: list[Alert], integration: IntegrationSettings, deadline_s: float) -> bool:
        """False when it failed, which is logged and counted here."""
        outside, kind = self._outside, integration.kind
        attempts = _Attempts()
        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.sleep(outside.turn.turn_delay_s())
                await self._tell(flush, alerts, integration, attempts)
            return True
        except TimeoutError:
            reason, message = attempts.reason or "contextDeadlineExceeded", attempts.message or "deadline exceeded"
        except NotificationError as error:
            reason, message = error.reason, str(error)
        except Exception as error:  # a bug in an integration must not end the group
            _log.error("integration crashed", error=error, integration=f"{kind}[{integration.index}]", receiver=flush.route.receiver)
            reason, message = "other", f"{type(error).__name__}: {error}"
        outside.measurements.failed.labels(kind, reason).add()
        _log.warning(
            "notification failed", receiver=flush.route.receiver, integration=f"{kind}[{integration.index}]", group=flush.group_key,
            attempts=attempts.count, error=message,
        )  # fmt: skip
        return False

    async def _tell(self, flush: Flush, alerts: list[Alert], integration: IntegrationSettings, attempts: "_Attempts") -> None:
        outside, route = self._outside, flush.route
        name = f"{route.receiver}/{integration.kind}/{integration.index}"
        firing = frozenset(a.fingerprint for a in alerts if not a.resolved_at(flush.now))
        resolved = frozenset(a.fingerprint for a in alerts if a.resolved_at(flush.now))
        entry = outside.log.get(flush.group_key, name)
        sends_resolved = bool(integration.settings["send_resolved"])
        reason = why_notify(
            entry, firing, resolved, sends_resolved=sends_resolved, repeat_s=route.repeat_interval_s, now=flush.now
        )  # fmt: skip
        if not reason:
            return
        notes = dict(entry.data) if entry is not None and reason != FIRST else {}
        told = alerts if sends_resolved else [a for a in alerts if not a.resolved_at(flush.now)]
        outside.measurements.notifications.labels(integration.kind).add()
        if told:
            await self._send(self._notification(flush, told, integration, reason, notes), integration.kind, attempts)
        outside.log.put(flush.group_key, name, firing, resolved, keep_s=2 * route.repeat_interval_s, data=notes)

    def _notification(
        self, flush: Flush, alerts: list[Alert], integration: IntegrationSettings, reason: str, notes: dict[str, str]
    ) -> Notification:
        outside, labels = self._outside, flush.route.labels
        facts = {"receiver": flush.route.receiver, "group_labels": flush.group_labels, "external_url": outside.external_url}
        if labels:
            unrendered = data_of(alerts, flush.now, route_labels=labels, reason="unknown", **facts)  # type: ignore[arg-type]
            labels = self._templates.route_labels(labels, unrendered)
        data = data_of(alerts, flush.now, route_labels=labels, reason=reason, **facts)  # type: ignore[arg-type]
        return Notification(
            flush.group_key, alerts, flush.now, data, integration.settings, self._templates, outside.transport, outside.world, notes
        )

    async def _send(self, notification: Notification, kind: str, attempts: "_Attempts") -> None:
        """Until it is taken. Raises NotificationError when trying again is no use."""
        measurements, clock = self._outside.measurements, self._outside.world.clock
        chance = self._outside.world.random("alertmanager/backoff")
        pause_s = BACKOFF_FIRST_S
        while True:
            attempts.count += 1
            measurements.requests.labels(kind).add()
            started = clock.monotonic()
            try:
                async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
                    await self._outside.notifiers[kind](notification)
                return
            except NotificationError as error:
                attempts.reason, attempts.message = error.reason, str(error)
                if not error.is_retriable:
                    measurements.requests_failed.labels(kind).add()
                    raise
            except (ConnectionError, OSError) as error:  # of the transport; TimeoutError of an inner limit is an OSError too
                attempts.reason, attempts.message = "other", str(error) or type(error).__name__
            finally:
                measurements.latency.labels(kind).observe(clock.monotonic() - started)
            measurements.requests_failed.labels(kind).add()
            await asyncio.sleep(pause_s * (1 + BACKOFF_SPREAD * (2 * chance.random() - 1)))
            pause_s = min(pause_s * BACKOFF_FACTOR, BACKOFF_MAX_S)


@dataclass(slots=True)
class _Attempts:
    """What is known when the deadline comes."""

    count: int = 0
    reason: str = ""
    message: str = ""
