"""OTLP's metrics as series: names and labels by a strategy, resources as `job`, `instance` and target_info, data points as samples.

    resource   service.namespace/service.name -> job, service.instance.id -> instance; attributes that are promoted, on every series; the
               others on target_info{job, instance}, a sample each half lookback from the first to the last time of the resource's data points
    scope      otel_scope_name, _version, _schema_url and its attributes, when they are promoted
    metric     gauges and sums are a series; histograms classic ones, or native with custom buckets; exponential ones native; summaries
    point      attributes are labels. Two that become the same label are joined by `;`, in the order of their own names

Work is in steps, between which others have their turn. LABELS_MAX bounds what a request becomes: attributes are sent once and are on every series
of a point, and a histogram has one for each of its bounds.

A metric that cannot be translated is left out and told of; the others stand. Sums and histograms are cumulative or they are refused: a delta has
no place in a series that is read by rate.

Source: OpenTelemetry's "Prometheus and OpenMetrics Compatibility"; upstream's otlptranslator/prometheusremotewrite for words and order.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podium.telemetry.metrics.configuration.otlp import OtlpConfig
from podium.telemetry.metrics.exposition.steps import Steps
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import METRIC_NAME, Labels, labels_of
from podium.telemetry.metrics.otlp import histograms
from podium.telemetry.metrics.otlp.errors import RequestTooLarge
from podium.telemetry.metrics.otlp.histograms import NO_RECORDED_VALUE
from podium.telemetry.metrics.otlp.messages import pairs_of, plain_text
from podium.telemetry.metrics.otlp.names import Naming, unit_name
from podium.telemetry.metrics.remote.errors import MessageRefused
from podium.telemetry.metrics.remote.write_batch import EXEMPLAR_CHARACTERS_MAX, WriteBatch
from podium.telemetry.metrics.samples import STALE, Exemplar, Sample
from podium.telemetry.metrics.storage import Metadata

Attributes = dict[str, str]
IDENTIFYING = ("service.namespace", "service.name", "service.instance.id")
TARGET_INFO = "target_info"
TARGET_INFO_SAMPLES_MAX = 10_000
"""Of one resource: data points of a longer time are of no one export."""
CUMULATIVE = 2
LABELS_MAX = 4_000_000
"""Of all samples of one request, together."""
STEP_SAMPLES = 500
"""Made between two turns of others: some milliseconds."""
_NANOSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Translating:
    """What the server is set to. `lookback_ms` is that of queries."""

    config: OtlpConfig
    lookback_ms: int = 300_000
    type_and_unit_labels: bool = False

    @property
    def naming(self) -> Naming:
        config = self.config
        return Naming(
            config.escaped, config.suffixed, config.label_name_underscore_sanitization, config.label_name_preserve_multiple_underscores
        )


def translate(request: Any, settings: Translating) -> Steps[WriteBatch]:
    """Samples, exemplars and metadata, and what was left out. Raises RequestTooLarge."""
    made = _Made()
    for resource in request.resource_metrics:
        yield
        try:
            yield from _Resource(resource, settings, made).take()
        except MessageRefused as error:
            made.batch.refused.append(str(error))
    return made.batch


@dataclass(slots=True)
class _Made:
    """Of one request so far."""

    batch: WriteBatch = field(default_factory=WriteBatch)
    told: set[tuple[Labels, int]] = field(default_factory=set)  # samples of target_info
    labels: int = 0

    def add(self, labels: Mapping[str, str], time_ms: int, value: float | Histogram) -> Labels:
        """Raises MessageRefused, RequestTooLarge."""
        if "" in labels:
            raise MessageRefused("label name is empty")
        self.labels += len(labels)
        if self.labels > LABELS_MAX:
            raise RequestTooLarge(f"the samples of the request have more than {LABELS_MAX} labels together")
        key = labels_of(labels)
        self.batch.samples.append(Sample(key, time_ms, value))
        return key


class _Resource:
    """One resource's metrics, on their way into a batch."""

    def __init__(self, given: Any, settings: Translating, made: _Made) -> None:
        """Raises MessageRefused."""
        self._given, self._settings, self._made, self._batch = given, settings, made, made.batch
        self._naming = settings.naming
        self._labels: dict[str, str] = {}
        self._attributes = dict(pairs_of(given.resource.attributes))
        self._own = _identity(self._attributes)
        self._promoted = self._promote()
        self._scope: Mapping[str, str] = {}

    def take(self) -> Steps[None]:
        """Raises MessageRefused, RequestTooLarge."""
        times: list[int] = []
        for scope in self._given.scope_metrics:
            try:
                self._scope = self._of_scope(scope)
            except MessageRefused as error:
                self._batch.refused.append(str(error))
                continue
            for metric in scope.metrics:
                try:
                    times += yield from self._metric(metric)
                except MessageRefused as error:
                    self._batch.refused.append(str(error))
        if times:
            self._tell_target(min(times), max(times))

    def _label(self, name: str) -> str:
        found = self._labels.get(name)
        if found is None:
            found = self._labels[name] = self._naming.label(name)
        return found

    def _promote(self) -> Mapping[str, str]:
        config = self._settings.config
        if config.promote_all_resource_attributes:
            chosen = {n: v for n, v in self._attributes.items() if n not in config.ignore_resource_attributes}
        else:
            chosen = {n: v for n, v in self._attributes.items() if n in config.promote_resource_attributes}
        return {self._label(name): value for name, value in chosen.items()}

    def _of_scope(self, given: Any) -> Mapping[str, str]:
        if not self._settings.config.promote_scope_metadata or not given.scope.name:
            return {}
        named = {self._label(f"otel_scope_{name}"): value for name, value in pairs_of(given.scope.attributes)}
        own = {"name": given.scope.name, "version": given.scope.version, "schema_url": given.schema_url}
        return {**named, **{f"otel_scope_{name}": value for name, value in own.items()}}

    # -- labels

    def _named(self, attributes: Iterable[tuple[str, str]]) -> dict[str, str]:
        if not self._naming.escaped:
            return dict(attributes)
        found: dict[str, str] = {}
        for name, value in sorted(attributes):
            label = self._label(name)
            found[label] = f"{found[label]};{value}" if found.get(label) else value
        return found

    def _labels_of(self, point: Any, about: Metadata) -> dict[str, str]:
        found = self._named((name, value) for name, value in pairs_of(point.attributes) if name != METRIC_NAME)
        for name, value in self._promoted.items():
            if not found.get(name):
                found[name] = value
        found |= {**self._own, **self._scope}
        if self._settings.type_and_unit_labels:
            found |= {"__type__": about.type} if about.type != "unknown" else {}
            found |= {"__unit__": about.unit}
        return found

    # -- metrics

    def _metric(self, metric: Any) -> Steps[list[int]]:
        """Times of its data points, in nanoseconds. Raises MessageRefused."""
        kind = metric.WhichOneof("data")
        if kind is None:
            said = f"{metric.name} as it has unsupported metric type Empty"
            raise MessageRefused(f"could not get aggregation temporality for {said}")
        data = getattr(metric, kind)
        times = [point.time_unix_nano for point in data.data_points]
        try:
            if kind not in ("gauge", "summary") and data.aggregation_temporality != CUMULATIVE:
                raise MessageRefused(f'invalid temporality and type combination for metric "{metric.name}"')
            shown = "counter" if kind == "sum" and data.is_monotonic else "gauge" if kind == "gauge" else kind
            family = self._naming.metric(metric.name, metric.unit, shown)
            about = Metadata(_TYPES.get(kind) or ("counter" if data.is_monotonic else "gauge"), metric.description, unit_name(metric.unit))
            if data.data_points:
                self._batch.metadata[family] = about
            for point in data.data_points:
                before = len(self._batch.samples)
                yield from self._point(kind, family, point, about)
                if before // STEP_SAMPLES != len(self._batch.samples) // STEP_SAMPLES:
                    yield
        except MessageRefused as error:
            self._batch.refused.append(str(error))
        return times

    def _point(self, kind: str, family: str, point: Any, about: Metadata) -> Steps[None]:
        """Raises MessageRefused."""
        labels = self._labels_of(point, about)
        time_ms = point.time_unix_nano // _NANOSECONDS
        if kind == "histogram" and not self._settings.config.convert_histograms_to_nhcb:
            yield from self._classic(family, labels, point, time_ms)
            return
        if kind == "summary":
            for name, more, value in _of_summary(family, point):
                self._sample({**labels, **more, METRIC_NAME: name}, time_ms, value, point)
            return
        series = {**labels, METRIC_NAME: family}
        if kind in ("gauge", "sum"):
            value = float(point.as_int) if point.WhichOneof("value") == "as_int" else point.as_double
            key = self._sample(series, time_ms, value, point)
        else:
            native = histograms.exponential(point) if kind == "exponential_histogram" else histograms.custom(point)
            key = self._sample(series, time_ms, native, point)
        if kind != "gauge":
            self._batch.exemplars += [(key, exemplar) for exemplar in _exemplars(point.exemplars, time_ms)]

    def _sample(self, labels: Mapping[str, str], time_ms: int, value: float | Histogram, point: Any) -> Labels:
        """Raises MessageRefused, RequestTooLarge."""
        ended = point.flags & NO_RECORDED_VALUE and not isinstance(value, Histogram)
        return self._made.add(labels, time_ms, STALE if ended else value)

    def _classic(self, family: str, labels: Mapping[str, str], point: Any, time_ms: int) -> Steps[None]:
        if point.HasField("sum"):
            self._sample({**labels, METRIC_NAME: f"{family}_sum"}, time_ms, point.sum, point)
        self._sample({**labels, METRIC_NAME: f"{family}_count"}, time_ms, float(point.count), point)
        exemplars = list(_exemplars(point.exemplars, time_ms))
        total = at = 0
        for bound, count in [*zip(point.explicit_bounds, point.bucket_counts, strict=False), (float("inf"), None)]:
            total = total + count if count is not None else point.count
            key = self._sample({**labels, "le": plain_text(bound), METRIC_NAME: f"{family}_bucket"}, time_ms, float(total), point)
            if len(self._batch.samples) % STEP_SAMPLES == 0:
                yield
            while at < len(exemplars) and (exemplars[at].value <= bound or count is None):
                self._batch.exemplars.append((key, exemplars[at]))
                at += 1

    # -- the resource itself

    def _tell_target(self, first_ns: int, last_ns: int) -> None:
        """Its attributes, unless they say nothing beyond who it is. Raises MessageRefused."""
        more = {name: value for name, value in self._attributes.items() if name not in IDENTIFYING}
        if not more:
            return
        shown = self._attributes if self._settings.config.keep_identifying_resource_attributes else more
        labels = self._named(shown.items()) | self._own | {METRIC_NAME: TARGET_INFO}
        if not any(labels.get(name) for name in ("job", "instance")):
            return
        step_ms, last_ms = max(1, self._settings.lookback_ms // 2), last_ns // _NANOSECONDS
        times = range(first_ns // _NANOSECONDS, last_ms, step_ms)
        if len(times) > TARGET_INFO_SAMPLES_MAX:
            raise MessageRefused(f"data points of a resource are {last_ms - times[0]} ms apart: too far for one export")
        self._batch.metadata[TARGET_INFO] = Metadata("gauge", "Target metadata")
        key = labels_of(labels)
        for time_ms in [*times, last_ms]:
            if (key, time_ms) not in self._made.told:
                self._made.told.add((key, time_ms))
                self._made.add(labels, time_ms, 1.0)


_TYPES = {"gauge": "gauge", "histogram": "histogram", "exponential_histogram": "histogram", "summary": "summary"}


def _identity(attributes: Attributes) -> dict[str, str]:
    """job and instance."""
    found: dict[str, str] = {}
    if "service.name" in attributes:
        parts = [attributes[name] for name in ("service.namespace", "service.name") if name in attributes]
        found["job"] = "/".join(parts)
    if "service.instance.id" in attributes:
        found["instance"] = attributes["service.instance.id"]
    return {name: value for name, value in found.items() if value}


def _of_summary(family: str, point: Any) -> Sequence[tuple[str, Mapping[str, str], float]]:
    quantiles = [(family, {"quantile": plain_text(q.quantile)}, q.value) for q in point.quantile_values]
    return [(f"{family}_sum", {}, point.sum), (f"{family}_count", {}, float(point.count)), *quantiles]


def _exemplars(given: Iterable[Any], time_ms: int) -> Iterator[Exemplar]:
    """Attributes that make one too long are left out; its trace and span are not. Raises MessageRefused."""
    for one in given:
        kind = one.WhichOneof("value")
        if kind is None:
            raise MessageRefused("unsupported exemplar value type: Empty")
        labels = {name: identifier.hex() for name, identifier in (("trace_id", one.trace_id), ("span_id", one.span_id)) if any(identifier)}
        attributes = dict(pairs_of(one.filtered_attributes))
        if sum(len(name) + len(value) for name, value in [*labels.items(), *attributes.items()]) <= EXEMPLAR_CHARACTERS_MAX:
            labels |= attributes
        yield Exemplar(labels_of(labels), float(getattr(one, kind)), one.time_unix_nano // _NANOSECONDS or time_ms)
