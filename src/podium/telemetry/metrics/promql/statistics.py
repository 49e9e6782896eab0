"""What a query cost: time by phase, samples by step. The names are those of upstream's query API (`stats=all`) and query log.

Source: Prometheus' util/stats; `samples` counts each time a sample is looked at, by step.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from podium.telemetry.metrics.promql.frames import Steps
from podium.telemetry.metrics.samples import Times


@dataclass(slots=True)
class Statistics:
    queue_s: float = 0.0
    preparation_s: float = 0.0
    inner_s: float = 0.0
    sort_s: float = 0.0
    total_s: float = 0.0
    samples_total: int = 0
    samples_peak: int = 0
    steps: Steps = field(default_factory=lambda: Steps(0, 1, 0))
    per_step: Times | None = None  # (T,) samples; None: not asked for

    def count(self, samples: Any) -> None:
        """Samples looked at: (T,) of the query's steps, or one number for all steps together."""
        self.samples_total += int(np.sum(samples))
        if self.per_step is not None:
            if np.size(samples) == len(self.per_step):
                self.per_step += np.asarray(samples, np.int64)
            elif len(self.per_step):
                self.per_step[-1] += int(np.sum(samples))

    def to_json(self, *, per_step: bool = False) -> dict[str, Any]:
        """As in answers of the query API."""
        timings = {
            "evalTotalTime": self.preparation_s + self.inner_s + self.sort_s,
            "resultSortTime": self.sort_s,
            "queryPreparationTime": self.preparation_s,
            "innerEvalTime": self.inner_s,
            "execQueueTime": self.queue_s,
            "execTotalTime": self.total_s,
        }
        samples: dict[str, Any] = {"totalQueryableSamples": self.samples_total, "peakSamples": self.samples_peak}
        if per_step and self.per_step is not None:
            times = (self.steps.times / 1000).tolist()
            samples["totalQueryableSamplesPerStep"] = [list(p) for p in zip(times, self.per_step.tolist(), strict=True)]
        return {"timings": timings, "samples": samples}
