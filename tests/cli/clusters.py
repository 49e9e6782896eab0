"""A cluster's configuration for tests that start nothing."""

from pathlib import Path

from podium.cli.cluster import Cluster, prepare


def make_cluster(data_dir: Path, **changes: object) -> Cluster:
    settings: dict[str, object] = {
        "cluster_id": "abc123",
        "api_port": 16443,
        "kubelet_port": 20250,
        "service_cidr": "10.96.0.0/16",
        "pod_cidr": "10.244.0.0/16",
        "cluster_domain": "cluster.local",
        "dns_ip": "10.96.0.10",
        "runtime": "simulated",
        "network": "none",
    }
    prepare(data_dir)
    cluster = Cluster(data_dir=data_dir, **{**settings, **changes})  # type: ignore[arg-type]
    cluster.save()
    return cluster
