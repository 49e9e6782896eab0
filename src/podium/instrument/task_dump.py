"""Where a process waits: on SIGUSR1, every task of its event loop and the line it is at, on standard error (the role's log file).

For the question that no log answers: why does nothing happen? Costs nothing until asked.
"""

import asyncio
import signal
import sys
from typing import Any


def dump_on_signal(number: int = signal.SIGUSR1) -> None:
    """Installs it in the running loop."""
    asyncio.get_running_loop().add_signal_handler(number, dump)


def dump() -> None:
    tasks = sorted(asyncio.all_tasks(), key=lambda task: task.get_name())
    print(f"{len(tasks)} tasks:", file=sys.stderr)
    for task in tasks:
        print(f"  {task.get_name()}: {' < '.join(_places(task))}", file=sys.stderr)
    sys.stderr.flush()


def _places(task: "asyncio.Task[object]") -> list[str]:
    """The innermost place first, following what each coroutine awaits."""
    places = []
    waiting: Any = task.get_coro()
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None) or getattr(waiting, "ag_frame", None)
        if frame is None:
            places.append(repr(waiting)[:80])
            break
        places.append(f"{frame.f_code.co_filename.rpartition('/podium/')[2]}:{frame.f_lineno} {frame.f_code.co_qualname}")
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None) or getattr(waiting, "ag_await", None)
    return places[::-1]
