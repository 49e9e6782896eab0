"""Secrets and ConfigMaps that plans ask for: read when first asked for, kept until `forget`.

They are read, not watched: a cluster has many, and few are referred to. A plan is a pure function of what it can look up at once and of its other
inputs, so it is made again until all that it asked for has been read, and is then as good as a new one while these stay as they are.
"""

from collections.abc import Callable, Container, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

from podium.client.interface import Client
from podium.objects.resources import resource
from podium.objects.status import NotFound
from podium.telemetry.prometheus_operator.credentials import Lookup, Object

ROUNDS_MAX = 100
T = TypeVar("T")
Reference = tuple[str, str, str]
"""Kind, namespace, name."""


@dataclass(frozen=True, slots=True)
class _Made:
    inputs: Hashable
    looked_up: dict[Reference, Object | None]
    plan: Any


class References:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._read: dict[Reference, Object | None] = {}
        self._made: dict[Hashable, _Made] = {}

    def forget(self) -> None:
        """Everything is read again; plans stay where that is what it was."""
        self._read.clear()

    def keep(self, keys: Container[Hashable]) -> None:
        """Plans of others will not be asked for any more."""
        self._made = {key: made for key, made in self._made.items() if key in keys}

    async def planned(self, key: Hashable, inputs: Hashable, plan: Callable[[Lookup], T]) -> T:
        """`inputs` stand for all else that `plan` depends on: with equal ones, what was made for `key` before is given again. Raises what `plan` and
        reading raise."""
        made = self._made.get(key)
        if made is not None and made.inputs == inputs and await self._is_as(made.looked_up):
            known: T = made.plan
            return known
        for _ in range(ROUNDS_MAX):
            unread: dict[Reference, None] = {}
            looked_up: dict[Reference, Object | None] = {}

            def lookup(
                kind: str, namespace: str, name: str, unread: dict[Reference, None] = unread,
                looked_up: dict[Reference, Object | None] = looked_up,
            ) -> Object | None:  # fmt: skip
                reference = (kind, namespace, name)
                if reference not in self._read:
                    unread[reference] = None
                found = looked_up[reference] = self._read.get(reference)
                return found

            try:
                found = plan(lookup)
            except Exception:
                if not unread:
                    raise
            else:
                if not unread:
                    self._made[key] = _Made(inputs, looked_up, found)
                    return found
            for reference in unread:
                self._read[reference] = await self._fetch(*reference)
        raise AssertionError("a plan asks for other objects each time")

    async def _is_as(self, looked_up: dict[Reference, Object | None]) -> bool:
        for reference, before in looked_up.items():
            if reference not in self._read:
                self._read[reference] = await self._fetch(*reference)
            if self._read[reference] != before:
                return False
        return True

    async def _fetch(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            return await self._client.get(resource(kind), name, namespace) if name else None
        except NotFound:
            return None
