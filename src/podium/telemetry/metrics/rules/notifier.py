"""Brings alerts to the Alertmanagers: a bounded queue, batches, every Alertmanager told.

A batch counts as sent when one Alertmanager at least took it; it is not sent again, since firing alerts are repeated anyway
(RuleTiming).
Overflow: the oldest alerts are dropped and counted, for newer ones say more.

Source: Prometheus' documentation, "Sending alerts" (Alertmanager API v2); the limits of upstream's notifier.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote_plus

import orjson

from podium.instrument.log import logger
from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.rules.alerts import Alert
from podium.telemetry.metrics.rules.rule import AlertingRule
from podium.telemetry.metrics.rules.views import time_text

QUEUE_MAX = 10_000
BATCH_MAX = 256
_log = logger("metrics.notifier")

Send = Callable[[bytes], Awaitable[None]]
"""Posts a JSON array of alerts to one Alertmanager. Raises OSError or TimeoutError when it did not take them."""
Relabel = Callable[[Labels], Labels | None]
"""The labels that an Alertmanager is to see; None: it is not to see the alert."""


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """One that alerts go to. `relabel` is its own, after the server's."""

    url: str
    send: Send
    relabel: Relabel | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    labels: Labels
    annotations: Mapping[str, str]
    starts_at_ms: int
    ends_at_ms: int
    generator_url: str

    def shown(self, labels: Labels) -> dict[str, object]:
        return {
            "labels": dict(labels),
            "annotations": dict(self.annotations),
            "startsAt": time_text(self.starts_at_ms),
            "endsAt": time_text(self.ends_at_ms),
            "generatorURL": self.generator_url,
        }


@dataclass(slots=True)
class Counts:
    sent: dict[str, int] = field(default_factory=dict)  # by URL
    errors: dict[str, int] = field(default_factory=dict)
    dropped: int = 0


class Notifier:
    def __init__(self, *, external_labels: Labels = (), external_url: str = "", relabel: Relabel | None = None) -> None:
        self.counts = Counts()
        self._queue: deque[Notification] = deque()
        self._alertmanagers: tuple[Alertmanager, ...] = ()
        self._external_labels = dict(external_labels)
        self._external_url = external_url.rstrip("/")
        self._relabel = relabel
        self._wake = asyncio.Event()

    def configure(self, *, external_labels: Labels, relabel: Relabel | None) -> None:
        self._external_labels, self._relabel = dict(external_labels), relabel

    def set_alertmanagers(self, alertmanagers: Sequence[Alertmanager]) -> None:
        self._alertmanagers = tuple(alertmanagers)

    def active(self) -> list[str]:
        return [a.url for a in self._alertmanagers]

    def dropped(self) -> list[str]:
        return []

    @property
    def queued(self) -> int:
        return len(self._queue)

    def notify(self, rule: AlertingRule, due: Sequence[tuple[Alert, int]]) -> None:
        """Takes alerts of a rule; never waits."""
        for alert, valid_until_ms in due:
            labels: Labels | None = labels_of({**self._external_labels, **dict(alert.labels)})
            if self._relabel is not None and labels is not None:
                labels = self._relabel(labels)
            if labels:
                fired_at_ms = alert.fired_at_ms if alert.fired_at_ms is not None else alert.active_at_ms
                ends_at_ms = alert.resolved_at_ms if alert.resolved_at_ms is not None else valid_until_ms
                url = f"{self._external_url}/graph?g0.expr={quote_plus(rule.text)}&g0.tab=1"
                self._queue.append(Notification(labels, dict(alert.annotations), fired_at_ms, ends_at_ms, url))
        while len(self._queue) > QUEUE_MAX:
            self._queue.popleft()
            self.counts.dropped += 1
        if self._queue:
            self._wake.set()

    async def run(self) -> None:
        """For ever: sends what is queued, batch by batch."""
        while True:
            await self._wake.wait()
            batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
            if not self._queue:
                self._wake.clear()
            if batch:
                await self._deliver(batch)

    async def _deliver(self, batch: Sequence[Notification]) -> None:
        if not self._alertmanagers:
            return
        answers = await asyncio.gather(*(self._to_one(a, batch) for a in self._alertmanagers))
        if not any(answers):
            self.counts.dropped += len(batch)

    async def _to_one(self, alertmanager: Alertmanager, batch: Sequence[Notification]) -> bool:
        shown = []
        for notification in batch:
            labels = notification.labels if alertmanager.relabel is None else alertmanager.relabel(notification.labels)
            if labels:
                shown.append(notification.shown(labels))
        if not shown:
            return True
        counts, url = self.counts, alertmanager.url
        try:
            await alertmanager.send(orjson.dumps(shown))
        except (OSError, TimeoutError) as error:
            counts.errors[url] = counts.errors.get(url, 0) + len(shown)
            _log.warning("an Alertmanager did not take alerts", url=url, alerts=len(shown), reason=str(error) or "no answer in time")
            return False
        counts.sent[url] = counts.sent.get(url, 0) + len(shown)
        return True
