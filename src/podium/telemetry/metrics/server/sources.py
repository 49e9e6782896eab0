"""What the HTTP API shows of the rest of the server: each a small protocol, so that the API knows neither scraping nor rules nor a configuration.

The values are upstream's JSON shapes, made where they are known.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from podium.instrument.exposition import Family
from podium.telemetry.metrics.configuration.scraping import ScrapeConfig
from podium.telemetry.metrics.labels import Labels, Matcher
from podium.telemetry.metrics.promql.engine import Engine
from podium.telemetry.metrics.promql.parser import STABLE
from podium.telemetry.metrics.promql.token_stream import Features
from podium.telemetry.metrics.server.notifications import Notifications
from podium.telemetry.metrics.storage import Metadata, Storage
from podium.world.interface import World

Json = dict[str, Any]
LARGE_AT_ONCE = 2


class Targets(Protocol):
    def active(self) -> list[Json]:
        """As in `activeTargets` of /api/v1/targets, sorted by pool and URL."""
        ...

    def dropped(self) -> list[Json]:
        """As in `droppedTargets`, at most as many a pool as its keep_dropped_targets says."""
        ...

    def dropped_counts(self) -> dict[str, int]:
        """By pool, those that are not kept too."""
        ...

    def pools(self) -> list[str]: ...

    def config(self, pool: str) -> ScrapeConfig | None:
        """None: there is no such pool."""
        ...

    def metadata(self) -> list[tuple[Labels, dict[str, Metadata]]]:
        """By target, its labels and the families it exposes."""
        ...


class Rules(Protocol):
    def groups(self, selectors: Sequence[Sequence[Matcher]] = ()) -> list[Json]:
        """As in `groups` of /api/v1/rules; with selectors, the rules whose labels match one of them."""
        ...

    def alerts(self) -> list[Json]:
        """As in `alerts` of /api/v1/alerts."""
        ...


class Alertmanagers(Protocol):
    def active(self) -> list[str]:
        """URLs."""
        ...

    def dropped(self) -> list[str]: ...


class Administration(Protocol):
    """What an operator may ask of the store. Raise MetricsError when it cannot be."""

    def delete_series(self, matchers: Sequence[Matcher], start_ms: int, end_ms: int) -> None: ...

    async def clean_tombstones(self) -> None: ...

    async def snapshot(self, *, skip_head: bool) -> str:
        """The name of the snapshot's directory below `snapshots/`."""
        ...

    def status(self, limit: int) -> Json:
        """As `data` of /api/v1/status/tsdb."""
        ...

    def block_metadata(self) -> list[Json]:
        """As `blocks` of /api/v1/status/tsdb/blocks."""
        ...


class Control(Protocol):
    """The server's own life and configuration."""

    def ready(self) -> bool: ...

    async def reload(self) -> None:
        """Raises ConfigurationError; the configuration of before is kept then."""
        ...

    def stop(self) -> None: ...

    def configuration(self) -> str:
        """As YAML, secrets hidden."""
        ...

    def flags(self) -> dict[str, str]: ...

    def runtime(self) -> Json:
        """As `data` of /api/v1/status/runtimeinfo."""
        ...

    def self_metrics(self) -> list[Family]:
        """For /metrics."""
        ...


@dataclass(frozen=True, slots=True)
class Switches:
    """What is off unless asked for, as upstream."""

    admin_api: bool = False
    lifecycle: bool = False
    remote_write_receiver: bool = False
    otlp_receiver: bool = False
    features: Features = STABLE  # of the query language


@dataclass(frozen=True, slots=True)
class Sources:
    """All that the API answers from. What is None does not exist in this server: its endpoints answer with nothing, or 404."""

    storage: Storage
    engine: Engine
    world: World
    targets: Targets | None = None
    rules: Rules | None = None
    alertmanagers: Alertmanagers | None = None
    administration: Administration | None = None
    control: Control | None = None
    switches: Switches = field(default_factory=Switches)
    external_labels: Labels = ()
    version: str = ""
    cors_origin: str = ".*"
    notifications: Notifications | None = None
    discovery: tuple[str, ...] = ()  # the kinds that there are
    large_answers: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE), compare=False)
    """Held while a large answer is written: its text is several times what it says."""
