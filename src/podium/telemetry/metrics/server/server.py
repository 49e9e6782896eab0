"""A Prometheus-compatible server: discovery, scraping, storage, rules, notifications, remote storage and the HTTP API, wired together.

    configuration ──► discovery ──► scrapes ──► tee ──► store ◄── queries ◄── HTTP API
                                      rules ──────┘ │               ▲
                                        └► notifier └► remote write └ rules

`apply` takes a configuration at any time; what did not change in it goes on undisturbed. Nothing here knows where the configuration comes from
(a file: standalone.py; the operator's resources: telemetry/prometheus_operator) nor what Kubernetes is (`makers` bring other discovery).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podium.instrument.exposition import Family
from podium.instrument.log import logger
from podium.telemetry.metrics.configuration.configuration import Configuration
from podium.telemetry.metrics.configuration.remote import RemoteReadConfig, RemoteWriteConfig
from podium.telemetry.metrics.discovery.runner import DiscoveryRunner, Maker, core_makers
from podium.telemetry.metrics.errors import ConfigurationError
from podium.telemetry.metrics.exposition.page import PageSource
from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.otlp.receiving import OtlpReceiver
from podium.telemetry.metrics.otlp.translation import Translating
from podium.telemetry.metrics.outbound.client import OutboundMaker
from podium.telemetry.metrics.promql.engine import Engine
from podium.telemetry.metrics.promql.engine import Options as EngineOptions
from podium.telemetry.metrics.promql.query_log import ActiveQueries, QueryLogFile
from podium.telemetry.metrics.remote.read_client import ReadClient
from podium.telemetry.metrics.remote.reading import ReadLimits, ReadServer
from podium.telemetry.metrics.remote.receiving import WriteReceiver
from podium.telemetry.metrics.remote.sending import RemoteWriter
from podium.telemetry.metrics.remote.tee import Tee
from podium.telemetry.metrics.rules.evaluation import Server as RuleServer
from podium.telemetry.metrics.rules.notifier import Notifier
from podium.telemetry.metrics.rules.rule import Group
from podium.telemetry.metrics.rules.schedule import GROUPS_AT_ONCE, WAITING_GROUPS_AT_ONCE, RuleSchedule
from podium.telemetry.metrics.rules.timing import RuleTiming
from podium.telemetry.metrics.rules.views import RuleViews
from podium.telemetry.metrics.scrape.engine import ScrapeEngine
from podium.telemetry.metrics.server import remote_endpoints, store_metrics
from podium.telemetry.metrics.server.alertmanager_targets import AlertmanagerTargets, relabel_of
from podium.telemetry.metrics.server.application import Application, Raw
from podium.telemetry.metrics.server.notifications import CONFIGURATION_FAILED, ENDING, Notifications
from podium.telemetry.metrics.server.self_metrics import Reloads, SelfMetrics
from podium.telemetry.metrics.server.sources import Control, Sources, Switches
from podium.telemetry.metrics.server.target_views import TargetViews
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.interface import World
from podium.world.supervisor import Supervisor

_log = logger("metrics.server")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """`directory` None: no remote write position is kept."""

    directory: Path | None = None
    external_url: str = ""
    version: str = ""
    switches: Switches = field(default_factory=Switches)
    engine: EngineOptions = field(default_factory=EngineOptions)
    read: ReadLimits = field(default=ReadLimits())  # of others' remote reads
    cors_origin: str = ".*"
    seed: int = 0  # moves scrapes against those of another server
    timing: RuleTiming = field(default=RuleTiming())
    restoring: bool = True  # alerts' state of before is looked for; False where there is no before
    process_metrics: bool = True  # this process is measured too; False under a virtual clock, where it is no part of what is simulated


@dataclass(frozen=True, slots=True)
class _Running:
    config: RemoteWriteConfig
    writer: RemoteWriter
    task: "asyncio.Task[Any]"


class MetricsServer:
    """`store` is open and stays the caller's to close; this runs it."""

    def __init__(
        self, store: Tsdb, world: World, options: ServerOptions, *,
        makers: Mapping[str, Maker] | None = None, outbound: OutboundMaker | None = None,
        sources: Mapping[str, PageSource] | None = None,
    ) -> None:  # fmt: skip
        """`outbound` makes what asks targets, Alertmanagers and remote storage: sockets unless given. `sources` as a ScrapeEngine takes them."""
        self.store, self.world, self.options = store, world, options
        self.configuration = Configuration().checked()
        self.started = world.clock.now()
        self.reloads = Reloads(at_s=self.started.timestamp())
        self.engine = Engine(store, world, options.engine, _active_queries(options))
        self.notifier = Notifier(external_url=options.external_url)
        self.tee = Tee(store)
        self.notifications = Notifications(world.clock)
        self._supervisor = Supervisor("metrics")
        known = {**core_makers(world), **(makers or {})}
        self._kinds = tuple(sorted({"static", *(key.removesuffix("_sd_configs") for key in known)}))
        requester = (lambda job: outbound(job.http)) if outbound else None
        self.scrapes = ScrapeEngine(self.tee, world, requester=requester, seed=options.seed, sources=sources)
        self._discovery = DiscoveryRunner(known, self._supervisor, self.scrapes.update)
        self.rules = RuleSchedule(
            RuleServer(self.engine, self.tee, world, self.notifier.notify, external_url=options.external_url, timing=options.timing),
            restoring=options.restoring,
        )
        self._alertmanagers = AlertmanagerTargets(self.notifier, known, world, self._supervisor, outbound)
        self._outbound = outbound
        self._measured = SelfMetrics(
            self.engine, self.scrapes, self.rules, self.notifier, self.reloads, options.version, process=options.process_metrics
        )
        self._query_log: QueryLogFile | None = None
        self._writers: list[_Running] = []
        self._readers: list[tuple[RemoteReadConfig, ReadClient]] = []
        self._receiver = WriteReceiver(self.tee, world)
        self._reader = ReadServer(store, limits=options.read)

    def start(self) -> None:
        self._supervisor.start("store", self.store.run())
        self._supervisor.start("notifier", self.notifier.run())

    def apply(self, configuration: Configuration, groups: Sequence[Group]) -> None:
        """From now on. Raises ConfigurationError; the configuration of before is kept then."""
        section = configuration.global_config
        external = labels_of(section.external_labels)
        self._apply_query_log(section.query_log_file)
        self._apply_writers(configuration, external)
        self._apply_readers(configuration, external)
        self.configuration = configuration
        alerting = configuration.alerting
        self.notifier.configure(external_labels=external, relabel=relabel_of(alerting.alert_relabel_configs) if alerting else None)
        self.scrapes.apply(configuration.jobs)
        self._discovery.apply({job.job_name: job.discovery for job in configuration.jobs})
        self._alertmanagers.apply(alerting)
        self.rules.configure(
            groups, external_labels=external, interval_ms=section.evaluation_interval, query_offset_ms=section.rule_query_offset
        )
        self.reloads.successful, self.reloads.at_s = True, self.world.clock.now().timestamp()
        self.notifications.remove(CONFIGURATION_FAILED)

    def refused(self) -> None:
        """A configuration that was to be applied could not be read or applied: whoever looks at the server is told."""
        self.reloads.successful = False
        self.notifications.add(CONFIGURATION_FAILED)

    def _apply_query_log(self, path: str) -> None:
        """Raises ConfigurationError when it cannot be written to."""
        before = self._query_log
        if path == (str(before.path) if before else ""):
            return
        try:
            self.engine.query_log = self._query_log = QueryLogFile(Path(path)) if path else None
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}", "query_log_file") from error
        if before is not None:
            before.close()

    def _apply_writers(self, configuration: Configuration, external: Labels) -> None:
        unchanged = external == labels_of(self.configuration.global_config.external_labels)
        kept = [one for one in self._writers if unchanged and one.config in configuration.remote_write]
        made = [
            (config, remote_endpoints.writer(config, self.store, self.world, external, self.options.directory, self._outbound))
            for config in configuration.remote_write
            if not any(one.config == config for one in kept)
        ]
        for one in self._writers:
            if one not in kept:
                one.task.cancel()
        started = [_Running(config, w, self._supervisor.start(f"remote write {w.name}", w.run())) for config, w in made]
        self._writers = [*kept, *started]
        self.tee.writers = [one.writer for one in self._writers]

    def read_from(self, configuration: Configuration) -> None:
        """Of a configuration only whom to read from: for a server that answers queries and nothing else."""
        self._apply_readers(configuration, labels_of(configuration.global_config.external_labels))

    def _apply_readers(self, configuration: Configuration, external: Labels) -> None:
        unchanged = external == labels_of(self.configuration.global_config.external_labels)
        before = self._readers if unchanged else []
        readers = [
            next((known for known in before if known[0] == config), None)
            or (config, remote_endpoints.reader(config, self.world, external, self.whole_from_ms, self._outbound))
            for config in configuration.remote_read
        ]
        for known in self._readers:
            if known not in readers:
                self._supervisor.start(f"close remote read {known[1].name}", known[1].aclose())
        self._readers, self.engine.remotes = readers, tuple(one for _, one in readers)
        self.rules.allow(WAITING_GROUPS_AT_ONCE if readers else GROUPS_AT_ONCE)

    def whole_from_ms(self) -> int:
        """From when on the store has everything, with room for what was there before it ran. Source: upstream's margin, two blocks."""
        oldest_ms = self.store.oldest_ms()
        now_ms = int(self.world.clock.now().timestamp() * 1000)
        return (now_ms if oldest_ms is None else oldest_ms) + 2 * self.store.options.window_ms

    def sources(self, control: Control | None = None) -> Sources:
        return Sources(
            storage=self.store, engine=self.engine, world=self.world, targets=TargetViews(self.scrapes, self.store), rules=RuleViews(self.rules),
            alertmanagers=self.notifier, administration=self.store, control=control, switches=self.options.switches,
            external_labels=labels_of(self.configuration.global_config.external_labels), version=self.options.version,
            cors_origin=self.options.cors_origin, notifications=self.notifications, discovery=self._kinds,
        )  # fmt: skip

    def application(self, control: Control | None = None) -> Application:
        """Made anew when the configuration changes: external labels are in it, and how OTLP's metrics are named."""
        sources = self.sources(control)
        switches = self.options.switches
        writers: dict[str, Raw] = {"/api/v1/write": self._receiver} if switches.remote_write_receiver else {}
        if switches.otlp_receiver:
            engine = self.options.engine
            settings = Translating(self.configuration.otlp, engine.lookback_ms, engine.type_and_unit_labels)
            writers["/api/v1/otlp/v1/metrics"] = OtlpReceiver(self._receiver, settings)
        self._reader.label(sources.external_labels)
        return Application(sources, writers, self._reader)

    def self_metrics(self) -> list[Family]:
        """For /metrics."""
        more = [*store_metrics.families(self.store), *self._discovery.families("scrape")]
        return self._measured.families((one.writer for one in self._writers), more, self._reader.reads)

    async def failed(self) -> None:
        """Raises the first crash of what it runs; returns never otherwise."""
        await self._supervisor.failed()

    async def stop(self) -> None:
        """Scrapes, rules, notifications; the store is left open, with nothing marked stale: a server that stops comes back."""
        self.notifications.add(ENDING)
        self._discovery.stop()
        await self._alertmanagers.stop()
        await self.scrapes.stop()
        await self.rules.stop()
        self.engine.close()
        await self._supervisor.stop()
        await asyncio.gather(*(one.aclose() for _, one in self._readers))


def _active_queries(options: ServerOptions) -> ActiveQueries | None:
    """What ran when the process before this one died is told in the log. None: there is no place for the file."""
    if options.directory is None:
        return None

    def found(left: list[dict[str, Any]]) -> None:
        _log.warning("these queries did not end before the last process did", queries=[entry.get("query", "") for entry in left])

    try:
        return ActiveQueries(options.directory, options.engine.concurrency, found)
    except OSError as error:
        _log.warning("running queries are not tracked", reason=str(error))
        return None
