"""The metrics of a simulated cluster: everything that `podium up` measures, in one event loop under the virtual clock.

The monitoring role of the live product runs here on a store in memory and a network of functions (surroundings.py, network.py): the same jobs,
bundled rules, Prometheus operator's objects and Alertmanager. Nothing in it waits for real, so an hour costs what its samples cost.

Invariant: the same seed gives the same samples, to the byte of an export, whatever the hash seed. Not measured, as it would break that: this process
and the machine that computes.

Times are seconds of the virtual clock, 0 at its start (world/virtual.py), everywhere here; exports have wall-clock times.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from podium.client.interface import Client
from podium.objects.resources import resource
from podium.simulation.errors import SimulationError
from podium.simulation.export import write_openmetrics
from podium.simulation.network import Network
from podium.simulation.notifications import Notification
from podium.simulation.surroundings import SimulatedSurroundings
from podium.telemetry.metrics.alertmanager.configuration import load as load_alertmanager
from podium.telemetry.metrics.alertmanager.errors import AlertmanagerError
from podium.telemetry.metrics.durations import parse_duration
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.promql.results import Matrix, Result, Scalar, Vector
from podium.telemetry.metrics.rules.views import RuleViews
from podium.telemetry.metrics.server.server import MetricsServer
from podium.telemetry.metrics.server.target_views import TargetViews
from podium.telemetry.metrics.tsdb import snapshots
from podium.telemetry.monitoring.role import ALERTMANAGER_SECRET, NAMESPACE, Monitoring
from podium.world.interface import World
from podium.world.supervisor import Supervisor

RECEIVER = "http://notifications.podium.test/"
"""Where alerts go unless an own configuration says otherwise."""
EVERYTHING_RECORDED = f"""
route: {{receiver: recorded, group_by: [alertname, namespace], group_wait: 30s, group_interval: 5m, repeat_interval: 4h}}
receivers: [{{name: recorded, webhook_configs: [{{url: "{RECEIVER}", send_resolved: true}}]}}]
"""
START_PATIENCE_S = 60.0
_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class MetricsOptions:
    """`interval` between scrapes and between evaluations of rules, as in a configuration; `alertmanager` is an alertmanager.yml; samples are kept
    for `retention_s`. `per_node`: the containers of each node are a target of their own, so that `up` tells of a lost node; False: one target for
    all, which is cheaper for hundreds of nodes."""

    interval: str = "30s"
    alertmanager: str = EVERYTHING_RECORDED
    retention_s: float = 15 * 24 * 3600.0
    per_node: bool = True


@dataclass(frozen=True, slots=True)
class Point:
    """An element of an instant vector; a native histogram is its count and sum there."""

    labels: dict[str, str]
    value: float | Histogram


@dataclass(frozen=True, slots=True)
class Series:
    """`times_s` and `values` of the floats, ascending."""

    labels: dict[str, str]
    times_s: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]


class Metrics:
    """Make it with `start`; `stop` it before the cluster ends."""

    def __init__(self, world: World, network: Network, around: SimulatedSurroundings) -> None:
        self.network = network
        self._world, self._around = world, around
        self._supervisor = Supervisor("telemetry")
        self._monitoring: Monitoring | None = None
        self._began_at_s = world.clock.now().timestamp() - world.clock.monotonic()

    async def start(self, client: Client, administrator: Client, options: MetricsOptions) -> None:
        """Returns when scraping has begun. `client` is telemetry's own identity. Raises SimulationError, also for bad options."""
        _check(options)
        await self._make_receivers(administrator, options.alertmanager)
        self._monitoring = Monitoring(self._around, client, self._world, self._supervisor)
        self._supervisor.start("monitoring", self._monitoring.run())
        try:
            async with asyncio.timeout(START_PATIENCE_S):
                while self._monitoring.server() is None or self._monitoring.alertmanager() is None:
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise SimulationError(f"metrics did not start within {START_PATIENCE_S:g} s of virtual time: see the log") from error

    async def _make_receivers(self, client: Client, configuration: str) -> None:
        await client.create(resource("namespaces"), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        secret = {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": ALERTMANAGER_SECRET, "namespace": NAMESPACE},
            "stringData": {"alertmanager.yaml": configuration},
        }  # fmt: skip
        await client.create(resource("secrets"), secret)

    async def stop(self) -> None:
        await self._supervisor.stop()

    @property
    def crash(self) -> BaseException | None:
        """What ended a part of monitoring by itself, which nothing should."""
        return self._supervisor.crash

    @property
    def server(self) -> MetricsServer:
        """The running server, for what is not offered here. Raises SimulationError once its object was deleted."""
        found = self._monitoring.server() if self._monitoring is not None else None
        if found is None:
            raise SimulationError("the cluster's own Prometheus does not run")
        return found

    # -- asking

    async def query(self, text: str, at_s: float | None = None) -> list[Point]:
        """The instant vector at a time (now), sorted by labels; a scalar is one point without labels. Raises MetricsError."""
        result: Result = await self.server.engine.instant(text, self._ms(at_s))
        match result.value:
            case Vector(points):
                return sorted((Point(dict(p.labels), p.value) for p in points), key=lambda point: sorted(point.labels.items()))
            case Scalar(_, value):
                return [Point({}, value)]
        raise SimulationError(f"{text} gives a {result.value.type.value}, not an instant vector: use query_range")

    async def value(self, text: str, at_s: float | None = None) -> float:
        """Of a query that gives one number. Raises SimulationError when it gives another count of them."""
        points = await self.query(text, at_s)
        if len(points) != 1 or isinstance(points[0].value, Histogram):
            raise SimulationError(f"{text} gives {len(points)} series, not one number")
        return points[0].value

    async def query_range(self, text: str, start_s: float, end_s: float, step_s: float) -> list[Series]:
        """Values at start, start + step, ... up to end; sorted by labels. Raises MetricsError."""
        result = await self.server.engine.range(text, self._ms(start_s), self._ms(end_s), int(step_s * 1000))
        assert isinstance(result.value, Matrix)
        return [Series(dict(s.labels), s.times / 1000 - self._began_at_s, s.values) for s in result.value.series]

    def alerts(self, state: str = "") -> list[dict[str, Any]]:
        """Pending and firing ones, or those of one state, as /api/v1/alerts shows them."""
        return [alert for alert in RuleViews(self.server.rules).alerts() if not state or alert["state"] == state]

    def targets(self) -> list[dict[str, Any]]:
        """As /api/v1/targets shows the active ones."""
        return TargetViews(self.server.scrapes, self.server.store).active()

    def notifications(self, alertname: str = "") -> list[Notification]:
        """What left the Alertmanagers, in order; or the webhooks' messages about one alert."""
        received = list(self._around.recorded.received)
        if not alertname:
            return received
        return [n for n in received if n.to.startswith("http") and _tells_of(n, alertname)]

    # -- keeping

    def export_openmetrics(self, path: Path | str) -> int:
        """Writes every float sample as OpenMetrics text with times, for `podium metrics import-openmetrics` or promtool; returns how many. Native
        histograms, which that format has no words for, are left out. Raises OSError."""
        return write_openmetrics(self.server.store, Path(path))

    async def export_blocks(self, directory: Path | str) -> None:
        """Makes a data directory of all samples, for `podium metrics serve --data-dir`. Raises StorageFailed, also when there is something."""
        await snapshots.export(self.server.store, Path(directory))

    def _ms(self, at_s: float | None) -> int:
        moment: datetime = self._world.clock.now()
        return int((moment.timestamp() if at_s is None else self._began_at_s + at_s) * 1000)


def _check(options: MetricsOptions) -> None:
    try:
        load_alertmanager(options.alertmanager)
        if parse_duration(options.interval) <= 0:
            raise ValueError("it must be longer than 0")
    except AlertmanagerError as error:
        raise SimulationError(f"the configuration of Alertmanager is not right: {error}") from error
    except ValueError as error:
        raise SimulationError(f"the interval {options.interval!r} is not right: {error}") from error


def _tells_of(notification: Notification, alertname: str) -> bool:
    try:
        return any(alert["labels"].get("alertname") == alertname for alert in notification.alerts())
    except (ValueError, KeyError, TypeError):
        return False
