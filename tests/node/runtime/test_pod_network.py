from pathlib import Path

import pytest

from podium.node.runtime.interface import RuntimeFailure
from podium.node.runtime.pod_network import LoopbackNetwork, loopback_cidr


async def test_every_sandbox_has_its_own_address(tmp_path: Path) -> None:
    network = LoopbackNetwork(tmp_path, "127.70.0.0/16")
    addresses = [await network.attach(uid) for uid in ("a", "b", "a")]
    assert [address.ip for address in addresses] == ["127.70.0.2", "127.70.0.3", "127.70.0.2"]
    assert {address.netns_path for address in addresses} == {None}


async def test_addresses_survive_the_agent_and_are_reused_last(tmp_path: Path) -> None:
    first = LoopbackNetwork(tmp_path, "127.70.0.0/29")
    for uid in ("a", "b"):
        await first.attach(uid)
    later = LoopbackNetwork(tmp_path, "127.70.0.0/29")
    assert (await later.attach("b")).ip == "127.70.0.3"
    await later.detach("a")
    await later.detach("unknown")
    assert [(await later.attach(uid)).ip for uid in ("c", "d", "e", "f")] == ["127.70.0.2", "127.70.0.4", "127.70.0.5", "127.70.0.6"]


async def test_a_full_network_is_refused(tmp_path: Path) -> None:
    network = LoopbackNetwork(tmp_path, "127.70.0.0/30")
    await network.attach("a")
    with pytest.raises(RuntimeFailure, match="no free pod address"):
        await network.attach("b")


def test_the_network_comes_from_the_directory() -> None:
    assert loopback_cidr(Path("/a")) == loopback_cidr(Path("/a")) != loopback_cidr(Path("/b"))
