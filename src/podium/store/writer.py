"""The writer: one thread that does the disk's work, one job after another, and reports back on the loop."""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue

Job = tuple[Callable[[], None], Callable[[BaseException | None], None]]


class Writer:
    """Bounded by its users: the store has at most one commit and one step of compaction under way."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def submit(self, work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        """Runs `work` in the thread, then `done(its exception or None)` on the calling loop."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._thread.start()
        assert self._loop is asyncio.get_running_loop(), "a store belongs to the loop that first wrote to it"
        self._jobs.put((work, done))

    def stop(self) -> None:
        """After the jobs submitted so far. Does not wait."""
        self._jobs.put(None)

    def _run(self) -> None:
        assert self._loop is not None
        while (job := self._jobs.get()) is not None:
            work, done = job
            error: BaseException | None = None
            try:
                work()
            except BaseException as raised:  # whatever it was: the store decides on the loop
                error = raised
            try:
                self._loop.call_soon_threadsafe(done, error)
            except RuntimeError:  # the loop was closed under us: nobody is left to tell
                return
