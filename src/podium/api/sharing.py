"""Equal values that many requests hold for long, held once: ten thousand watches look at few things in few ways."""

from functools import lru_cache
from typing import Any, TypeVar, cast

SHARED_MAX = 1024
"""Beyond it, the value that was asked for least recently is held by its users alone."""

T = TypeVar("T")


def shared(value: T) -> T:
    """`value`, or one that is equal to it and was given before. It must be immutable and hashable."""
    return cast(T, _first(value))


@lru_cache(maxsize=SHARED_MAX)
def _first(value: Any) -> Any:
    return value
