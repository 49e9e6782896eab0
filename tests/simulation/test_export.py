"""What is exported is what was there: as text that can be imported, as a directory that can be opened."""

import io
from pathlib import Path

import numpy as np
import pytest

from podium.simulation.export import EVER_MS, write_openmetrics
from podium.telemetry.metrics.errors import StorageFailed
from podium.telemetry.metrics.exposition.history import read_history
from podium.telemetry.metrics.labels import labels_of
from podium.telemetry.metrics.memory_samples import MemorySamples
from podium.telemetry.metrics.samples import STALE, Sample
from podium.telemetry.metrics.tsdb import snapshots
from podium.telemetry.metrics.tsdb.tsdb import Tsdb
from podium.world.virtual import VirtualWorld

A = labels_of({"__name__": "a_total", "path": 'x"\\\ny'})
B = labels_of({"__name__": "b", "job": "z"})
C = labels_of({"__name__": "b", "job": "a"})
D = labels_of({"__name__": "with space", "ü": "1"})
SAMPLES = [
    Sample(A, 1_000, 1.0), Sample(B, 1_000, -0.5), Sample(C, 1_500, float("inf")), Sample(D, 1_500, 1e300),
    Sample(A, 2_001, 2.0), Sample(B, 2_001, STALE), Sample(C, 7_200_000, float("nan")), Sample(A, 7_200_000, 3.0),
]  # fmt: skip
TEXT = """\
a_total{path="x\\"\\\\\\ny"} 1 1.000
a_total{path="x\\"\\\\\\ny"} 2 2.001
a_total{path="x\\"\\\\\\ny"} 3 7200.000
b{job="a"} +Inf 1.500
b{job="a"} NaN 7200.000
b{job="z"} -0.5 1.000
{"with space","ü"="1"} 1e+300 1.500
# EOF
"""


def store() -> Tsdb:
    found = Tsdb.open(None, VirtualWorld(0), threads=False)
    for sample in SAMPLES:
        assert not found.append_samples([sample])
    return found


@pytest.mark.parametrize("kind", ["tsdb", "dictionary"])
def test_text_has_every_sample_by_name_labels_and_time_without_ends(tmp_path: Path, kind: str) -> None:
    source = store() if kind == "tsdb" else MemorySamples()
    if isinstance(source, MemorySamples):
        source.append_samples(SAMPLES)
    assert write_openmetrics(source, tmp_path / "out.txt") == 7
    assert (tmp_path / "out.txt").read_text() == TEXT


def test_text_reads_back_as_the_same_samples(tmp_path: Path) -> None:
    write_openmetrics(store(), tmp_path / "out.txt")
    found = {
        labels: (times.tolist(), values.tolist()) for labels, times, values in read_history(io.BytesIO((tmp_path / "out.txt").read_bytes()))
    }
    assert found[A] == ([1_000, 2_001, 7_200_000], [1.0, 2.0, 3.0])
    assert found[B] == ([1_000], [-0.5])
    assert found[D] == ([1_500], [1e300])


async def test_a_directory_opens_with_the_same_samples_and_their_ends(tmp_path: Path) -> None:
    source = store()
    await snapshots.export(source, tmp_path / "data")
    opened = Tsdb.open(tmp_path / "data", VirtualWorld(0), threads=False)
    assert len(opened.blocks) == 2  # a window of two hours each
    for labels in (A, B, C, D):
        mine, theirs = (
            {t: np.float64(v).tobytes() for c in s.select([], -EVER_MS, EVER_MS).columns for row, values in zip(c.rows, c.values, strict=True)
             if s.select([], -EVER_MS, EVER_MS).labels.row(int(row)) == labels for t, v in zip(c.times.tolist(), values, strict=True)}
            for s in (source, opened)
        )  # fmt: skip
        assert {t: v for t, v in mine.items() if v != _absent()} == {t: v for t, v in theirs.items() if v != _absent()}
    await opened.close()


def _absent() -> bytes:
    from podium.telemetry.metrics.samples import ABSENT

    return np.float64(ABSENT).tobytes()


async def test_nothing_is_written_over_and_nothing_half_done_is_left(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine").write_text("x")
    with pytest.raises(StorageFailed, match="not empty"):
        await snapshots.export(store(), tmp_path / "data")
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageFailed, match="cannot export to"):
        await snapshots.export(store(), tmp_path / "file" / "data")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "file"]
    on_disk = Tsdb.open(tmp_path / "disk", VirtualWorld(0), threads=False)
    with pytest.raises(StorageFailed, match="take a snapshot"):
        await snapshots.export(on_disk, tmp_path / "new")
    await on_disk.close()
