"""From what a piece of a chunk holds (chunk.py) back to the values of its rows: what `encode` took away is added again.

A row of running sums is a line, `first + base * column`, and the sums on it. Where the whole piece stays within 32 bits this is done in 32-bit
integers, half the memory and a third of the time; otherwise in floats, in which every step is exact too: see `chunk.LINE_MAX`. Any range of
columns can be restored by itself. A row of steps has to be summed from its first column on.

Bounds: RESTORED_CELLS values of floats are worked on at a time, so that they stay in a core's cache.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from podium.telemetry.metrics.samples import Values

RESTORED_CELLS = 1 << 15
_INT32 = 1 << 31


def running(numbers: npt.NDArray[np.uint32], bases: npt.NDArray[np.int64], firsts: Values, start: int, values: Values) -> None:
    """Fills `values` (S, W) with columns [start, start + W). `numbers` (S, any) are running sums modulo 2**32, those of a row within 2**31."""
    end = start + values.shape[1]
    most = int(numbers.max())
    if most < _INT32:
        sums, offsets = numbers[:, start:end].view(np.int32), firsts - numbers[:, 0]
    else:
        sums, offsets = (numbers[:, start:end] - numbers[:, :1]).view(np.int32), firsts
        most = max(int(sums.max()), -int(sums.min()))
    reach = float(np.abs(bases).max()) * end + float(np.abs(offsets).max())
    if most + reach < _INT32:
        line = np.multiply(bases.astype(np.int32)[:, None], np.arange(start, end, dtype=np.int32))
        line += sums
        line += offsets.astype(np.int32)[:, None]
        values[:] = line
        return
    slopes = np.stack([bases.astype(np.float64), offsets], axis=1)
    along = np.stack([np.arange(start, end, dtype=np.float64), np.ones(end - start)])
    step = max(1, RESTORED_CELLS // max(1, end - start))
    for at in range(0, len(values), step):
        np.add(slopes[at : at + step] @ along, sums[at : at + step], out=values[at : at + step])


def steps(numbers: npt.NDArray[Any], bases: npt.NDArray[np.int64], firsts: Values, start: int, values: Values) -> None:
    """The same, of excesses of each column over the one before."""
    end = start + values.shape[1]
    whole = np.empty((len(values), end)) if start else values
    whole[:, 0] = firsts
    np.add(numbers[:, : end - 1], bases[:, None].astype(np.float64), out=whole[:, 1:])
    np.cumsum(whole, axis=1, out=whole)
    if start:
        values[:] = whole[:, start:]


def scale(digits: npt.NDArray[np.uint8], values: Values) -> None:
    """Decimals were whole numbers: divides each row (S, W) by ten to the power of its digits. In place."""
    if not digits.any():
        return
    if digits.all():
        values /= (10.0**digits)[:, None]
        return
    decimal = np.flatnonzero(digits)
    values[decimal] /= (10.0 ** digits[decimal])[:, None]
