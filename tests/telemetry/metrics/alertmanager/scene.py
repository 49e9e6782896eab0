"""An Alertmanager under a virtual clock, whose receivers write down what they get and when.

def test_something() -> None:
    async def story(scene: Scene) -> None:
        await scene.fire(alertname="A")
        await scene.wait(30)
        assert scene.told == ["30 hook firing A"]

    play(CONFIG, story)
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson

from podium.telemetry.metrics.alertmanager.alertmanager import Alertmanager, PostedAlert
from podium.telemetry.metrics.alertmanager.cluster import Membership
from podium.telemetry.metrics.alertmanager.configuration import load
from podium.telemetry.metrics.alertmanager.matchers import parse_matchers
from podium.telemetry.metrics.alertmanager.notification import HttpMessage, HttpReply, Mail
from podium.telemetry.metrics.alertmanager.silences import Silence
from podium.telemetry.metrics.alertmanager.storage import MemoryStorage, Storage
from podium.world import virtual
from podium.world.virtual import VirtualWorld

CONFIG = """
route:
  receiver: hook
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
receivers:
- name: hook
  webhook_configs: [{url: 'http://hook.test/'}]
"""

Answer = Callable[[HttpMessage], HttpReply | Awaitable[HttpReply]]


class Receivers:
    """A transport. `answers` are by host; a host without one says 200."""

    def __init__(self, world: VirtualWorld) -> None:
        self._world = world
        self.messages: list[tuple[float, HttpMessage]] = []
        self.mails: list[Mail] = []
        self.answers: dict[str, Answer] = {}

    async def http(self, message: HttpMessage, settings: Mapping[str, Any]) -> HttpReply:
        self.messages.append((self._world.clock.monotonic(), message))
        answer = self.answers.get(message.url.split("/")[2])
        if answer is None:
            return HttpReply(200, {}, b"")
        reply = answer(message)
        return reply if isinstance(reply, HttpReply) else await reply

    async def mail(self, mail: Mail, settings: Mapping[str, Any]) -> None:
        self.mails.append(mail)


def line(at_s: float, message: HttpMessage) -> str:
    """`30 hook firing A{i=1} resolved B`: second, receiver, alerts by status."""
    body = orjson.loads(message.body)
    parts = [f"{at_s:g}", body["receiver"]]
    for status in ("firing", "resolved"):
        alerts = [a for a in body["alerts"] if a["status"] == status]
        if alerts:
            parts.append(f"{status} " + " ".join(sorted(_name(a["labels"]) for a in alerts)))
    return " ".join(parts)


def _name(labels: dict[str, str]) -> str:
    rest = ",".join(f"{n}={v}" for n, v in sorted(labels.items()) if n != "alertname")
    return labels.get("alertname", "") + (f"{{{rest}}}" if rest else "")


class Scene:
    def __init__(
        self, world: VirtualWorld, config: str, *, storage: Storage | None = None, cluster: Membership | None = None,
        receivers: Receivers | None = None,
    ) -> None:  # fmt: skip
        self.world = world
        self.storage = storage or MemoryStorage()
        self.receivers = receivers or Receivers(world)
        self.manager = Alertmanager(load(config), world, self.receivers, self.storage, external_url="http://am.test", cluster=cluster)
        self.manager.start()

    @property
    def told(self) -> list[str]:
        return [line(at_s, message) for at_s, message in self.receivers.messages]

    async def fire(self, *, for_s: float | None = None, **labels: str) -> None:
        now = self.world.clock.now()
        ends_at = None if for_s is None else now + timedelta(seconds=for_s)
        await self.manager.put_alerts([PostedAlert(labels, {}, now, ends_at)])

    async def keep_firing(self, seconds: float, every_s: float = 60, **labels: str) -> None:
        """As Prometheus does: again and again, with an end in the future."""
        start = self.world.clock.now()
        for _ in range(int(seconds // every_s)):
            ends_at = self.world.clock.now() + timedelta(seconds=4 * every_s)
            await self.manager.put_alerts([PostedAlert(labels, {}, start, ends_at)])
            await self.wait(every_s)

    async def resolve(self, **labels: str) -> None:
        now = self.world.clock.now()
        await self.manager.put_alerts([PostedAlert(labels, {}, None, now)])

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def silence(self, text: str, *, start_s: float = 0, for_s: float = 3600, identity: str = "") -> str:
        now = self.world.clock.now()
        start = now + timedelta(seconds=start_s)
        made = Silence(identity, parse_matchers(text), start, start + timedelta(seconds=for_s), now, "me", "why")
        return self.manager.silences.put(made)


def play(config: str, story: Callable[[Scene], Awaitable[None]], *, seed: int = 0, storage: Storage | None = None) -> Scene:
    async def main(world: VirtualWorld) -> Scene:
        scene = Scene(world, config, storage=storage)
        await story(scene)
        await scene.manager.stop()
        return scene

    return virtual.run(main, seed)
