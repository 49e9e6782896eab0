"""Pod addresses are given once, kept over a restart, and not given again at once."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from podium.network.fabric import Addresses, FabricFailure, Names, veth_prefix

SMALL = IPv4Network("10.1.0.0/29")


def test_addresses_leave_out_network_gateway_and_broadcast(tmp_path: Path) -> None:
    pool = Addresses(SMALL, tmp_path)
    assert [pool.take(f"uid-{i}") for i in range(5)] == [f"10.1.0.{i}" for i in range(2, 7)]
    with pytest.raises(FabricFailure, match="no free pod address"):
        pool.take("one too many")


def test_same_pod_same_address_also_after_a_restart(tmp_path: Path) -> None:
    address = Addresses(SMALL, tmp_path).take("uid")
    again = Addresses(SMALL, tmp_path)
    assert (again.of("uid"), again.take("uid"), again.uids()) == (address, address, ["uid"])


def test_freed_address_is_given_last(tmp_path: Path) -> None:
    pool = Addresses(SMALL, tmp_path)
    first = pool.take("a")
    pool.give_back("a")
    pool.give_back("a")
    assert [pool.take(f"b{i}") for i in range(5)][-1] == first


def test_names_fit_the_kernel() -> None:
    names = Names("podium-abc123", "0f8fad5b-d9cb-469f-a165-70867728950e")
    assert len(names.veth) <= 15
    assert names.veth.startswith(veth_prefix("podium-abc123"))
    assert names.veth != Names("podium-abc123", "other").veth
