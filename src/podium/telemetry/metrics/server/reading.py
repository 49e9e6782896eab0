"""Reads of the store for the API: expressions are matched in steps first, so that others have their turn, and failures become answers."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from podium.telemetry.metrics.errors import LimitExceeded, StorageFailed
from podium.telemetry.metrics.exposition.steps import between_others
from podium.telemetry.metrics.labels import Matcher
from podium.telemetry.metrics.server.errors import ApiError
from podium.telemetry.metrics.server.sources import Sources


@contextmanager
def answered() -> Iterator[None]:
    """Raises ApiError for what a read raises."""
    try:
        yield
    except LimitExceeded as error:
        raise ApiError("execution", str(error)) from error
    except StorageFailed as error:
        raise ApiError("internal", str(error)) from error


async def decided(sources: Sources, selectors: Iterable[Sequence[Matcher]]) -> None:
    """Before the reads with these selectors. Raises ApiError."""
    with answered():
        for matchers in selectors:
            await between_others(sources.storage.deciding(matchers))
