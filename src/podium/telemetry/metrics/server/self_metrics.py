"""What the server tells of itself on /metrics, under upstream's names, so that dashboards and rules written for Prometheus hold.

Source: the metrics of Prometheus 3, as its own alerts and dashboards use them.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from podium.telemetry.metrics.promql.engine import Engine
from podium.telemetry.metrics.remote.sending import RemoteWriter
from podium.telemetry.metrics.rules.notifier import QUEUE_MAX, Notifier
from podium.telemetry.metrics.rules.schedule import RuleSchedule
from podium.telemetry.metrics.scrape.engine import ScrapeEngine
from podium.world.interface import World

Rows = Iterable[tuple[Mapping[str, str], float]]
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Page:
    """Text format, family by family."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, name: str, type: str, help: str, rows: Rows | float) -> None:
        self._lines.append(f"# HELP {name} {help}\n# TYPE {name} {type}")
        for labels, value in [({}, rows)] if isinstance(rows, int | float) else rows:
            shown = ",".join(f'{n}="{_escaped(v)}"' for n, v in labels.items())
            self._lines.append(f"{name}{{{shown}}} {value:.17g}" if shown else f"{name} {value:.17g}")

    def text(self) -> bytes:
        return ("\n".join(self._lines) + "\n").encode()


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


@dataclass(slots=True)
class Reloads:
    """How loading the configuration went."""

    successful: bool = True
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SelfMetrics:
    world: World
    engine: Engine
    scrapes: ScrapeEngine
    rules: RuleSchedule
    notifier: Notifier
    reloads: Reloads
    started_s: float
    version: str

    def page(self, writers: Iterable[RemoteWriter], store: Iterable[tuple[str, str, str, float]]) -> bytes:
        """`store`: (name, type, help, value) of the store's own."""
        page = Page()
        page.add(
            "prometheus_build_info", "gauge", "The version of this server.", [({"version": self.version, "branch": "", "goversion": ""}, 1)]
        )
        _process(page, self.started_s)
        for name, type, help, value in store:
            page.add(name, type, help, value)
        page.add(
            "prometheus_config_last_reload_successful",
            "gauge",
            "Whether the last configuration could be loaded.",
            float(self.reloads.successful),
        )
        page.add(
            "prometheus_config_last_reload_success_timestamp_seconds", "gauge", "When a configuration was loaded last.", self.reloads.at_s
        )
        page.add(
            "prometheus_engine_queries", "gauge", "Queries that run or wait.", self.engine.queries_running + self.engine.queries_waiting
        )
        page.add("prometheus_engine_queries_concurrent_max", "gauge", "Queries that may run at a time.", self.engine.options.concurrency)
        self._rules(page)
        self._notifications(page)
        self._remote(page, list(writers))
        pools = self.scrapes.targets()
        page.add(
            "prometheus_target_scrape_pool_targets", "gauge", "Targets by pool.", [({"scrape_job": p.job}, len(p.active)) for p in pools]
        )
        return page.text()

    def _rules(self, page: Page) -> None:
        groups = [({"rule_group": key}, state) for key, state in sorted(self.rules.groups.items())]
        server = self.rules.server
        page.add("prometheus_rule_evaluations_total", "counter", "Evaluations of rules.", [(k, s.evaluations) for k, s in groups])
        page.add("prometheus_rule_evaluation_failures_total", "counter", "Evaluations that failed.", [(k, s.failures) for k, s in groups])
        page.add(
            "prometheus_rule_group_iterations_missed_total",
            "counter",
            "Rounds left out as the one before took too long.",
            [(k, s.missed) for k, s in groups],
        )
        page.add(
            "prometheus_rule_group_last_duration_seconds", "gauge", "How long the last round took.", [(k, s.duration_s) for k, s in groups]
        )
        page.add(
            "prometheus_rule_group_last_evaluation_timestamp_seconds",
            "gauge",
            "When the last round was.",
            [(k, s.evaluated_at_ms / 1000) for k, s in groups],
        )
        page.add(
            "prometheus_rule_group_last_evaluation_samples", "gauge", "Samples of the last round.", [(k, s.samples) for k, s in groups]
        )
        page.add(
            "prometheus_rule_group_interval_seconds",
            "gauge",
            "Interval of a group.",
            [(k, s.interval_ms(server) / 1000) for k, s in groups],
        )
        page.add("prometheus_rule_group_rules", "gauge", "Rules of a group.", [(k, len(s.rules)) for k, s in groups])

    def _notifications(self, page: Page) -> None:
        counts = self.notifier.counts
        page.add(
            "prometheus_notifications_alertmanagers_discovered", "gauge", "Alertmanagers that alerts go to.", len(self.notifier.active())
        )
        page.add(
            "prometheus_notifications_sent_total",
            "counter",
            "Alerts sent.",
            [({"alertmanager": u}, n) for u, n in sorted(counts.sent.items())],
        )
        page.add(
            "prometheus_notifications_errors_total",
            "counter",
            "Alerts that could not be sent.",
            [({"alertmanager": u}, n) for u, n in sorted(counts.errors.items())],
        )
        page.add("prometheus_notifications_dropped_total", "counter", "Alerts dropped.", counts.dropped)
        page.add("prometheus_notifications_queue_length", "gauge", "Alerts that wait.", self.notifier.queued)
        page.add("prometheus_notifications_queue_capacity", "gauge", "Alerts that may wait.", QUEUE_MAX)

    def _remote(self, page: Page, writers: list[RemoteWriter]) -> None:
        def rows(value: str) -> Rows:
            return [({"remote_name": w.name}, float(getattr(w.counts, value))) for w in writers]

        page.add("prometheus_remote_storage_samples_total", "counter", "Samples sent.", rows("sent"))
        page.add("prometheus_remote_storage_samples_failed_total", "counter", "Samples the other end refused.", rows("failed"))
        page.add("prometheus_remote_storage_samples_retried_total", "counter", "Samples sent again.", rows("retried"))
        page.add("prometheus_remote_storage_samples_dropped_total", "counter", "Samples left out by relabeling or age.", rows("dropped"))
        page.add(
            "prometheus_remote_storage_samples_pending",
            "gauge",
            "Samples that wait.",
            [({"remote_name": w.name}, w.pending) for w in writers],
        )
        sent = [({"remote_name": w.name}, w.counts.highest_sent_ms / 1000) for w in writers]
        page.add("prometheus_remote_storage_queue_highest_sent_timestamp_seconds", "gauge", "Time of the newest sample sent.", sent)


def _process(page: Page, started_s: float) -> None:
    """As process collectors tell of a process, where /proc does."""
    times = os.times()
    page.add("process_cpu_seconds_total", "counter", "Processor time, user and system.", times.user + times.system)
    page.add("process_start_time_seconds", "gauge", "When the process started.", started_s)
    try:
        with open("/proc/self/statm", "rb") as file:
            fields = file.read().split()
        descriptors = len(os.listdir("/proc/self/fd"))
    except OSError:
        return
    page.add("process_virtual_memory_bytes", "gauge", "Virtual memory.", int(fields[0]) * _PAGE_BYTES)
    page.add("process_resident_memory_bytes", "gauge", "Resident memory.", int(fields[1]) * _PAGE_BYTES)
    page.add("process_open_fds", "gauge", "Open file descriptors.", descriptors)
