"""A control loop: takes keys from a queue and reconciles each until it succeeds.

A reconciliation that fails is retried with the queue's backoff. Conflict, NotFound and AlreadyExists only mean that the mirror was behind,
Unfinished that others have to do their part first: these are retried without noise. Anything else is logged with its key.
"""

from collections.abc import Awaitable, Callable

from podium.client.work_queue import WorkQueue
from podium.instrument.log import logger
from podium.objects.status import AlreadyExists, Conflict, NotFound, ServiceUnavailable, StatusError, TooManyRequests
from podium.world.supervisor import Supervisor

log = logger("client.control_loop")

QUIET_RETRIES_MAX = 12
"""A key that is behind so often in a row (some 20 s of backoff) is worth a line in the log each time."""


class Unfinished(Exception):
    """Raised by a reconciliation that did what it could and waits for others: come back, with backoff."""


def namespace_is_terminating(error: Exception) -> bool:
    """Whether a creation was refused because its namespace is being deleted: no fault, and no use to try again."""
    causes = (error.details or {}).get("causes") or () if isinstance(error, StatusError) else ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


class ControlLoop:
    """`workers` keys are reconciled at a time, never the same key twice at once."""

    def __init__(self, name: str, queue: WorkQueue, reconcile: Callable[[str], Awaitable[None]], workers: int = 1) -> None:
        self.name = name
        self._queue = queue
        self._reconcile = reconcile
        self._workers = workers

    async def run(self) -> None:
        """Forever; ends by cancellation, with its workers."""
        supervisor = Supervisor(self.name)
        self._queue.measure(self.name)
        try:
            for number in range(self._workers):
                supervisor.start(f"{self.name}/{number}", self._work())
            await supervisor.failed()
        finally:
            self._queue.close()
            await supervisor.stop()

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._attempt(key)
            finally:
                self._queue.done(key)

    async def _attempt(self, key: str) -> None:
        try:
            await self._reconcile(key)
        except (Conflict, NotFound, AlreadyExists, Unfinished) as error:
            say = log.warning if self._queue.failures(key) >= QUIET_RETRIES_MAX else log.debug
            say("behind; retrying", loop=self.name, key=key, error=str(error), failures=self._queue.failures(key))
            self._queue.retry(key)
        except (ConnectionError, ServiceUnavailable, TooManyRequests) as error:
            log.info("no answer; retrying", loop=self.name, key=key, error=str(error))
            self._queue.retry(key)
        except StatusError as error:
            say = log.debug if namespace_is_terminating(error) else log.warning
            say("refused; retrying", loop=self.name, key=key, error=str(error))
            self._queue.retry(key)
        except Exception as error:
            log.error("reconciliation failed; retrying", loop=self.name, key=key, error=error)
            self._queue.retry(key)
        else:
            self._queue.forget(key)
