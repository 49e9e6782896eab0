"""A store's samples as OpenMetrics text: one line a sample, with its time; by metric name, then by labels, then by time.

For `podium metrics import-openmetrics` and `promtool tsdb create-blocks-from openmetrics`. Left out, as the format has no words for them: native
histograms, exemplars without a place, and the markers that end series (five minutes after its last sample a series is gone anyway).

Memory: one metric's samples at a time.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from podium.instrument.exposition import number
from podium.telemetry.metrics.exposition.writing import write_series
from podium.telemetry.metrics.labels import METRIC_NAME, Labels, Matcher, MatchType
from podium.telemetry.metrics.samples import Times, Values, is_absent, is_stale
from podium.telemetry.metrics.storage import Queryable

EVER_MS = 1 << 60


def write_openmetrics(store: Queryable, path: Path) -> int:
    """How many samples were written. Raises OSError, StorageFailed."""
    written = 0
    with open(path, "wb") as file:
        for name in store.label_values(METRIC_NAME, (), -EVER_MS, EVER_MS):
            for labels, times, values in sorted(_series(store, name), key=lambda run: run[0]):
                written += len(times)
                _write(file, labels, times, values)
        file.write(b"# EOF\n")
    return written


def _series(store: Queryable, name: str) -> Iterator[tuple[Labels, Times, Values]]:
    selection = store.select([Matcher(MatchType.EQUAL, METRIC_NAME, name)], -EVER_MS, EVER_MS)
    rows = selection.labels.rows()
    for columns in selection.columns:
        values = np.ascontiguousarray(columns.values)
        kept = ~(is_absent(values) | is_stale(values))
        for row, mine, chosen in zip(columns.rows.tolist(), values, kept, strict=True):
            if chosen.any():
                yield rows[row], columns.times[chosen], mine[chosen]


def _write(file: BinaryIO, labels: Labels, times: Times, values: Values) -> None:
    head = write_series(labels)
    lines = (f"{head} {number(v)} {t // 1000}.{t % 1000:03d}\n" for t, v in zip(times.tolist(), values.tolist(), strict=True))
    file.write("".join(lines).encode())
