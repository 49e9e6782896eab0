"""Stopping everything on a node for good: for `podium down`, when nobody will adopt what runs."""

from podium.client.parallel import in_parallel
from podium.instrument.log import logger
from podium.node.runtime.interface import ContainerStatus, Runtime

log = logger("node.drain")

AT_ONCE = 32
GRACE_S = 5.0


async def stop_everything(runtime: Runtime, grace_s: float = GRACE_S) -> list[str]:
    """Stops and removes every container, releases and removes every sandbox; returns what could not be, one sentence each.
    preStop hooks do not run, and each container has `grace_s` whatever its pod says: the cluster is going away."""
    problems: list[str] = []

    async def end_container(container: ContainerStatus) -> None:
        await runtime.stop_container(container.id, grace_s)
        await runtime.remove_container(container.id)

    async def end_sandbox(sandbox_id: str) -> None:
        await runtime.stop_sandbox(sandbox_id)
        await runtime.remove_sandbox(sandbox_id)

    containers = await runtime.list_containers()
    for start in range(0, len(containers), AT_ONCE):
        batch = containers[start : start + AT_ONCE]
        results = await in_parallel(end_container(c) for c in batch)
        problems += [f"container {c.name} ({c.id[:12]}): {r}" for c, r in zip(batch, results, strict=True) if isinstance(r, Exception)]
    sandboxes = await runtime.list_sandboxes()
    for start in range(0, len(sandboxes), AT_ONCE):
        boxes = sandboxes[start : start + AT_ONCE]
        results = await in_parallel(end_sandbox(s.id) for s in boxes)
        problems += [f"pod {s.namespace}/{s.name}: {r}" for s, r in zip(boxes, results, strict=True) if isinstance(r, Exception)]
    for problem in problems:
        log.warning("not stopped", what=problem)
    return problems
