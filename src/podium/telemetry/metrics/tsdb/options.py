"""What a user may set of the store, and its limits."""

from dataclasses import dataclass

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Options:
    window_ms: int = 2 * HOUR_MS
    """Length of the shortest blocks; windows begin at multiples of it. Longer blocks are multiples of three."""
    retention_ms: int = 15 * 24 * HOUR_MS
    """Blocks whose samples are all older than the newest sample by this go. 0: no limit by time."""
    retention_bytes: int = 0
    """The oldest blocks go until blocks and head fit. 0: no limit by size."""
    block_max_ms: int = 0
    """Longest range of a compacted block. 0: a tenth of the retention, at most 31 days."""
    out_of_order_window_ms: int = 0
    """How much older than the newest sample of the store one may be that is older than the newest of its series. 0: not at all."""
    series_max: int = 4_000_000
    exemplars_max: int = 100_000
    select_cells_max: int = 200_000_000
    """Values that one select may decode (8 bytes each)."""
    wal_segment_bytes: int = 16 * 1024 * 1024
    wal_bytes_max: int = 256 * 1024 * 1024
    """When the log is longer, what its oldest segment protects is written as chunks, so that it can go."""
    wal_pending_bytes_max: int = 64 * 1024 * 1024
    """What may wait for the disk; an append beyond it raises StorageFailed."""
    flush_interval_s: float = 1.0
    """How long an append may wait for the disk when nobody awaits `synced`."""
    maintenance_interval_s: float = 15.0
    """How often it is looked whether something is to be cut, compacted or dropped."""

    @property
    def block_range_max_ms(self) -> int:
        if self.block_max_ms:
            return self.block_max_ms
        longest = 31 * 24 * HOUR_MS
        return max(self.window_ms, min(longest, self.retention_ms // 10) if self.retention_ms else longest)
