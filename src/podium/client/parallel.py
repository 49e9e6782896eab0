"""Several requests at once, with an owner: they end before the caller goes on, or are cancelled with it."""

from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from podium.world.supervisor import Supervisor

T = TypeVar("T")


async def in_parallel(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T | Exception]:
    """What each returned or raised, in their order. The caller bounds how many there are."""
    supervisor = Supervisor("parallel")
    try:
        tasks = [supervisor.start(str(number), _caught(coroutine)) for number, coroutine in enumerate(coroutines)]
        return [await task for task in tasks]
    finally:
        await supervisor.stop()


async def _caught(coroutine: Coroutine[Any, Any, T]) -> T | Exception:
    try:
        return await coroutine
    except Exception as error:
        return error
