"""The Alertmanagers that the operator plans, run in this process; each with silences and a notification log of its own.

Invariant: a configuration that cannot be used leaves the one of before at work. A change of the address or of the retention starts an
Alertmanager anew, with the same state; any other change is a reload.
"""

from dataclasses import dataclass

from podium.telemetry.metrics.alertmanager.alertmanager import RETENTION_S, Alertmanager
from podium.telemetry.metrics.alertmanager.api import AlertmanagerApi
from podium.telemetry.metrics.alertmanager.configuration import Configuration
from podium.telemetry.metrics.alertmanager.errors import AlertmanagerError
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.monitoring.surroundings import Surroundings
from podium.telemetry.prometheus_operator.alertmanager_configuration import AlertmanagerPlan
from podium.world.interface import World

Key = tuple[str, str, str]
"""Resource, namespace, name."""


@dataclass(slots=True)
class Running:
    manager: Alertmanager
    api: AlertmanagerApi
    wanted: Configuration
    identity: tuple[str, float | None]

    async def reload(self) -> None:
        await self.manager.reload(self.wanted)


class Alerting:
    def __init__(self, world: World, around: Surroundings) -> None:
        self._world, self._around = world, around
        self._running: dict[Key, Running] = {}

    def get(self, key: Key) -> Running | None:
        return self._running.get(key)

    async def run(self, key: Key, plan: AlertmanagerPlan, folder: str, url: str) -> None:
        """`folder` names its state; `url` is where it answers, told to receivers unless the plan has another. Raises ConfigurationError."""
        identity = (plan.external_url or url, plan.retention_s)
        running = self._running.get(key)
        try:
            if running is not None and running.identity == identity:
                await running.manager.reload(plan.configuration)
                running.wanted = plan.configuration
                return
            await self.end(key)
            manager = Alertmanager(
                plan.configuration, self._world, self._around.transport(), self._around.alertmanager_storage(folder),
                external_url=identity[0],
                retention_s=RETENTION_S if plan.retention_s is None else plan.retention_s,
            )  # fmt: skip
        except (AlertmanagerError, OSError) as error:
            raise ConfigurationError(str(error)) from error
        started = Running(manager, AlertmanagerApi(manager, lambda: started.reload()), plan.configuration, identity)
        self._running[key] = started
        manager.start()

    async def end(self, key: Key) -> None:
        running = self._running.pop(key, None)
        if running is not None:
            await running.manager.stop()

    async def stop(self) -> None:
        for key in list(self._running):
            await self.end(key)
