"""What tests say of a selection: its samples series by series, and that it keeps the promises of samples.py."""

import struct
from dataclasses import replace

import numpy as np

from podium.telemetry.metrics.histogram import Histogram, ResetHint
from podium.telemetry.metrics.labels import Labels
from podium.telemetry.metrics.samples import STALE, Selection, is_absent, is_stale

Found = dict[Labels, dict[int, int | Histogram | None]]
"""Of each series its samples: time to bits of the value, to a histogram (without what is known of resets), or to None for a stale histogram."""


def bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def found(selection: Selection) -> Found:
    """Asserts the invariants of a selection on the way."""
    labels = selection.labels.rows()
    assert len(set(labels)) == len(labels) == selection.labels.count
    result: Found = {}
    seen: set[int] = set()
    for columns in selection.columns:
        rows = columns.rows.tolist()
        assert rows == sorted(set(rows)) and not seen & set(rows)
        seen |= set(rows)
        assert columns.values.shape == (len(rows), len(columns.times)) and columns.values.flags.c_contiguous
        assert (np.diff(columns.times) > 0).all()
        absent, stale = is_absent(columns.values), is_stale(columns.values)
        assert not (columns.dense and (absent | stale).any())
        assert not columns.monotonic or (columns.dense and (np.diff(columns.values, axis=1) >= 0).all())
        for n, row in enumerate(rows):
            there = np.flatnonzero(~absent[n])
            assert len(there)
            values = columns.values[n, there].view(np.uint64).tolist()
            result.setdefault(labels[row], {}).update(zip(columns.times[there].tolist(), values, strict=True))
    native = [h.row for h in selection.histograms]
    assert native == sorted(set(native))
    for series in selection.histograms:
        histograms = [h and replace(h, reset_hint=ResetHint.UNKNOWN) for h in series.histograms]
        result.setdefault(labels[series.row], {}).update(zip(series.times.tolist(), histograms, strict=True))
    assert len(result) == len(labels)
    return result


def stored(value: float | Histogram) -> int | Histogram | None:
    """How `found` shows a value that was appended."""
    if isinstance(value, Histogram):
        return None if bits(value.sum) == bits(STALE) else value
    return bits(value)
