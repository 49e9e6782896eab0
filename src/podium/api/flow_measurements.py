"""What flow control counts, under upstream's names (apiserver_flowcontrol_*), by priority level and flow schema.

Source: k8s.io/apiserver pkg/util/flowcontrol/metrics/metrics.go.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from podium.instrument.metrics import Distribution, Registry, Value

QUEUE_FULL, TIME_OUT, CONCURRENCY_LIMIT, CANCELLED = "queue-full", "time-out", "concurrency-limit", "cancelled"
_WAIT_BUCKETS_S = (0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30)
_NAMES = ("priority_level", "flow_schema")


class FlowMeasurements:
    def __init__(self, registry: Registry, limits: Callable[[], Iterable[tuple[str, int]]]) -> None:
        """`limits` gives each level's seats when somebody asks."""
        self._dispatched = registry.counter("apiserver_flowcontrol_dispatched_requests_total", "Requests that were given a seat.", _NAMES)
        text = "Requests that were refused for fairness to others, by reason."
        self._rejected = registry.counter("apiserver_flowcontrol_rejected_requests_total", text, (*_NAMES, "reason"))
        text = "Requests that are being served."
        self._executing = registry.gauge("apiserver_flowcontrol_current_executing_requests", text, _NAMES)
        self._waiting = registry.gauge("apiserver_flowcontrol_current_inqueue_requests", "Requests that wait for a seat.", _NAMES)
        text = "How long requests waited for a seat, and whether they were given one."
        self._waits = registry.histogram("apiserver_flowcontrol_request_wait_duration_seconds", text, (*_NAMES, "execute"), _WAIT_BUCKETS_S)
        name, text = "apiserver_flowcontrol_nominal_limit_seats", "The seats of a level."
        registry.read(name, "gauge", text, ("priority_level",), lambda: [((level,), seats) for level, seats in limits()])

    def of(self, level: str, schema: str) -> "FlowCounters":
        """Made once for each class of requests."""
        return FlowCounters(
            self._dispatched.labels(level, schema), self._executing.labels(level, schema), self._waiting.labels(level, schema),
            self._waits.labels(level, schema, "true"), self._waits.labels(level, schema, "false"),
            lambda reason: self._rejected.labels(level, schema, reason),
        )  # fmt: skip


class FlowCounters:
    __slots__ = ("_dispatched", "_executing", "_rejected", "_served", "_unserved", "_waiting")

    def __init__(
        self,
        dispatched: Value,
        executing: Value,
        waiting: Value,
        served: Distribution,
        unserved: Distribution,
        rejected: Callable[[str], Value],
    ) -> None:
        self._dispatched, self._executing, self._waiting = dispatched, executing, waiting
        self._served, self._unserved, self._rejected = served, unserved, rejected

    def seated(self, waited_s: float = 0.0) -> None:
        self._dispatched.value += 1
        self._executing.value += 1
        self._served.observe(waited_s)

    def left(self) -> None:
        """The seat is free again."""
        self._executing.value -= 1

    def rejected(self, reason: str, waited_s: float = 0.0) -> None:
        self._rejected(reason).add()
        self._unserved.observe(waited_s)

    @contextmanager
    def waiting(self) -> Iterator[Callable[[], float]]:
        """While a request waits; gives how long it has, in seconds."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        self._waiting.value += 1
        try:
            yield lambda: loop.time() - began_s
        finally:
            self._waiting.value -= 1
