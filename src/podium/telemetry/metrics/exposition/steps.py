"""Long work in steps: generators that yield now and then, so that a page of a million series does not hold up everything else.

`at_once` runs such work to its end; `between_others` lets the event loop turn between two steps.
"""

import asyncio
from collections.abc import Generator
from typing import TypeVar

STEP_ROWS = 1000
"""Rows between two yields: some milliseconds."""

T = TypeVar("T")
Steps = Generator[None, None, T]


def at_once(steps: Steps[T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


async def between_others(steps: Steps[T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)
