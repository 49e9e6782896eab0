"""Which component the running code belongs to, for those who count on its behalf without being told of it: work queues, clients.

Several components share a process (controllers and scheduler, one cluster or many in a test), so a registry cannot be global; and every constructor
taking one would carry it past dozens of classes that do not care. A context variable is inherited by the tasks that a component starts.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from podium.instrument.metrics import Registry

_registry: ContextVar[Registry | None] = ContextVar("registry", default=None)


def current() -> Registry | None:
    """The registry of the component whose task this is; None outside of any."""
    return _registry.get()


@contextmanager
def counting_in(registry: Registry) -> Iterator[None]:
    """What is started inside counts in that registry."""
    token = _registry.set(registry)
    try:
        yield
    finally:
        _registry.reset(token)
