"""What a server says of its settings and its process: the same, whatever starts it.

Settings are shown under the names of Prometheus' flags, from what they have become, not from what was said of them.

Source: Prometheus' HTTP API, "Flags", "Runtime Information".
"""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from podium.telemetry.metrics.durations import format_duration
from podium.telemetry.metrics.promql.engine import Options as EngineOptions
from podium.telemetry.metrics.server.server import MetricsServer
from podium.telemetry.metrics.server.sources import Json

LANGUAGE_FEATURES = {
    "promql-experimental-functions": "functions",
    "promql-extended-range-selectors": "extended_ranges", "promql-binop-fill-modifiers": "fill_modifiers",
}  # fmt: skip
"""Names of --enable-feature -> parts of promql's Features."""
DELAYED_NAME_REMOVAL, TYPE_AND_UNIT_LABELS = "promql-delayed-name-removal", "type-and-unit-labels"


def flags(server: MetricsServer) -> dict[str, str]:
    """Sorted. Where nothing is kept on disk, there is no path."""
    options, engine, store = server.options, server.options.engine, server.store.options
    switches, timing = options.switches, options.timing
    found = {
        "enable-feature": ",".join(_enabled(engine)),
        "query.lookback-delta": format_duration(engine.lookback_ms),
        "query.max-concurrency": str(engine.concurrency),
        "query.max-samples": str(engine.samples_max),
        "query.timeout": format_duration(int(engine.timeout_s * 1000)),
        "rules.alert.for-grace-period": format_duration(timing.for_grace_period_ms),
        "rules.alert.for-outage-tolerance": format_duration(timing.outage_tolerance_ms),
        "rules.alert.resend-delay": format_duration(timing.resend_delay_ms),
        "storage.remote.read-concurrent-limit": str(options.read.reads_max),
        "storage.remote.read-max-bytes-in-frame": str(options.read.frame_bytes_max),
        "storage.remote.read-sample-limit": str(options.read.samples_max),
        "storage.tsdb.path": str(options.directory or ""),
        "storage.tsdb.retention.size": _size(store.retention_bytes),
        "storage.tsdb.retention.time": format_duration(store.retention_ms),
        "web.cors.origin": options.cors_origin,
        "web.enable-admin-api": _said(switches.admin_api),
        "web.enable-lifecycle": _said(switches.lifecycle),
        "web.enable-remote-write-receiver": _said(switches.remote_write_receiver),
        "web.enable-otlp-receiver": _said(switches.otlp_receiver),
        "web.external-url": options.external_url,
    }
    return dict(sorted(found.items()))


def _enabled(engine: EngineOptions) -> list[str]:
    found = [name for name, part in LANGUAGE_FEATURES.items() if getattr(engine.features, part)]
    found += [DELAYED_NAME_REMOVAL] if engine.delayed_name_removal else []
    return [*found, *([TYPE_AND_UNIT_LABELS] if engine.type_and_unit_labels else [])]


def _said(switch: bool) -> str:
    return str(switch).lower()


def _size(count: int) -> str:
    return f"{count}B" if count else "0B"


def retention(server: MetricsServer) -> str:
    """By time, by size, or by both, as upstream joins them."""
    store = server.store.options
    parts = [format_duration(store.retention_ms)] if store.retention_ms else []
    return " or ".join([*parts, *([_size(store.retention_bytes)] if store.retention_bytes else [])])


def runtime(server: MetricsServer) -> Json:
    """As `data` of /api/v1/status/runtimeinfo. Of the process only where it is measured: a rehearsal has none."""
    own = server.options.process_metrics
    return {
        "startTime": _moment(server.started),
        "CWD": str(Path.cwd()) if own else "",
        "hostname": os.uname().nodename if own else "",
        "serverTime": _moment(server.world.clock.now()),
        "reloadConfigSuccess": server.reloads.successful,
        "lastConfigTime": datetime.fromtimestamp(server.reloads.at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "corruptionCount": sum(server.store.failures.values()),
        "goroutineCount": len(asyncio.all_tasks()),
        "GOMAXPROCS": (os.cpu_count() or 1) if own else 1,
        "GOMEMLIMIT": sys.maxsize,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": retention(server),
    }


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
