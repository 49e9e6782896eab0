"""A store's life, with everything that writes to the disk in it, killed or out of space at each of its steps in turn.

    python -m tests.telemetry.metrics.tsdb.disk_story kill|torn|full [--every N] [--first N]

Prints a line for each step at which something that was acknowledged was lost, came twice, or a file was left over, and then a summary.
"""

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.histogram import Histogram
from podium.telemetry.metrics.labels import Labels, Matcher, MatchType, labels_of
from podium.telemetry.metrics.samples import Sample
from podium.telemetry.metrics.tsdb import lifecycle
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from tests.telemetry.metrics.tsdb.answers import stored
from tests.telemetry.metrics.tsdb.disk_steps import KILLED, Disk, counted
from tests.telemetry.metrics.tsdb.stores import STEP_MS, WINDOW_MS, abandon, all_of, named, opened, scraped, series

COLUMNS = 720
ROUND = 40
RETENTION_MS = 9 * WINDOW_MS
CHANGED = {"retention_ms": RETENTION_MS, "wal_segment_bytes": 3_000, "wal_bytes_max": 9_000, "out_of_order_window_ms": 2 * WINDOW_MS}
DELETED = (200, 260)
"""Columns [first, last) of series 1, deleted when DELETED_AT columns are there."""
DELETED_AT = 480
LATE, NATIVE = labels_of({"__name__": "late"}), labels_of({"__name__": "native"})
Key = tuple[Labels, int]


@dataclass(slots=True)
class Told:
    """What the store acknowledged, and what it was asked for: the truth lies between."""

    asked: dict[Key, object] = field(default_factory=dict)
    acknowledged: set[Key] = field(default_factory=set)
    deletions_asked: set[Key] = field(default_factory=set)
    deleted: set[Key] = field(default_factory=set)

    def replay(self, lines: list[str]) -> "Told":
        for line in lines:
            what, number = line.split()
            getattr(self, f"_{what}")(int(number))
        return self

    def _appending(self, first: int) -> None:
        for k in range(first, first + ROUND):
            for n, labels in enumerate(series(5)):
                self.asked[labels, k * STEP_MS] = stored(n * 100.0 + k)
        for sample in others(first):
            self.asked[sample.labels, sample.time_ms] = stored(sample.value)

    def _synced(self, _: int) -> None:
        self.acknowledged = set(self.asked)

    def _deleting(self, _: int) -> None:
        self.deletions_asked = {(series(5)[1], k * STEP_MS) for k in range(*DELETED)}

    def _deleted(self, _: int) -> None:
        self.deleted = set(self.deletions_asked)

    def complaints(self, store: Tsdb) -> list[str]:
        there = {(labels, t): value for labels, samples in all_of(store).items() for t, value in samples.items()}
        oldest = max((t for _, t in self.asked), default=0) - RETENTION_MS
        lost = {k for k in self.acknowledged - self.deletions_asked - there.keys() if k[1] >= oldest}
        return [
            *(f"lost {key}" for key in sorted(lost)[:3]),
            *(f"never appended {key}" for key in sorted(there.keys() - self.asked.keys())[:3]),
            *(
                f"wrong value {key}: {v} for {self.asked[key]}"
                for key, v in list(there.items())
                if key in self.asked and self.asked[key] != v
            ),
            *(f"deleted and there {key}" for key in sorted(self.deleted & there.keys())[:3]),
            *(f"failures {store.failures}" for _ in store.failures.keys() - {"maintenance"}),
        ]


def others(first: int) -> list[Sample]:
    """Of a round: a sample that comes late, and two native histograms."""
    histograms = [Sample(NATIVE, k * STEP_MS, Histogram(0, float(k), float(k), positive={1: float(k)})) for k in (first, first + 1)]
    return [*histograms, Sample(LATE, first * STEP_MS, 1.0), *([Sample(LATE, (first - ROUND) * STEP_MS - 500, 2.0)] if first else [])]


async def live(store: Tsdb, tell: int) -> None:
    """What fails is tried again a little later, as the store's users do."""

    def say(line: str) -> None:
        os.write(tell, f"{line}\n".encode())

    for first in range(0, COLUMNS, ROUND):
        say(f"appending {first}")
        scraped(store, first, first + ROUND)
        for sample in others(first):
            assert not store.append_samples([sample])
        await _until_done(store.synced)
        say("synced 0")
        if first + ROUND == DELETED_AT:
            say("deleting 0")
            await _until_done(lambda: _delete(store))
            await _until_done(store.synced)
            say("deleted 0")
        await _until_done(lambda: lifecycle.maintain(store))
        if first + ROUND in (DELETED_AT, COLUMNS):
            await _until_done(lambda: store.snapshot(skip_head=False))
            await _until_done(store.clean_tombstones)


async def _delete(store: Tsdb) -> None:
    store.delete_series([*named("m"), Matcher(MatchType.EQUAL, "i", "1")], DELETED[0] * STEP_MS, (DELETED[1] - 1) * STEP_MS)


async def _until_done(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    for _ in range(50):
        try:
            await work()
        except (OSError, StorageFailed):
            continue
        return
    raise AssertionError("it fails for ever")


def forked(work: Callable[[int], None]) -> tuple[int, list[str]]:
    """(exit code, lines that it told)."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        code = 1
        try:
            work(writing)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as lines:
        told = lines.read().splitlines()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), told


def _life(directory: Path, disk: Disk, tell: int) -> None:
    store = opened(directory, **CHANGED)
    with counted(disk):
        asyncio.run(live(store, tell))
    if disk.full:
        told = Told().replay([f"appending {n}" for n in range(0, COLUMNS, ROUND)] + ["synced 0", "deleting 0", "deleted 0"])
        for complaint in told.complaints(store):
            os.write(tell, f"! while it runs: {complaint}\n".encode())
    os.write(tell, f"steps {len(disk.steps)}\n".encode())
    abandon(store)


def _reopened(directory: Path, at: int) -> int:
    def work(_: int) -> None:
        with counted(Disk(at)):
            opened(directory, **CHANGED)

    return forked(work)[0]


def tried(directory: Path, disk: Disk) -> tuple[list[str], int]:
    """(complaints, steps of the whole life or 0 when it was killed)."""
    code, lines = forked(lambda tell: _life(directory, disk, tell))
    complaints = [line[2:] for line in lines if line.startswith("!")]
    steps = [int(line.split()[1]) for line in lines if line.startswith("steps")]
    if code != (0 if steps else KILLED):
        return [f"exit code {code} after {lines[-1:]}"], 0
    for at in range(100):  # killed again while it is opened, at each step
        code = _reopened(directory, at)
        if code != KILLED:
            break
    if code:
        complaints.append(f"cannot be opened: {code}")
        return complaints, sum(steps)
    store = opened(directory, **CHANGED)
    told = Told().replay([line for line in lines if line.split()[0] in ("appending", "synced", "deleting", "deleted")])
    complaints += told.complaints(store)
    complaints += [f"left over {p}" for p in directory.rglob("*tmp*")]
    complaints += [f"set aside {p}" for p in directory.rglob("*.damaged")]
    abandon(store)
    return complaints, sum(steps)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["kill", "torn", "full"])
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args(arguments)
    bad, at, total = 0, options.first, 0
    while True:
        directory = Path(tempfile.mkdtemp(prefix="disk-story-"))
        try:
            disk = Disk(at, full=3 if options.mode == "full" else 0, torn=options.mode == "torn")
            complaints, steps = tried(directory, disk)
        finally:
            shutil.rmtree(directory)
        total += 1
        for complaint in complaints:
            print(f"{options.mode} at step {at}: {complaint}")
        bad += bool(complaints)
        at += options.every
        if steps and at >= steps:
            break
    print(f"{total} lives, {bad} of them bad, steps to {at - options.every}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
