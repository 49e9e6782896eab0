"""A worker: one thread that does what would keep the event loop waiting (the disk, compression), one job after another.

`run` awaits a job's result. Under a virtual clock, or where there is no loop to keep free, `InlineWorker` does the same at once in place:
what uses a worker runs in a rehearsal too, and in the same order.

Bounded by its users: each awaits its job, so there are as many jobs as awaiting tasks.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class Worker(Protocol):
    async def run(self, work: Callable[[], T]) -> T:
        """What `work()` returns or raises. Cancelling the caller does not stop a job that has begun."""
        ...

    def stop(self) -> None:
        """After the jobs handed over so far. Does not wait. Idempotent."""
        ...


class InlineWorker:
    async def run(self, work: Callable[[], T]) -> T:
        return work()

    def stop(self) -> None:
        return


class ThreadWorker:
    """Belongs to the loop of its first `run`."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
            self._thread.start()
        assert self._loop is loop, "a worker belongs to the loop that first used it"
        future: asyncio.Future[Any] = loop.create_future()
        self._jobs.put((work, future))
        result: T = await future
        return result

    def stop(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            work, future = job
            result: Any = None
            error: BaseException | None = None
            try:
                result = work()
            except BaseException as raised:  # whatever it was: the one who awaits it decides
                error = raised
            assert self._loop is not None
            try:
                self._loop.call_soon_threadsafe(_settle, future, result, error)
            except RuntimeError:  # the loop was closed under us: nobody is left to tell
                return


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():  # cancelled
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
