"""Series to ask queries about, from a seed: counters with resets, gauges with gaps, a classic histogram, an information metric, numbers that
are none.

Sample times are never whole seconds, and times, ranges, offsets and steps of queries are: then a range that is open on the left (Prometheus 3)
holds the same samples as one that is closed (Prometheus 2). Counters have no gaps and do not begin near zero, for there the two extrapolate
differently.
"""

import random

from podium.telemetry.metrics.labels import Labels, labels_of
from podium.telemetry.metrics.samples import Sample

START_MS = 1_699_999_200_000
LENGTH_S = 5_400
INTERVAL_S = 15
JOBS, INSTANCES, CODES, BOUNDS = ("api", "db", "web"), ("a:80", "b:80", "c:80"), ("200", "404", "500"), ("0.1", "0.5", "1", "5", "+Inf")


def generate(seed: int) -> list[Sample]:
    """By series, ascending in time within each."""
    chance = random.Random(seed)
    found: list[Sample] = []
    for job in JOBS:
        for instance in INSTANCES:
            target = {"job": job, "instance": instance}
            times = _times(chance)
            for code in CODES:
                found += _series({"__name__": "requests_total", "code": code, **target}, times, _counter(chance, len(times)))
            found += _series({"__name__": "temperature", **target}, times, _gauge(chance, len(times)))
            found += _series({"__name__": "queue_length", **target}, times, _with_gaps(chance, _lengths(chance, len(times), 0)))
            found += _series({"__name__": "odd_length", **target}, times, _with_gaps(chance, _lengths(chance, len(times), 0.01)))
            if instance != "c:80":
                found += _histogram(chance, target, times)
        found += _series(
            {"__name__": "build_info", "job": job, "version": f"1.{len(job)}"}, _times(chance), [1.0] * (LENGTH_S // INTERVAL_S)
        )
    return found


def _times(chance: random.Random) -> list[int]:
    first = START_MS + chance.randrange(INTERVAL_S) * 1000 + chance.randrange(1, 999)
    return [first + n * INTERVAL_S * 1000 for n in range(LENGTH_S // INTERVAL_S)]


def _series(labels: dict[str, str], times: list[int], values: list[float | None]) -> list[Sample]:
    named: Labels = labels_of(labels)
    return [Sample(named, time, value) for time, value in zip(times, values, strict=True) if value is not None]


def _counter(chance: random.Random, count: int) -> list[float | None]:
    value, found = chance.uniform(1000, 5000), []
    speed = chance.choice((0.2, 3, 40))
    for _ in range(count):
        value = chance.uniform(500, 600) if chance.random() < 0.01 and value > 700 else value + chance.choice((0, chance.uniform(0, speed)))
        found.append(value)
    return found


def _gauge(chance: random.Random, count: int) -> list[float | None]:
    value, found = chance.uniform(-20, 80), []
    for _ in range(count):
        value += chance.gauss(0, 2)
        found.append(value)
    return found


def _lengths(chance: random.Random, count: int, oddity: float) -> list[float | None]:
    """Whole numbers, now and then none that can be computed with."""
    special = (float("nan"), float("inf"), float("-inf"))
    return [chance.choice(special) if chance.random() < oddity else float(chance.randrange(0, 12)) for _ in range(count)]


def _with_gaps(chance: random.Random, values: list[float | None]) -> list[float | None]:
    gap = 0
    found: list[float | None] = []
    for value in values:
        gap = gap - 1 if gap else chance.choice((3, 10, 40)) if chance.random() < 0.02 else 0
        found.append(None if gap else value)
    return found


def _histogram(chance: random.Random, target: dict[str, str], times: list[int]) -> list[Sample]:
    counts = [1000.0 * (n + 1) for n in range(len(BOUNDS))]
    total = 9000.0
    rows: list[list[float | None]] = [[] for _ in (*BOUNDS, "count", "sum")]
    weights = [chance.random() for _ in BOUNDS]
    for _ in times:
        for _ in range(chance.randrange(6)):
            bucket = chance.choices(range(len(BOUNDS)), weights)[0]
            total += chance.uniform(0, 6)
            for n in range(bucket, len(BOUNDS)):
                counts[n] += 1
        for n, count in enumerate((*counts, counts[-1], total)):
            rows[n].append(count)
    names = [{"__name__": "latency_bucket", "le": bound} for bound in BOUNDS] + [{"__name__": "latency_count"}, {"__name__": "latency_sum"}]
    return [s for labels, row in zip(names, rows, strict=True) for s in _series({**labels, **target}, times, row)]


def open_metrics(samples: list[Sample]) -> str:
    """As promtool imports them."""
    by_name: dict[str, list[str]] = {}
    for sample in samples:
        labels = dict(sample.labels)
        name = labels.pop("__name__")
        inside = ",".join(f'{n}="{v}"' for n, v in labels.items())
        value = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}.get(repr(sample.value), repr(sample.value))
        by_name.setdefault(name, []).append(f"{name}{{{inside}}} {value} {sample.time_ms / 1000:.3f}")
    return "".join(f"{line}\n" for lines in by_name.values() for line in lines) + "# EOF\n"
