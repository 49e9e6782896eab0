"""Domains: counting pods by zone, by host, by any label of their nodes.

A topology key is a node label; nodes with equal values are one domain. With the label's column of small integers, a count per node becomes
a count per domain by one `bincount`, and comes back to the nodes by indexing.
"""

import numpy as np
from numpy.typing import NDArray

from podium.scheduler.columns import Columns, Integers, Mask

HOSTNAME = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


class Domains:
    """The domains of one key over the slots in use. `ids` are domain numbers per slot, `count` for nodes without the label."""

    __slots__ = ("count", "has", "ids")

    def __init__(self, columns: Columns, key: str) -> None:
        column = columns.label(key)
        raw = column.ids[: columns.size]
        self.count = len(column.values)
        self.has: Mask = raw >= 0
        self.ids: NDArray[np.int32] = np.where(self.has, raw, np.int32(self.count))

    def sums(self, per_node: Integers, counted: Mask | None = None) -> Integers:
        """The sum per domain, over the `counted` nodes. The entry past the last is that of nodes without the label."""
        if counted is not None:
            return np.bincount(self.ids[counted], weights=per_node[counted], minlength=self.count + 1).astype(np.int64)
        return np.bincount(self.ids, weights=per_node, minlength=self.count + 1).astype(np.int64)

    def seen(self, counted: Mask) -> Mask:
        """Which domains have a node among `counted`."""
        found = np.zeros(self.count + 1, np.bool_)
        found[self.ids[counted]] = True
        return found

    def per_node(self, per_domain: Integers) -> Integers:
        return per_domain[self.ids]
