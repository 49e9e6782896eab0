"""What the cluster's own containerd is told."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from podium.cli import containerd
from podium.node.images import PAUSE_IMAGE
from tests.cli.clusters import make_cluster


def test_pods_are_routed_with_addresses_of_the_node(tmp_path: Path) -> None:
    cluster = make_cluster(tmp_path, runtime="cri", network="kernel")
    network = json.loads(containerd.network_list(cluster, 1400))
    ptp, portmap = network["plugins"]
    assert (network["name"], ptp["type"], ptp["mtu"], ptp["ipMasq"], portmap["type"]) == ("podium-abc123", "ptp", 1400, False, "portmap")
    assert ptp["ipam"]["ranges"] == [[{"subnet": "10.244.0.0/20", "gateway": "10.244.0.1"}]]
    assert Path(ptp["ipam"]["dataDir"]).is_relative_to(cluster.run_dir)


def test_all_of_its_state_lies_in_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containerd, "cni_plugin_dir", lambda: "/opt/cni/bin")
    cluster = replace(make_cluster(tmp_path, runtime="cri"), data_dir=Path("/data"))
    settings = tomllib.loads(containerd.configuration(cluster))
    plugin = settings["plugins"]["io.containerd.grpc.v1.cri"]
    for path in (settings["root"], settings["state"], settings["grpc"]["address"], plugin["cni"]["conf_dir"]):
        assert Path(path).is_relative_to(cluster.data_dir)
    assert plugin["sandbox_image"] == PAUSE_IMAGE
