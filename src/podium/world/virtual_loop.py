"""An event loop whose clock jumps: the whole of virtual time.

asyncio's own machinery (tasks, futures, locks, timeouts) runs on it unchanged. When nothing is ready to run, the clock jumps to
the next timer; nothing ever waits for real. There is no selector: a virtual world has no sockets, threads or processes, and every door
to them is refused by name.

Order, which is what makes runs repeat:

* callbacks run first in, first out;
* timers fire by (deadline, order of scheduling). Callbacks that are ready run before the clock moves;
* so the relative order of any group of tasks that only talk to one another is the same whatever else runs in the loop.

What still depends on addresses in memory, and must not be used in product code: iterating sets of tasks (asyncio.TaskGroup's
cancellation, asyncio.wait's results, asyncio.all_tasks), and async generators left to the garbage collector (close them).

Source: asyncio.base_events (which methods a loop has, what call_at and _run_once promise); the idea is Trio's autojump clock.
"""

import asyncio
import heapq
import inspect
import threading
import weakref
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, NoReturn, TypeVarTuple

Ts = TypeVarTuple("Ts")

ROUNDS_AT_ONE_INSTANT_MAX = 1_000_000
"""Rounds of callbacks without the clock moving before the loop gives up: somebody polls with sleep(0)."""
CANCELLED_TIMERS_MIN = 1_000
"""Cancelled timers are swept out of the heap when there are more than this and more than half of it."""

_REFUSED = (
    "run_in_executor", "set_default_executor", "getaddrinfo", "getnameinfo", "create_connection", "create_server", "start_tls", "sendfile",
    "create_unix_connection", "create_unix_server", "connect_accepted_socket", "create_datagram_endpoint", "connect_read_pipe",
    "connect_write_pipe", "subprocess_shell", "subprocess_exec", "add_reader", "remove_reader", "add_writer", "remove_writer", "sock_recv",
    "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_sendall", "sock_sendto", "sock_connect", "sock_accept", "sock_sendfile",
    "add_signal_handler", "remove_signal_handler",
)  # fmt: skip


class NotVirtual(RuntimeError):
    """Code under a virtual clock reached for a socket, a thread, a process or a signal: give it a simulated one instead."""


class VirtualDeadlock(RuntimeError):
    """Nothing is scheduled and the main coroutine is not done; the message lists what each task waits for."""


class VirtualLivelock(RuntimeError):
    """Callbacks ran for ever without the clock moving."""


class VirtualLoop(asyncio.BaseEventLoop):
    """`callbacks_run` counts every callback: two runs that diverge at all differ in it soon."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_scheduled = 0
        self._timers_cancelled = 0
        self._rounds_now = 0
        self._created: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._tasks_created = 0
        self.callbacks_run = 0

    # Time

    def time(self) -> float:
        return self._now

    def call_later(
        self, delay: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> asyncio.TimerHandle:
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timers_scheduled += 1
        heapq.heappush(self._timers, (when, self._timers_scheduled, timer))
        timer._scheduled = True  # type: ignore[attr-defined]  # asyncio's own mark: cancel() reports to us while it is set
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if not handle._scheduled:  # type: ignore[attr-defined]
            return
        self._timers_cancelled += 1
        if self._timers_cancelled > CANCELLED_TIMERS_MIN and self._timers_cancelled * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if not entry[2].cancelled()]
            heapq.heapify(self._timers)
            self._timers_cancelled = 0

    # Running

    def run_forever(self) -> None:
        self._rounds_now = 0
        super().run_forever()

    def _run_once(self) -> None:
        """One round: move the clock if nothing is ready, move due timers to the ready queue, run what is ready now."""
        ready = self._ready  # type: ignore[attr-defined]  # BaseEventLoop's deque of handles
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
            self._timers_cancelled -= 1
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            if not timers:
                raise VirtualDeadlock(self._describe_deadlock())
            if timers[0][0] > self._now:
                self._now = timers[0][0]
                self._rounds_now = 0
        self._rounds_now += 1
        if self._rounds_now > ROUNDS_AT_ONE_INSTANT_MAX:
            ahead = [repr(handle) for handle in list(ready)[:3]]
            raise VirtualLivelock(f"{ROUNDS_AT_ONE_INSTANT_MAX} rounds of callbacks and the clock still at {self._now} s; next: {ahead}")
        while timers and timers[0][0] <= self._now:
            timer = heapq.heappop(timers)[2]
            timer._scheduled = False  # type: ignore[attr-defined]
            if timer.cancelled():
                self._timers_cancelled -= 1
            else:
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                self.callbacks_run += 1
                handle._run()

    def call_soon_threadsafe(self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None) -> asyncio.Handle:
        thread = self._thread_id  # type: ignore[attr-defined]
        if thread is not None and thread != threading.get_ident():
            raise NotVirtual("call_soon_threadsafe from another thread: a virtual loop has only its own")
        return self.call_soon(callback, *args, context=context)

    def _write_to_self(self) -> None:
        """There is nobody to wake: the loop never waits."""

    def _process_events(self, event_list: Any) -> None:
        """There are none: no selector."""

    # Tasks

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> Any:  # type: ignore[override]  # options differ by version
        self._tasks_created += 1
        options["name"] = options.get("name") or f"task-{self._tasks_created}"  # asyncio's own numbers go on from run to run
        task = super().create_task(coro, **options)
        self._created[task] = self._tasks_created
        return task

    def tasks(self) -> list[asyncio.Task[Any]]:
        """Those not done, in the order they were created."""
        return sorted((t for t in asyncio.all_tasks(self)), key=lambda task: self._created.get(task, 0))

    def _describe_deadlock(self) -> str:
        lines = [f"deadlock at {self._now} s: nothing is scheduled, and these tasks wait:"]
        lines += [f"  {task.get_name()}: {_waiting_at(task)}" for task in self.tasks()]
        return "\n".join(lines)


def _waiting_at(task: "asyncio.Task[Any]") -> str:
    """The chain of awaits, outermost first: `run (mirror.py:80) > wait (locks.py:213)`."""
    steps = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "ag_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is None:
            break
        code = frame.f_code
        steps.append(f"{code.co_name} ({'/'.join(code.co_filename.rsplit('/', 2)[-2:])}:{frame.f_lineno})")
        awaited = next((a for a in (getattr(awaited, n, None) for n in ("cr_await", "ag_await", "gi_yieldfrom")) if a is not None), None)
    if awaited is not None and not inspect.isawaitable(awaited):
        steps.append(type(awaited).__name__)
    return " > ".join(steps) or "has not started"


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse(self: VirtualLoop, *args: Any, **options: Any) -> NoReturn:
        raise NotVirtual(
            f"{name} is refused under a virtual clock, which has no sockets, threads, processes or signals; "
            "use the in-process client, the memory store and the simulated runtime there"
        )

    return refuse


for _name in _REFUSED:
    setattr(VirtualLoop, _name, _refusal(_name))
