"""A cluster's configuration is decided once and remembered; what cannot be understood is refused."""

import json
import socket
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from podium.cli import addresses
from podium.cli.cluster import load, load_or_create, require
from podium.cli.refusal import Refusal
from tests.cli.clusters import make_cluster


def test_second_start_keeps_what_the_first_decided(tmp_path: Path) -> None:
    first = load_or_create(tmp_path / "d", "simulated", 3)
    assert load_or_create(tmp_path / "d", "auto", None) == first == load(tmp_path / "d")


def test_number_of_simulated_nodes_may_change(tmp_path: Path) -> None:
    first = load_or_create(tmp_path / "d", "simulated", 3)
    again = load_or_create(tmp_path / "d", "auto", 5)
    assert (again.simulated_nodes, again.cluster_id) == (5, first.cluster_id)
    assert require(tmp_path / "d") == again


REFUSED = [
    ("not json", "damaged"),
    (json.dumps({"format": 99}), "another version"),
    (json.dumps({"format": 1, "cluster_id": "abc123"}), "incomplete"),
]


@pytest.mark.parametrize(("text", "why"), REFUSED, ids=[r[1] for r in REFUSED])
def test_file_that_cannot_be_understood_is_refused_and_left(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "cluster.json").write_text(text)
    with pytest.raises(Refusal, match=why):
        load_or_create(tmp_path, "auto", None)
    assert (tmp_path / "cluster.json").read_text() == text


def test_other_runtime_than_at_creation_is_refused(tmp_path: Path) -> None:
    load_or_create(tmp_path, "simulated", None)
    with pytest.raises(Refusal, match="created with --runtime simulated"):
        load_or_create(tmp_path, "process", None)


def test_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal, match="not writable"):
        load_or_create(tmp_path / "file" / "d", "simulated", None)


def test_no_cluster_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="podium up"):
        require(tmp_path)


def test_addresses_derive_from_the_networks(tmp_path: Path) -> None:
    cluster = make_cluster(tmp_path, network="kernel")
    assert (cluster.node_cidr, cluster.gateway_ip, cluster.node_ip) == ("10.244.0.0/20", "10.244.0.1", "10.244.0.1")
    assert (cluster.simulated_cidr, cluster.kubernetes_ip) == ("10.244.128.0/17", "10.96.0.1")


def test_sockets_of_a_long_path_lie_elsewhere(tmp_path: Path) -> None:
    short = make_cluster(tmp_path)
    long = replace(short, data_dir=Path("/" + "x" * 100))
    assert str(long.runtime_socket) == "/run/podium-abc123/containerd.sock"


def test_taken_port_is_passed_over() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert not addresses.port_is_free(taken)
        assert addresses.choose_port(taken, "000000", first=True) != taken


def test_networks_of_clusters_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = [IPv4Network("10.244.0.0/20"), IPv4Network("10.96.0.0/16")]
    monkeypatch.setattr(addresses, "routed_networks", lambda: routes)
    pods, services = addresses.choose_networks("000000", "kernel", first=True)
    assert not any(route.overlaps(pods) or route.overlaps(services) for route in routes)
    assert not pods.overlaps(services)


def test_routes_are_read_from_the_kernel_table(tmp_path: Path) -> None:
    table = tmp_path / "route"
    table.write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\n"
        "br0\t0000F40A\t00000000\t0001\t0\t0\t0\t00F0FFFF\n"
    )
    assert addresses.routed_networks(str(table)) == [IPv4Network("10.244.0.0/20")]


def test_resolvers_are_ipv4_and_at_most_three(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("# none\nsearch x\nnameserver 1.2.3.4\nnameserver ::1\nnameserver 5.6.7.8\nnameserver 9.9.9.9\nnameserver 8.8.8.8\n")
    assert addresses.machine_resolvers(str(path)) == ("1.2.3.4", "5.6.7.8", "9.9.9.9")
