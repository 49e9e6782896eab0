"""A store of samples for tests: the product's own simplest one, which scripts of queries use too."""

from podium.telemetry.metrics.memory_samples import MemoryLayout, MemorySamples

__all__ = ["MemoryLayout", "MemorySamples"]
