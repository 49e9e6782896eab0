"""Writes pages in the text formats, for whoever shows metrics: a server's own, federation, exporters.

Names that the classic alphabet does not have are put in quotes.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

from podium.telemetry.metrics.exposition.grammar import TextFormat
from podium.telemetry.metrics.labels import METRIC_NAME, Labels
from podium.telemetry.metrics.samples import Exemplar
from podium.telemetry.metrics.storage import Metadata

CONTENT_TYPES = {
    TextFormat.PROMETHEUS: "text/plain; version=0.0.4; charset=utf-8",
    TextFormat.OPENMETRICS: "application/openmetrics-text; version=1.0.0; charset=utf-8",
}
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_TYPES_0_0_4 = {"unknown": "untyped", "info": "gauge", "stateset": "gauge", "gaugehistogram": "histogram"}


@dataclass(frozen=True, slots=True)
class WrittenSample:
    """`labels` with the sample's own name; the exemplar is left out of the Prometheus format, which has none."""

    labels: Labels
    value: float
    time_ms: int | None = None
    exemplar: Exemplar | None = None


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    metadata: Metadata
    samples: Iterable[WrittenSample]


def write_page(families: Iterable[Family], form: TextFormat = TextFormat.PROMETHEUS) -> bytes:
    lines: list[str] = []
    for family in families:
        lines += _head(family, form)
        lines += [_line(sample, form) for sample in family.samples]
    if form is TextFormat.OPENMETRICS:
        lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines).encode()


def _head(family: Family, form: TextFormat) -> list[str]:
    openmetrics = form is TextFormat.OPENMETRICS
    name = family.name if _METRIC.fullmatch(family.name) else _quote(family.name)
    kind, metadata = family.metadata.type, family.metadata
    help_text = metadata.help.replace("\\", "\\\\").replace("\n", "\\n")
    lines = []
    if openmetrics:
        help_text = help_text.replace('"', '\\"')
    if help_text:
        lines.append(f"# HELP {name} {help_text}")
    lines.append(f"# TYPE {name} {kind if openmetrics else _TYPES_0_0_4.get(kind, kind)}")
    if openmetrics and metadata.unit:
        lines.append(f"# UNIT {name} {metadata.unit}")
    return lines


def _line(sample: WrittenSample, form: TextFormat) -> str:
    parts = [write_series(sample.labels), format_number(sample.value)]
    if form is TextFormat.PROMETHEUS:
        if sample.time_ms is not None:
            parts.append(str(sample.time_ms))
        return " ".join(parts)
    if sample.time_ms is not None:
        parts.append(_seconds(sample.time_ms))
    if sample.exemplar is not None:
        labels = ",".join(f"{_label(n)}={_quote(v)}" for n, v in sample.exemplar.labels)
        parts.append(f"# {{{labels}}} {format_number(sample.exemplar.value)} {_seconds(sample.exemplar.time_ms)}")
    return " ".join(parts)


def write_series(labels: Labels) -> str:
    """`name{a="b"}`, or `{"a name",a="b"}` where the name needs quotes."""
    name = dict(labels).get(METRIC_NAME, "")
    items = [f"{_label(n)}={_quote(v)}" for n, v in labels if n != METRIC_NAME]
    if not _METRIC.fullmatch(name):
        items.insert(0, _quote(name))
        name = ""
    return f"{name}{{{','.join(items)}}}" if items else name


def format_number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 and math.copysign(1, value) > 0 else repr(float(value))


def _seconds(time_ms: int) -> str:
    sign = "-" if time_ms < 0 else ""
    return f"{sign}{abs(time_ms) // 1000}.{abs(time_ms) % 1000:03d}"


def _label(name: str) -> str:
    return name if _LABEL.fullmatch(name) else _quote(name)


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
