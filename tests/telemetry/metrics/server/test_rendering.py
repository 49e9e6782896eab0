"""Numbers and times as clients expect them."""

import json
import math

import numpy as np
import orjson
import pytest

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.promql.results import Matrix, Point, Result, Series, Vector
from podium.telemetry.metrics.server.rendering import matrix_json, number_text, number_texts, result_pieces, time_text

NUMBERS = [
    (0.0, "0"), (-0.0, "-0"), (1.0, "1"), (-1.5, "-1.5"), (100000.0, "100000"), (1e15, "1000000000000000"), (1e20, "100000000000000000000"),
    (123456789012345680000.0, "123456789012345680000"), (1e21, "1e+21"), (1.5e300, "1.5e+300"), (0.00001, "0.00001"), (0.000001, "0.000001"),
    (1e-7, "1e-7"), (1.25e-7, "1.25e-7"), (5e-324, "5e-324"), (1e-10, "1e-10"), (math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"),
    (0.1 + 0.2, "0.30000000000000004"), (10.0, "10"), (10.05, "10.05"), (4.35e-6, "0.00000435"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "text"), NUMBERS)
def test_a_number_is_written_as_go_does(value: float, text: str) -> None:
    assert number_text(value) == text
    assert number_texts(np.array([value])) == [text]


def test_many_numbers_are_written_as_one_by_one() -> None:
    values = np.random.default_rng(7).normal(size=5000) * 10.0 ** np.random.default_rng(8).integers(-4, 12, 5000)
    values[::7] = np.round(values[::7])
    assert number_texts(values) == [number_text(v) for v in values.tolist()]


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "0"), (1000, "1"), (1435781451781, "1435781451.781"), (1500, "1.500"), (-1500, "-1.500"), (5, "0.005")]
)
def test_times_are_seconds(ms: int, text: str) -> None:
    assert time_text(ms) == text


def test_a_long_answer_is_written_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    labels = labels_of({"__name__": "m", "i": "1"})
    points = [Point(labels, n * 1000, float(n)) for n in range(2_500)]
    histogram = Histogram(0, 2, 3.0, positive={1: 2})
    series = [
        Series(labels, np.arange(n) * 1000, rng.normal(size=n), np.arange(h) * 1000, [histogram] * h)
        for n, h in ((0, 0), (1, 0), (0, 3), (45_000, 250), (5, 1))
    ]
    for result, pieces_min in ((Result(Vector(points)), 3), (Result(Matrix(series)), 3), (Result(Vector([])), 1), (Result(Matrix([])), 1)):
        pieces = list(result_pieces(result))
        whole = orjson.loads("{" + "".join(pieces) + "}")["result"]
        assert len(pieces) >= pieces_min
        if isinstance(result.value, Vector):
            assert [p["value"] for p in whole] == [[n, str(n)] for n in range(len(result.value.points))]
        else:
            shown = [(len(s.get("values", ())), len(s.get("histograms", ()))) for s in whole]
            assert shown == [(len(s.times), len(s.histograms)) for s in result.value.series]
            assert all(float(v) == w for s, t in zip(whole, result.value.series, strict=True)
                       for (_, v), w in zip(s.get("values", ()), t.values.tolist(), strict=True))  # fmt: skip


def test_a_few_odd_numbers_among_many_are_written_as_one_by_one() -> None:
    values = np.arange(300) / 7
    values[[0, 9, 299]] = math.nan, 1e300, -math.inf
    assert number_texts(values) == [number_text(v) for v in values.tolist()]


def test_series_of_a_matrix_have_their_own_times_and_values() -> None:
    shared, own = np.array([1000, 2000, 3500]), np.array([2000])
    series = [
        Series((("a", '"%s"'),), shared, np.array([1.5, math.nan, 3.0])),
        Series((("b", "1"),), own, np.array([7.0])),
        Series((("c", "1"),), shared, np.array([0.0, -1.0, 1e-9])),
    ]
    assert matrix_json([]) == "[]"
    assert json.loads(matrix_json(series)) == [
        {"metric": {"a": '"%s"'}, "values": [[1, "1.5"], [2, "NaN"], [3.5, "3"]]},
        {"metric": {"b": "1"}, "values": [[2, "7"]]},
        {"metric": {"c": "1"}, "values": [[1, "0"], [2, "-1"], [3.5, "1e-9"]]},
    ]


def test_more_points_than_are_written_at_once_are_all_written() -> None:
    times = np.arange(20_000) * 1000
    series = [Series((("i", str(i)),), times, np.full(20_000, float(i))) for i in range(4)]
    found = json.loads(matrix_json(series))
    assert [(s["metric"]["i"], len(s["values"]), s["values"][-1]) for s in found] == [(str(i), 20_000, [19_999, str(i)]) for i in range(4)]
