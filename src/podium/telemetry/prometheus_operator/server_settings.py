"""What a Prometheus says of its server that is no part of a prometheus.yml: upstream's operator makes flags of it.

A change of any of it starts the server anew, on the same disk.

Source: the Prometheus operator's API reference, PrometheusSpec; its pkg/prometheus/server/statefulset.go for the defaults.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from podium.telemetry.metrics.configuration.values import parse_bytes
from podium.telemetry.metrics.durations import parse_duration
from podium.telemetry.metrics.promql.engine import Options as EngineOptions
from podium.telemetry.metrics.promql.token_stream import Features
from podium.telemetry.metrics.rules.timing import RuleTiming
from podium.telemetry.metrics.tsdb.options import Options as StoreOptions
from podium.telemetry.prometheus_operator.errors import ResourceRefused
from podium.telemetry.prometheus_operator.schemas import ENABLED_FEATURES

Spec = Mapping[str, Any]
RETENTION_MS = 24 * 3600 * 1000
"""Where neither a time nor a size is said."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`external_url` is '' for its address here."""

    store: StoreOptions = field(default=StoreOptions(retention_ms=RETENTION_MS))
    engine: EngineOptions = field(default=EngineOptions())
    timing: RuleTiming = field(default=RuleTiming())
    admin_api: bool = False
    remote_write_receiver: bool = False
    otlp_receiver: bool = False
    external_url: str = ""


def settings_of(spec: Spec) -> ServerSettings:
    """Raises ResourceRefused."""
    for name in ("replicas", "shards"):
        if spec.get(name, 1) != 1:
            raise ResourceRefused(f"spec.{name}: there is one telemetry process, so 1 is all there can be, not {spec[name]}")
    return ServerSettings(
        _store(spec),
        _engine(spec),
        _timing((spec.get("rules") or {}).get("alert") or {}),
        bool(spec.get("enableAdminAPI")),
        bool(spec.get("enableRemoteWriteReceiver")),
        _receives_otlp(spec),
        spec.get("externalUrl") or "",
    )


def _receives_otlp(spec: Spec) -> bool:
    """Who says how metrics are named wants them, unless it says otherwise."""
    said = spec.get("enableOTLPReceiver")
    return spec.get("otlp") is not None if said is None else bool(said)


def _store(spec: Spec) -> StoreOptions:
    time_ms, size = _duration(spec, "retention", "spec.retention"), 0
    if text := spec.get("retentionSize"):
        try:
            size = parse_bytes(text)
        except ValueError as error:
            raise ResourceRefused(f"spec.retentionSize: {error}") from error
    defaults = StoreOptions()
    exemplars = (spec.get("exemplars") or {}).get("maxSize")
    return StoreOptions(
        retention_ms=time_ms or (0 if size else RETENTION_MS),
        retention_bytes=size,
        out_of_order_window_ms=_duration(spec.get("tsdb") or {}, "outOfOrderTimeWindow", "spec.tsdb.outOfOrderTimeWindow") or 0,
        exemplars_max=defaults.exemplars_max if exemplars is None else _not_negative(exemplars, "spec.exemplars.maxSize"),
    )


def _engine(spec: Spec) -> EngineOptions:
    query, defaults = spec.get("query") or {}, EngineOptions()
    wanted = set(spec.get("enableFeatures") or ())
    if unknown := sorted(wanted - set(ENABLED_FEATURES)):
        raise ResourceRefused(f"spec.enableFeatures: {unknown[0]!r} is not supported; there are {', '.join(ENABLED_FEATURES)}")
    lookback_ms = _duration(query, "lookbackDelta", "spec.query.lookbackDelta")
    timeout_ms = _duration(query, "timeout", "spec.query.timeout")
    return EngineOptions(
        lookback_ms=lookback_ms or defaults.lookback_ms,
        samples_max=_positive(query, "maxSamples") or defaults.samples_max,
        timeout_s=timeout_ms / 1000 if timeout_ms else defaults.timeout_s,
        concurrency=_positive(query, "maxConcurrency") or defaults.concurrency,
        features=Features(
            functions="promql-experimental-functions" in wanted,
            extended_ranges="promql-extended-range-selectors" in wanted,
            fill_modifiers="promql-binop-fill-modifiers" in wanted,
        ),
        delayed_name_removal="promql-delayed-name-removal" in wanted,
        type_and_unit_labels="type-and-unit-labels" in wanted,
    )


def _timing(given: Spec) -> RuleTiming:
    defaults = RuleTiming()

    def read(name: str, default: int) -> int:
        found = _duration(given, name, f"spec.rules.alert.{name}")
        return default if found is None else found

    return RuleTiming(
        read("resendDelay", defaults.resend_delay_ms),
        read("forOutageTolerance", defaults.outage_tolerance_ms),
        read("forGracePeriod", defaults.for_grace_period_ms),
    )


def _duration(given: Spec, name: str, where: str) -> int | None:
    """In milliseconds; None when it is not said."""
    if not given.get(name):
        return None
    try:
        return parse_duration(str(given[name]))
    except ValueError as error:
        raise ResourceRefused(f"{where}: {error}") from error


def _positive(query: Spec, name: str) -> int:
    """0 when it is not said."""
    value = query.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or value < 1:
        raise ResourceRefused(f"spec.query.{name}: at least 1 is wanted, not {value}")
    return value


def _not_negative(value: int, where: str) -> int:
    if value < 0:
        raise ResourceRefused(f"{where}: {value} is negative")
    return value
