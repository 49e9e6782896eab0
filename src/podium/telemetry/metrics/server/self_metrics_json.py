"""/api/v1/status/self_metrics: what /metrics says, as JSON: a MetricFamily message each, in protobuf's JSON form.

Source: Prometheus' HTTP API, "Self Metrics"; io.prometheus.client.MetricFamily.
"""

import math
from collections.abc import Iterable
from typing import Any

from podium.instrument.exposition import Family

Json = dict[str, Any]
_TYPES = {"counter": "COUNTER", "gauge": "GAUGE", "histogram": "HISTOGRAM", "summary": "SUMMARY"}


def families_json(families: Iterable[Family]) -> list[Json]:
    """Sorted by name; those without samples are left out."""
    return [_family(family) for family in sorted(families, key=lambda f: f.name) if family.samples]


def _family(family: Family) -> Json:
    type = _TYPES.get(family.kind, "UNTYPED")
    if type in ("HISTOGRAM", "SUMMARY"):
        metrics = _parted(family, "le" if type == "HISTOGRAM" else "quantile")
    else:
        metrics = [{"label": _labels(labels), type.lower(): {"value": _number(value)}} for (_, labels), value in family.samples.items()]
    return {"name": family.name, "help": family.text, "type": type, "metric": metrics}


def _parted(family: Family, part: str) -> list[Json]:
    """Histograms and summaries: their samples, by the labels that they share."""
    found: dict[tuple[tuple[str, str], ...], Json] = {}
    for (suffix, labels), value in family.samples.items():
        shared = tuple(p for p in labels if p[0] != part)
        whole = found.setdefault(shared, {"sampleCount": "0", "sampleSum": 0.0, ("bucket" if part == "le" else "quantile"): []})
        if suffix == "_count":
            whole["sampleCount"] = str(int(value))
        elif suffix == "_sum":
            whole["sampleSum"] = _number(value)
        elif part == "le":
            bound = float(dict(labels)[part].replace("Inf", "inf"))
            if bound != math.inf:  # which is the count
                whole["bucket"].append({"cumulativeCount": str(int(value)), "upperBound": _number(bound)})
        else:
            whole["quantile"].append({"quantile": _number(float(dict(labels)[part])), "value": _number(value)})
    name = "histogram" if part == "le" else "summary"
    return [{"label": _labels(shared), name: whole} for shared, whole in found.items()]


def _labels(labels: tuple[tuple[str, str], ...]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in labels]


def _number(value: float) -> float | str:
    """Protobuf's JSON has words for what JSON has no numbers for."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
