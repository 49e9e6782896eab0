"""What `run_node` and `run_fleet` are told. Decided by main from the cluster's configuration; nothing here is read from a file."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from podium.node.runtime.simulated import Delays

KUBELET_CLIENT = "kube-apiserver-kubelet-client"
PODS_MAX = 110


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One real node.

    `address` is its InternalIP, where pods and the API server reach it. `listen_address` and `port` are where the agent serves logs and
    exec (`tls` None: it does not serve; port 0: any free port). `directory` holds a directory per pod: volumes and logs. `capacity` is in
    quantities (`{"cpu": "4", "memory": "8Gi"}`) and replaces what the machine has. `pod_cidr` is only shown.
    """

    name: str
    address: str
    directory: Path
    port: int = 0
    listen_address: str = ""
    tls: ssl.SSLContext | None = None
    client_common_name: str = KUBELET_CLIENT
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    pod_cidr: str = ""
    pods_max: int = PODS_MAX
    capacity: dict[str, str] = field(default_factory=dict)
    reserved: dict[str, str] = field(default_factory=dict)
    """Taken from the capacity to give what is allocatable."""
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[dict[str, str], ...] = ()
    ca_pem: str = ""
    """The cluster's certificate authority: what kube-root-ca.crt holds, for pods that start before their namespace has it."""


@dataclass(frozen=True, slots=True)
class FleetConfig:
    """`count` simulated nodes `PREFIX-0` and on, spread over `zones`, each with a /24 of `pod_cidr`, or all with the
    whole of it when that is too small for so many (then their podCIDR stays empty). All share one address and port for logs.

    The heartbeat of each is `lease_period_s`, slower than a real node's because a thousand of them share one API server; it stays well
    within the 40 s after which a node counts as lost. Events: warnings only (`quiet`), for the same reason.
    """

    count: int
    prefix: str = "simulated"
    address: str = "127.0.0.1"
    listen_address: str = "127.0.0.1"
    port: int = 0
    tls: ssl.SSLContext | None = None
    client_common_name: str = KUBELET_CLIENT
    pod_cidr: str = "10.128.0.0/9"
    zones: int = 3
    region: str = "simulated"
    pods_max: int = PODS_MAX
    capacity: dict[str, str] = field(default_factory=lambda: {"cpu": "16", "memory": "64Gi", "ephemeral-storage": "200Gi"})
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[dict[str, str], ...] = ()
    delays: Delays = field(default_factory=Delays)
    lease_period_s: float = 20.0
    status_writers: int = 32
    quiet: bool = True

    def node_name(self, number: int) -> str:
        return f"{self.prefix}-{number}"
