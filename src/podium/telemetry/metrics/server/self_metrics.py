"""What the server tells of itself on /metrics, under upstream's names, so that dashboards and rules written for Prometheus hold.

Source: the metrics of Prometheus 3, as its own alerts and dashboards use them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from podium.instrument.exposition import Family, Page
from podium.instrument.metrics import Registry
from podium.instrument.process_metrics import register_process
from podium.telemetry.metrics.promql.engine import Engine
from podium.telemetry.metrics.remote.sending import RemoteWriter
from podium.telemetry.metrics.rules.notifier import QUEUE_MAX, Notifier
from podium.telemetry.metrics.rules.schedule import RuleSchedule
from podium.telemetry.metrics.scrape.engine import ScrapeEngine


@dataclass(slots=True)
class Reloads:
    """How loading the configuration went."""

    successful: bool = True
    at_s: float = 0.0


class SelfMetrics:
    def __init__(
        self, engine: Engine, scrapes: ScrapeEngine, rules: RuleSchedule, notifier: Notifier, reloads: Reloads, version: str, *,
        process: bool = True,
    ) -> None:  # fmt: skip
        self._engine, self._scrapes, self._rules, self._notifier = engine, scrapes, rules, notifier
        self._reloads, self._version = reloads, version
        self._process = Registry()
        if process:
            register_process(self._process)

    def families(self, writers: Iterable[RemoteWriter], store: Iterable[Family], remote_reads: int = 0) -> list[Family]:
        """`store`: the store's own. `remote_reads`: by others, that run or wait."""
        page, engine = Page(), self._engine
        page.gauge(
            "prometheus_build_info", "The version of this server.", 1, (("version", self._version), ("branch", ""), ("goversion", ""))
        )
        page.gauge(
            "prometheus_config_last_reload_successful", "Whether the last configuration was loaded.", float(self._reloads.successful)
        )
        page.gauge("prometheus_config_last_reload_success_timestamp_seconds", "When one was loaded last.", self._reloads.at_s)
        page.gauge("prometheus_engine_queries", "Queries that run or wait.", engine.queries_running + engine.queries_waiting)
        page.gauge("prometheus_engine_queries_concurrent_max", "Queries that may run at a time.", engine.options.concurrency)
        page.gauge("prometheus_remote_read_handler_queries", "Remote reads that run or wait.", remote_reads)
        for pool in self._scrapes.targets():
            page.gauge("prometheus_target_scrape_pool_targets", "Targets by pool.", len(pool.active), (("scrape_job", pool.job),))
        self._add_rules(page)
        self._add_notifications(page)
        for writer in writers:
            _add_remote(page, writer)
        page.add(self._scrapes.counts.families())
        page.add(store)
        page.add(self._process.collected())
        return list(page.families.values())

    def _add_rules(self, page: Page) -> None:
        for key, state in sorted(self._rules.groups.items()):
            group = (("rule_group", key),)
            page.counter("prometheus_rule_evaluations_total", "Evaluations of rules.", state.evaluations, group)
            page.counter("prometheus_rule_evaluation_failures_total", "Evaluations that failed.", state.failures, group)
            page.counter("prometheus_rule_group_iterations_total", "Rounds that were due, evaluated or left out.", state.iterations, group)
            page.counter("prometheus_rule_group_iterations_missed_total", "Rounds left out: the one before took long.", state.missed, group)
            page.gauge("prometheus_rule_group_last_duration_seconds", "How long the last round took.", state.duration_s, group)
            page.gauge("prometheus_rule_group_last_evaluation_samples", "Samples of the last round.", state.samples, group)
            at_s = state.evaluated_at_ms / 1000
            page.gauge("prometheus_rule_group_last_evaluation_timestamp_seconds", "When the last round was.", at_s, group)
            interval_s = state.interval_ms(self._rules.server) / 1000
            page.gauge("prometheus_rule_group_interval_seconds", "Interval of a group.", interval_s, group)
            page.gauge("prometheus_rule_group_rules", "Rules of a group.", len(state.rules), group)

    def _add_notifications(self, page: Page) -> None:
        notifier, counts = self._notifier, self._notifier.counts
        page.gauge("prometheus_notifications_alertmanagers_discovered", "Alertmanagers that alerts go to.", len(notifier.active()))
        page.counter("prometheus_notifications_dropped_total", "Alerts dropped.", counts.dropped)
        page.gauge("prometheus_notifications_queue_length", "Alerts that wait.", notifier.queued)
        page.gauge("prometheus_notifications_queue_capacity", "Alerts that may wait.", QUEUE_MAX)
        for url in sorted({**counts.sent, **counts.errors}):
            labels = (("alertmanager", url),)
            page.counter("prometheus_notifications_sent_total", "Alerts sent.", counts.sent.get(url, 0), labels)
            page.counter("prometheus_notifications_errors_total", "Alerts that could not be sent.", counts.errors.get(url, 0), labels)


def _add_remote(page: Page, writer: RemoteWriter) -> None:
    labels, counts, name = (("remote_name", writer.name),), writer.counts, "prometheus_remote_storage_"
    page.counter(f"{name}samples_total", "Samples sent.", counts.sent, labels)
    page.counter(f"{name}samples_failed_total", "Samples that the other end refused.", counts.failed, labels)
    page.counter(f"{name}samples_retried_total", "Samples sent again.", counts.retried, labels)
    page.counter(f"{name}samples_dropped_total", "Samples left out by relabeling or age.", counts.dropped, labels)
    page.counter(f"{name}exemplars_total", "Exemplars sent.", counts.exemplars_sent, labels)
    page.counter(f"{name}exemplars_failed_total", "Exemplars that the other end refused.", counts.exemplars_failed, labels)
    page.counter(
        f"{name}exemplars_dropped_total", "Exemplars left out by relabeling or for want of room.", counts.exemplars_dropped, labels
    )
    page.gauge(f"{name}exemplars_pending", "Exemplars that wait for a sample of their series.", writer.exemplars_pending, labels)
    page.counter(f"{name}metadata_total", "Metric families described.", counts.metadata_sent, labels)
    page.counter(f"{name}metadata_failed_total", "Descriptions that the other end refused.", counts.metadata_failed, labels)
    page.gauge(f"{name}samples_pending", "Samples that wait.", writer.pending, labels)
    page.gauge(f"{name}queue_highest_sent_timestamp_seconds", "Time of the newest sample sent.", counts.highest_sent_ms / 1000, labels)
