"""Whether our answer is upstream's: the same series, the same times, numbers equal within TOLERANCE, relatively.

Where numbers cancel (a - a, a deviation of equal values) what is left is the rounding of one order of additions or another: below RESIDUE of
the largest number that was asked about, both count as nothing.
"""

import math
from typing import Any

from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.promql.results import Matrix, Result, Scalar, String, Value, Vector

TOLERANCE = 1e-9
RESIDUE = 1e-12

Points = dict[Labels, dict[int, float]]


def ours(value: Value) -> Points | str:
    match value:
        case Scalar(time_ms, number):
            return {(): {time_ms: number}}
        case String(_, text):
            return text
        case Vector(points):
            return {p.labels: {p.time_ms: _number(p.value)} for p in points}
        case Matrix(series):
            return {s.labels: dict(zip(s.times.tolist(), s.values.tolist(), strict=True)) for s in series}


def theirs(data: dict[str, Any]) -> Points | str:
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return {(): _values([result])}
    if kind == "string":
        return str(result[1])
    return {labels_of(s["metric"]): _values(s["values"] if kind == "matrix" else [s["value"]]) for s in result}


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value


def _values(pairs: list[list[Any]]) -> dict[int, float]:
    return {round(float(time) * 1000): float(text) for time, text in pairs}


def difference(result: Result | Exception, answer: dict[str, Any], scale: float = 1.0) -> str:
    """Empty when they agree: both failed, or both gave the same."""
    if isinstance(result, Exception) or answer["status"] != "success":
        if isinstance(result, Exception) and answer["status"] != "success":
            return ""
        return f"ours: {result!r}, upstream's: {answer.get('error', answer['status'])}"[:500]
    our, their = ours(result.value), theirs(answer["data"])
    if isinstance(our, str) or isinstance(their, str):
        return "" if our == their else f"ours: {our!r}, upstream's: {their!r}"
    for labels in sorted({*our, *their}):
        left, right = our.get(labels, {}), their.get(labels, {})
        for time in sorted({*left, *right}):
            if time not in left or time not in right or not equal(left[time], right[time], scale):
                return f"{dict(labels)} at {time}: ours {left.get(time, 'none')}, upstream's {right.get(time, 'none')}"
    return ""


def equal(left: float, right: float, scale: float = 1.0) -> bool:
    if left == right or (math.isnan(left) and math.isnan(right)):
        return True
    difference = abs(left - right)
    return difference <= TOLERANCE * max(abs(left), abs(right)) or difference <= RESIDUE * scale
