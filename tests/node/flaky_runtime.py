"""A simulated runtime that fails or hangs where it is told to: by the number of the call, before or after its effect."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from podium.node.runtime.interface import ImageError, RuntimeFailure
from podium.node.runtime.simulated import SimulatedRuntime
from podium.world.interface import World

STEPS = (
    "ensure_image", "run_sandbox", "create_container", "start_container", "stop_container", "stop_sandbox", "remove_container",
    "remove_sandbox", "update_container",
)  # fmt: skip


class FlakyRuntime:
    """`trip(number, name, after)` is called around every changing call and may raise; `missing` images cannot be pulled."""

    def __init__(self, world: World) -> None:
        self.inner = SimulatedRuntime(world, "n1", "10.0.1.0/24")
        self.calls: list[str] = []
        self.trip: Callable[[int, str, bool], None] = lambda number, name, after: None
        self.hang_at = -1
        self.missing: set[str] = set()
        for name in STEPS:
            setattr(self, name, self._wrapped(name))

    def __getattr__(self, name: str) -> Any:
        if name == "adopt":
            raise AttributeError(name)  # it survives the agent, as real runtimes do
        return getattr(self.inner, name)

    def _wrapped(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            number = len(self.calls)
            self.calls.append(name)
            if name == "ensure_image" and arguments[0] in self.missing:
                raise ImageError(f"{arguments[0]}: not found")
            if number == self.hang_at:
                await asyncio.sleep(1_000_000)
            self.trip(number, name, False)
            result = await getattr(self.inner, name)(*arguments)
            self.trip(number, name, True)
            return result

        return call

    async def changes(self) -> AsyncIterator[str]:
        async for uid in self.inner.changes():
            yield uid

    def fail_at(self, number: int, after: bool) -> None:
        def trip(n: int, name: str, is_after: bool) -> None:
            if n == number and is_after == after:
                raise RuntimeFailure(f"{name} failed")

        self.trip = trip
