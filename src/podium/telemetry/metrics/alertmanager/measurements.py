"""What Alertmanager counts about itself, under upstream's names (alertmanager_*)."""

from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version

from podium.instrument.metrics import Registry

LATENCY_BUCKETS_S = (1.0, 5.0, 10.0, 15.0, 20.0)
FAILURE_REASONS = ("other", "clientError", "serverError", "contextCanceled", "contextDeadlineExceeded", "authError", "rateLimited")


class Measurements:
    """`registry.exposition()` is what /metrics serves."""

    def __init__(self) -> None:
        self.registry = r = Registry()
        self.alerts = r.gauge("alertmanager_alerts", "How many alerts by state.", ("state",))
        self.received = r.counter("alertmanager_alerts_received_total", "The total number of received alerts.", ("status", "version"))
        self.invalid = r.counter(
            "alertmanager_alerts_invalid_total", "The total number of received alerts that were invalid.", ("version",)
        )
        self.silences = r.gauge("alertmanager_silences", "How many silences by state.", ("state",))
        self.silences_bytes = r.gauge("alertmanager_silences_snapshot_size_bytes", "Bytes of the stored silences.").labels()
        self.log_entries = r.gauge("alertmanager_nflog_state_size", "Entries of the notification log.").labels()
        self.log_bytes = r.gauge("alertmanager_nflog_snapshot_size_bytes", "Bytes of the stored notification log.").labels()
        self.groups = r.gauge("alertmanager_dispatcher_aggregation_groups", "Number of active aggregation groups").labels()
        self.group_limit = r.counter(
            "alertmanager_dispatcher_aggregation_group_limit_reached_total", "Alerts without a group, for there are too many groups."
        ).labels()
        self.notifications = r.counter("alertmanager_notifications_total", "The total number of attempted notifications.", ("integration",))
        self.failed = r.counter(
            "alertmanager_notifications_failed_total", "The total number of failed notifications.", ("integration", "reason")
        )
        self.requests = r.counter(
            "alertmanager_notification_requests_total", "The total number of attempted notification requests.", ("integration",)
        )
        self.requests_failed = r.counter(
            "alertmanager_notification_requests_failed_total", "The total number of failed notification requests.", ("integration",)
        )
        self.latency = r.histogram(
            "alertmanager_notification_latency_seconds", "The latency of notifications in seconds.", ("integration",), LATENCY_BUCKETS_S
        )
        self.suppressed = r.counter(
            "alertmanager_notifications_suppressed_total", "Notifications that were not sent, by reason.", ("reason",)
        )
        self.config_hash = r.gauge("alertmanager_config_hash", "Hash of the currently loaded configuration.").labels()
        self.reload_ok = r.gauge(
            "alertmanager_config_last_reload_successful", "Whether the last configuration reload attempt was successful."
        ).labels()
        self.reload_at = r.gauge(
            "alertmanager_config_last_reload_success_timestamp_seconds", "Timestamp of the last successful configuration reload."
        ).labels()
        self.receivers = r.gauge("alertmanager_receivers", "Number of configured receivers.").labels()
        self.integrations = r.gauge("alertmanager_integrations", "Number of configured integrations.").labels()
        self.cluster_members = r.gauge("alertmanager_cluster_members", "Number of replicas that are alive, this one included.").labels()
        self.cluster_position = r.gauge("alertmanager_peer_position", "Position of this replica: who notifies first has 0.").labels()
        self.cluster_sent = r.counter("alertmanager_cluster_messages_sent_total", "Messages sent to other replicas.", ("msg_type",))
        self.cluster_received = r.counter(
            "alertmanager_cluster_messages_received_total", "Messages received from other replicas.", ("msg_type",)
        )
        self.cluster_failed = r.counter("alertmanager_cluster_reconnections_failed_total", "Messages that no replica took.").labels()
        self.version = _version()
        r.gauge("alertmanager_build_info", "Always 1.", ("version",)).labels(self.version).set(1)
        for status in ("firing", "resolved"):
            self.received.labels(status, "v2")
        self.invalid.labels("v2")

    def know_integrations(self, kinds: Mapping[str, int]) -> None:
        """So that their series are there before anything happens. `kinds`: how many of each."""
        for kind in kinds:
            for family in (self.notifications, self.requests, self.requests_failed, self.latency):
                family.labels(kind)
            for reason in FAILURE_REASONS:
                self.failed.labels(kind, reason)
        self.integrations.set(sum(kinds.values()))

    def on_collect(self, collect: Callable[[], None]) -> None:
        self.registry.on_collect(collect)


def _version() -> str:
    try:
        return version("podium")
    except PackageNotFoundError:
        return "unknown"
