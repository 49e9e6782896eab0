import asyncio
import os
from pathlib import Path

import pytest

from podium.node import tmpfs
from podium.node.drain import stop_everything
from podium.node.runtime.interface import RuntimeFailure
from tests.node.flaky_runtime import FlakyRuntime
from tests.node.scene import Scene, container, play, pod


def test_everything_stops_and_goes() -> None:
    async def main(scene: Scene) -> None:
        for number in range(40):
            scene.create(pod(f"web-{number}", containers=[container("a"), container("b")]))
        await asyncio.sleep(10)
        await scene.supervisor.stop()
        assert await stop_everything(scene.runtime) == []
        assert await scene.runtime.list_containers() == [] and await scene.runtime.list_sandboxes() == []

    play(main)


def test_what_cannot_be_stopped_is_named_and_the_rest_goes() -> None:
    async def main(scene: Scene) -> None:
        scene.create(pod("one"))
        scene.create(pod("two"))
        await asyncio.sleep(10)
        await scene.supervisor.stop()
        calls = iter(range(100))

        def trip(number: int, name: str, after: bool) -> None:
            if name == "stop_container" and next(calls) == 0:
                raise RuntimeFailure("it hangs")

        scene.runtime.trip = trip
        problems = await stop_everything(scene.runtime)
        assert len(problems) == 1 and problems[0].endswith("it hangs")
        assert await scene.runtime.list_sandboxes() == []

    play(main, runtime=FlakyRuntime)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_memory_volumes_are_mounted_with_their_limit_and_unmounted(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    tmpfs.mount(tmp_path / "a b", "mode=0777,size=65536")
    try:
        assert tmpfs.is_mounted(tmp_path / "a b")
        with pytest.raises(OSError, match="No space left"):
            (tmp_path / "a b" / "big").write_bytes(b"x" * 100_000)
    finally:
        tmpfs.unmount(tmp_path / "a b")
    assert not tmpfs.is_mounted(tmp_path / "a b")
