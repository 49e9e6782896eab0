"""What an operator should know of the server at once: the configuration could not be loaded again, the server ends.

A notification stands until what it says is over. Who listens is told of each, of those that stand when the listening begins, and once more (not
active) when one is over. A listener that lags or is gone is let go of.

Source: Prometheus' HTTP API, "Notifications".
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from podium.world.interface import Clock

LISTENERS_MAX = 16
CONFIGURATION_FAILED = "Configuration reload has failed."
ENDING = "Prometheus is shutting down and gracefully stopping all operations."

Listener = Callable[[bytes], bool]
"""Takes an event; False: no more of them."""


class Notifications:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._standing: dict[str, datetime] = {}
        self._listeners: dict[Listener, None] = {}

    @property
    def listeners(self) -> int:
        return len(self._listeners)

    def add(self, text: str) -> None:
        """Again: as of now."""
        self._standing[text] = self._clock.now()
        self._tell(_shown(text, self._standing[text], active=True))

    def remove(self, text: str) -> None:
        if (since := self._standing.pop(text, None)) is not None:
            self._tell(_shown(text, since, active=False))

    def standing(self) -> list[dict[str, Any]]:
        return [_shown(text, since, active=True) for text, since in self._standing.items()]

    def listen(self, listener: Listener) -> bool:
        """False: there are enough listeners."""
        if len(self._listeners) >= LISTENERS_MAX:
            return False
        self._listeners[listener] = None
        for shown in self.standing():
            listener(_event(shown))
        return True

    def leave(self, listener: Listener) -> None:
        self._listeners.pop(listener, None)

    def _tell(self, shown: dict[str, Any]) -> None:
        for listener in list(self._listeners):
            if not listener(_event(shown)):
                self.leave(listener)


def _shown(text: str, since: datetime, *, active: bool) -> dict[str, Any]:
    return {"text": text, "date": since.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "active": active}


def _event(shown: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + orjson.dumps(shown) + b"\n\n"
