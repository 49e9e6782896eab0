"""Secrets and ConfigMaps that plans ask for: read when first asked for, kept until `forget`.

They are read, not watched: a cluster has many, and few are referred to. A plan is a pure function of what it can look up at once, so it is
made again until all that it asked for has been read.
"""

from collections.abc import Callable
from typing import TypeVar

from podium.client.interface import Client
from podium.objects.resources import resource
from podium.objects.status import NotFound
from podium.telemetry.prometheus_operator.credentials import Lookup, Object

ROUNDS_MAX = 100
T = TypeVar("T")


class References:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._read: dict[tuple[str, str, str], Object | None] = {}

    def forget(self) -> None:
        self._read.clear()

    async def planned(self, plan: Callable[[Lookup], T]) -> T:
        """Raises what `plan` and reading raise."""
        for _ in range(ROUNDS_MAX):
            unread: dict[tuple[str, str, str], None] = {}

            def lookup(kind: str, namespace: str, name: str, unread: dict[tuple[str, str, str], None] = unread) -> Object | None:
                key = (kind, namespace, name)
                if key not in self._read:
                    unread[key] = None
                return self._read.get(key)

            try:
                found = plan(lookup)
            except Exception:
                if not unread:
                    raise
            else:
                if not unread:
                    return found
            for key in unread:
                self._read[key] = await self._fetch(*key)
        raise AssertionError("a plan asks for other objects each time")

    async def _fetch(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            return await self._client.get(resource(kind), name, namespace) if name else None
        except NotFound:
            return None
