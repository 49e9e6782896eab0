"""Numbers of each series, by id: arrays that grow with the index."""

import numpy as np

from podium.telemetry.metrics.samples import ABSENT
from podium.telemetry.metrics.tsdb.columns import Ids

NEVER = -(2**62)
"""A time before all others."""
NOWHERE = -1
GROWTH = 8
"""Arrays grow by 1 / GROWTH at least: a copy of them costs little beside registering the series."""


class SeriesState:
    """What the head knows of each series. `last_value` is ABSENT when it is not known, or is a histogram."""

    def __init__(self) -> None:
        self.last_ms = np.full(1024, NEVER, np.int64)
        self.first_ms = np.full(1024, -NEVER, np.int64)
        self.last_value = np.full(1024, ABSENT)
        self.group = np.full(1024, NOWHERE, np.int32)
        self.row = np.zeros(1024, np.int32)

    def cover(self, allocated: int) -> None:
        """Makes room for ids below `allocated`."""
        size = len(self.last_ms)
        if allocated <= size:
            return
        more = max(allocated, size + size // GROWTH) - size
        self.last_ms = np.concatenate([self.last_ms, np.full(more, NEVER, np.int64)])
        self.first_ms = np.concatenate([self.first_ms, np.full(more, -NEVER, np.int64)])
        self.last_value = np.concatenate([self.last_value, np.full(more, ABSENT)])
        self.group = np.concatenate([self.group, np.full(more, NOWHERE, np.int32)])
        self.row = np.concatenate([self.row, np.zeros(more, np.int32)])

    def reset(self, ids: Ids) -> None:
        """The ids will be other series."""
        self.last_ms[ids] = NEVER
        self.first_ms[ids] = -NEVER
        self.last_value[ids] = ABSENT
        self.group[ids] = NOWHERE
