"""Notifications in a rehearsal: written down with their time, and answered by the network if somebody there serves the address.

A receiver that nobody serves accepts everything, so that real receivers' settings (Slack, PagerDuty, e-mail) can be rehearsed as they are and
nobody is woken up. To rehearse a receiver that fails, serve its address on the network.

Bound: NOTIFICATIONS_MAX; then the oldest make room, and `dropped` counts them.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from podium.simulation.network import Network
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply, Mail
from podium.telemetry.metrics.outbound.interface import OutboundError
from podium.world.interface import Clock

NOTIFICATIONS_MAX = 100_000
_ACCEPTED = 200


@dataclass(frozen=True, slots=True)
class Notification:
    """One attempt at `at_s` (seconds of the virtual clock). `status` is what the receiver answered, 0 when it did not; of a mail, `to` are the
    recipients and `body` is the message."""

    at_s: float
    to: str
    body: bytes
    status: int = _ACCEPTED

    def json(self) -> Any:
        """Raises ValueError for a body that is something else."""
        return orjson.loads(self.body)

    def alerts(self, status: str = "") -> list[dict[str, Any]]:
        """Of a webhook's message: its alerts, all or those with that status (firing, resolved). Raises ValueError as `json` does."""
        said = self.json()
        found = said.get("alerts") if isinstance(said, dict) else None
        if not isinstance(found, list):
            raise ValueError(f"the message to {self.to} is not a webhook's: it has no alerts")
        return [alert for alert in found if not status or alert.get("status") == status]


class RecordingTransport:
    """Alertmanager's Transport."""

    def __init__(self, clock: Clock, network: Network) -> None:
        self._clock, self._network = clock, network
        self.received: deque[Notification] = deque(maxlen=NOTIFICATIONS_MAX)
        self.dropped = 0

    async def http(self, message: HttpMessage, settings: Mapping[str, Any]) -> HttpReply:
        """Raises ConnectionError."""
        reply = HttpReply(_ACCEPTED, {}, b"")
        try:
            if self._network.serves(message.url):
                answer = await self._network.ask(message.method, message.url, message.headers, message.body)
                headers = {name.decode().lower(): value.decode() for name, value in answer.headers}
                reply = HttpReply(answer.status, headers, answer.body)
        except OutboundError as error:
            self._note(Notification(self._clock.monotonic(), message.url, message.body, 0))
            raise ConnectionError(str(error)) from error
        self._note(Notification(self._clock.monotonic(), message.url, message.body, reply.status))
        return reply

    async def mail(self, mail: Mail, settings: Mapping[str, Any]) -> None:
        self._note(Notification(self._clock.monotonic(), f"mailto:{','.join(mail.recipients)}", mail.content))

    def _note(self, notification: Notification) -> None:
        self.dropped += len(self.received) == NOTIFICATIONS_MAX
        self.received.append(notification)
