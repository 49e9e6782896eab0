"""The owner of tasks: whoever starts a task starts it here, and stopping is in reverse start order.

asyncio's TaskGroup cancels in the order of a set, which differs from run to run; a bare create_task has no owner at all. A supervisor

* keeps its tasks in start order, and forgets those that ended;
* reports a crash (any exception but cancellation) through the log and `failed()`. Restarting is not its business;
* on `stop()` cancels the newest task, waits for it to end, then the next: so a task may rely on everything started before it.

Invariant: after `stop()` returns, no task of this supervisor runs, but those that ignored cancellation for STOP_PATIENCE_S and were
logged as such.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

STOP_PATIENCE_S = 10.0
"""How long one task may take to end after its cancellation before `stop` goes on without it."""

_log = logging.getLogger("podium.supervisor")  # not instrument.log: world is the lower layer


class Supervisor:
    def __init__(self, name: str) -> None:
        self.name = name
        self._tasks: dict[asyncio.Task[Any], None] = {}  # a dict for its order
        self._crash: BaseException | None = None
        self._crashed = asyncio.Event()
        self._stopping = False

    def start(self, name: str, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs it until it ends or `stop`. Raises RuntimeError once stopping (the coroutine is closed then)."""
        if self._stopping:
            coroutine.close()
            raise RuntimeError(f"supervisor {self.name} is stopping: it does not start {name}")
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self.name}/{name}")
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def running(self) -> list[str]:
        """The names of its tasks, in start order."""
        return [task.get_name() for task in self._tasks]

    @property
    def crash(self) -> BaseException | None:
        """The first one, if there was any."""
        return self._crash

    async def failed(self) -> None:
        """Waits for the first crash and raises it; returns never otherwise."""
        await self._crashed.wait()
        assert self._crash is not None
        raise self._crash

    async def until(self, stopping: asyncio.Event) -> None:
        """Returns when `stopping` is set; raises the first crash if that comes before: how a process waits for its end."""
        loop = asyncio.get_running_loop()
        waits = [loop.create_task(event.wait(), name=f"{self.name}/until") for event in (stopping, self._crashed)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._crash is not None:
            raise self._crash

    async def stop(self) -> None:
        """Idempotent. Called from one of its own tasks, it stops the others and leaves the caller to end by itself.
        When it is itself cancelled, it cancels the rest without waiting for them."""
        self._stopping = True
        caller = asyncio.current_task()
        try:
            for task in reversed([t for t in self._tasks if t is not caller]):
                task.cancel()
                _, pending = await asyncio.wait([task], timeout=STOP_PATIENCE_S)
                if pending:
                    _log.error("task ignores cancellation", extra={"fields": {"task": task.get_name(), "waited_s": STOP_PATIENCE_S}})
        except asyncio.CancelledError:
            for task in reversed([t for t in self._tasks if t is not caller]):
                task.cancel()
            raise

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        _log.error("task crashed", exc_info=error, extra={"fields": {"task": task.get_name()}})
        if self._crash is None:
            self._crash = error
            self._crashed.set()
