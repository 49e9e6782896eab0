"""Parallel map for pure computations on arrays whose libraries let go of the interpreter's lock.

Results come in the order of the items, so whoever uses it decides the same with one core as with many, and in a rehearsal. The caller waits:
this shortens what would be computed anyway. For what waits for the disk, see worker.py.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")
THREADS_MAX = 8


class Mapper(Protocol):
    def __call__(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """[work(item) for item in items]; raises what the first item that failed raised."""
        ...


def one_by_one(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [work(item) for item in items]


class ParallelMap:
    """A thread for each core that this process may use, made when they are needed first."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pool: ThreadPoolExecutor | None = None
        self._threads = min(THREADS_MAX, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

    def __call__(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        if len(items) < 2 or self._threads < 2:
            return one_by_one(work, items)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, self._name)
        return list(self._pool.map(work, items))

    def stop(self) -> None:
        """Does not wait. Idempotent; used again, it starts again."""
        if self._pool is not None:
            self._pool.shutdown(wait=False)
            self._pool = None
