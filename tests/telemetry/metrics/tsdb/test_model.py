"""The store against a dictionary of series, with random histories: appends, late samples, cuts, compactions, deletions, restarts, crashes.

MODEL_EXAMPLES=2000 python -m pytest tests/telemetry/metrics/tsdb/test_model.py
"""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Matcher, MatchType, labels_of
from podium.telemetry.metrics.samples import ABSENT, STALE, Sample, Scan
from podium.telemetry.metrics.storage import Outcome, Rejected
from podium.telemetry.metrics.tsdb import lifecycle
from podium.telemetry.metrics.tsdb.options import Options
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world import virtual
from tests.fakes.memory_samples import MemorySamples
from tests.telemetry.metrics.tsdb.answers import Found, bits, found, stored

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "2"))
SERIES = [labels_of({"__name__": f"m{i % 3}", "i": str(i), **({"odd": "yes"} if i % 2 else {})}) for i in range(24)]
LAYOUTS = [range(12), range(13), range(5, 20), range(20, 24), [3, 1, 2], range(12, 24), [7, 7, 8]]
WINDOW_MS = 1000
OPTIONS = Options(window_ms=WINDOW_MS, retention_ms=0, block_max_ms=9 * WINDOW_MS, wal_segment_bytes=4000, wal_bytes_max=16_000)


class Model(MemorySamples):
    """The fake, with the out-of-order window and deletions."""

    def __init__(self, window_ms: int) -> None:
        super().__init__()
        self.window_ms = window_ms
        self.newest = -(2**62)

    def accepts(self, sample: Sample, valid_from_ms: int) -> bool:
        """Takes the sample, or says that it is to be refused; a sample that is there already is taken in silence."""
        kept = self.values.get(sample.labels, {})
        same = kept.get(sample.time_ms)
        if same is not None and (not self.is_late(sample, valid_from_ms) or self.window_ms or sample.time_ms == max(kept)):
            if self.is_late(sample, valid_from_ms) and sample.time_ms != max(kept) and sample.time_ms < self.newest - self.window_ms:
                return False
            return stored(same) == stored(sample.value)
        if self.is_late(sample, valid_from_ms) and (not self.window_ms or sample.time_ms < self.newest - self.window_ms):
            return False
        self.values.setdefault(sample.labels, {})[sample.time_ms] = sample.value
        self.newest = max(self.newest, sample.time_ms)
        return True

    def is_late(self, sample: Sample, valid_from_ms: int) -> bool:
        kept = self.values.get(sample.labels, {})
        return sample.time_ms < valid_from_ms or bool(kept and sample.time_ms <= max(kept))

    def delete(self, matchers: list[Matcher], start_ms: int, end_ms: int) -> None:
        for labels in list(self.values):
            if all(m.matches(dict(labels).get(m.name, "")) for m in matchers):
                kept = {t: v for t, v in self.values[labels].items() if not start_ms <= t <= end_ms}
                self.values[labels] = kept
                if not kept:
                    del self.values[labels]


def said(rejected: Rejected, there: list[int]) -> list[str]:
    """Of the samples at these positions of an append."""
    outcomes = rejected.outcomes.tolist() if rejected.outcomes is not None else None
    words = ["taken" if outcomes is None else {Outcome.TAKEN: "taken", Outcome.KNOWN: "known"}.get(outcomes[n], "refused") for n in there]
    assert words.count("refused") == rejected.count
    return words


@dataclass
class History:
    """One random history, from a seed."""

    random: Random
    directory: Path | None
    world: virtual.VirtualWorld
    options: Options
    late: bool
    deletions: bool
    now: int = 10_000
    deleted: bool = False
    scans: list[tuple[Scan, Found]] = field(default_factory=list)
    store: Tsdb = field(init=False)
    model: Model = field(init=False)
    layouts: dict[int, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.store = self.open()
        self.model = Model(self.options.out_of_order_window_ms)

    def open(self) -> Tsdb:
        self.layouts.clear()
        return Tsdb.open(self.directory, self.world, self.options, threads=False)

    async def step(self) -> None:
        steps = [self.append] * 30 + [self.append_samples] * 6 + [self.check] * 2 + [self.maintain, self.jump, self.flush]
        if self.directory is not None:
            steps += [self.restart, self.crash]
        if self.deletions:
            steps += [self.delete, self.clean]
        await self.random.choice(steps)()

    def value(self) -> float:
        odd = self.random.random()
        if odd < 0.05:
            return self.random.choice([STALE, float("nan"), float("inf"), -0.0, 1e300, 0.1])
        return float(self.random.randint(0, 50)) if odd < 0.8 else self.random.random()

    def time(self) -> int:
        if self.late and not self.deleted and self.random.random() < 0.3:
            return self.now - self.random.randint(0, 3000)
        self.now += self.random.choice([0, 1, 5, 5, 5, 5, 40])
        return self.now

    async def append(self) -> None:
        number = self.random.randrange(len(LAYOUTS))
        series = [SERIES[i] for i in LAYOUTS[number]]
        if number not in self.layouts or self.random.random() < 0.1:
            self.layouts[number] = self.store.layout(series)
        for _ in range(self.random.choice([1, 3, 70])):
            time_ms = self.time()
            values = [ABSENT if self.random.random() < 0.03 else self.value() for _ in series]
            samples = [Sample(s, time_ms, v) for s, v in zip(series, values, strict=True) if bits(v) != bits(ABSENT)]
            expected = self.expect(samples)
            rejected = self.store.append(self.layouts[number], time_ms, np.array(values))  # type: ignore[arg-type]
            assert said(rejected, [n for n, v in enumerate(values) if bits(v) != bits(ABSENT)]) == expected, rejected

    async def append_samples(self) -> None:
        samples = []
        for _ in range(self.random.randint(1, 12)):
            labels = self.random.choice(SERIES)
            samples.append(Sample(labels, self.time(), self.value()))
        if self.random.random() < 0.3:
            name = labels_of({"__name__": "native", "i": str(self.random.randrange(3))})
            samples.append(Sample(name, self.time(), Histogram(2, 3.0, self.random.choice([1.0, 2.0, STALE]), positive={1: 2.0, 5: 1.0})))
        samples.sort(key=lambda s: (isinstance(s.value, Histogram), s.time_ms))
        expected = self.expect(samples)
        rejected = self.store.append_samples(samples)
        assert said(rejected, list(range(len(samples)))) == expected, rejected

    def expect(self, samples: list[Sample]) -> list[str]:
        """Of each sample: taken, known or refused. In one append no sample makes another of it older than the window, as all are measured by
        what was there before."""
        expected = []
        for sample in samples:
            known = sample.time_ms in self.model.values.get(sample.labels, {})
            accepted = self.model.accepts(sample, self.store.head.valid_from_ms)
            expected.append(("known" if known else "taken") if accepted else "refused")
        return expected

    async def jump(self) -> None:
        self.now += self.random.randint(0, 2500)

    async def maintain(self) -> None:
        await self.store.synced()
        await lifecycle.maintain(self.store)

    async def flush(self) -> None:
        await self.store.synced()
        await lifecycle.flush(self.store, everything=self.random.random() < 0.5)

    async def restart(self) -> None:
        await self.store.close()
        self.store = self.open()

    async def crash(self) -> None:
        await self.store.synced()
        assert self.store.lock is not None
        self.store.lock.release()
        self.store = self.open()

    async def delete(self) -> None:
        matchers = self.matchers()
        start = self.now - self.random.randint(0, 5000)
        end = start + self.random.randint(0, 3000)
        self.deleted = True
        self.now += 1
        self.model.delete(matchers, start, end)
        self.store.delete_series(matchers, start, end)
        await self.store.synced()
        self.now = max(self.now, end + 1)

    async def clean(self) -> None:
        await self.store.clean_tombstones()

    def matchers(self) -> list[Matcher]:
        choices = [
            Matcher(MatchType.EQUAL, "__name__", f"m{self.random.randrange(4)}"),
            Matcher(MatchType.REGEXP, "i", "1.|2"),
            Matcher(MatchType.EQUAL, "odd", ""),
            Matcher(MatchType.NOT_EQUAL, "odd", "yes"),
            Matcher(MatchType.NOT_REGEXP, "i", ".*3"),
            Matcher(MatchType.REGEXP, "odd", "y.*|"),
        ]
        return self.random.sample(choices, self.random.randint(0, 2))

    async def check(self) -> None:
        matchers = self.matchers()
        start = self.now - self.random.randint(-100, 12_000)
        end = start + self.random.randint(0, 13_000)
        expected = found(self.model.select(matchers, start, end))
        self.compare(found(self.store.select(matchers, start, end)), expected)
        for scan, then in self.scans:  # are of the moment they were made, whatever has become of the store
            self.compare(found(scan.selection()), then)
        self.scans = [(self.store.scan(matchers, start, end), expected)]
        may = set(self.store.series([matchers], start, end))
        assert may >= set(expected)

    async def check_all(self) -> None:
        self.compare(found(self.store.select([], 0, 2**60)), found(self.model.select([], 0, 2**60)))

    def compare(self, actual: Found, expected: Found) -> None:
        """With a message that says where they differ."""
        for labels in sorted(actual.keys() | expected.keys()):
            mine, theirs = actual.get(labels, {}), expected.get(labels, {})
            differing = [(t, mine.get(t), theirs.get(t)) for t in sorted(mine.keys() | theirs.keys()) if mine.get(t) != theirs.get(t)]
            assert not differing, (labels, differing[:5], len(differing), self.now)


def play(seed: int, *, on_disk: bool, late: bool, deletions: bool, steps: int = 40) -> History:
    async def main(world: virtual.VirtualWorld) -> History:
        options = OPTIONS
        if late:
            options = Options(**{**{n: getattr(OPTIONS, n) for n in Options.__dataclass_fields__}, "out_of_order_window_ms": 2500})
        with tempfile.TemporaryDirectory() as name:
            history = History(Random(seed), Path(name) if on_disk else None, world, options, late, deletions)
            for _ in range(steps):
                await history.step()
            await history.check_all()
            await history.store.close()
            if on_disk:
                history.store = history.open()
                await history.check_all()
                assert history.store.failures == {}
                await history.store.close()
            return history

    return virtual.run(main, seed)


quick = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("on_disk", [True, False])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("deletions", [False, True])
@quick
@given(seed=st.integers(0, 2**32))
def test_store_answers_as_a_dictionary_would(on_disk: bool, late: bool, deletions: bool, seed: int) -> None:
    play(seed, on_disk=on_disk, late=late, deletions=deletions)
