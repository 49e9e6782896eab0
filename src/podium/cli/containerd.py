"""A containerd of the cluster's own: its state lies in the data directory, so that clusters do not meet and `down` leaves nothing.

The machine's containerd, if one runs, is left alone: its configuration (CNI directory, sandbox image, cgroup driver) belongs to someone else.
Source: containerd docs/cri/config.md (configuration version 2, read by 1.6 and newer).
"""

import json
import shutil
import socket
import time
from pathlib import Path

from podium.cli import processes
from podium.cli.cluster import Cluster, write_atomically
from podium.cli.processes import Process
from podium.cli.refusal import Refusal

SANDBOX_IMAGE = "podium.dev/pause:1"
CNI_PLUGIN_DIRS = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
UNUSED_PLUGINS = (
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
    "io.containerd.internal.v1.opt",
    "io.containerd.tracing.processor.v1.otlp",
)


def state_dir(cluster: Cluster) -> Path:
    return cluster.socket_dir / "containerd"


def root_dir(cluster: Cluster) -> Path:
    return cluster.data_dir / "containerd"


def cni_config_dir(cluster: Cluster) -> Path:
    return cluster.data_dir / "cni"


def addresses_dir(cluster: Cluster) -> Path:
    return cluster.run_dir / "cni"


def cni_plugin_dir() -> str:
    found = next((d for d in CNI_PLUGIN_DIRS if (Path(d) / "ptp").exists()), None)
    if found is None:
        raise Refusal("no CNI plugins in /opt/cni/bin or /usr/lib/cni: install containernetworking-plugins, or use --runtime process")
    return found


def configuration(cluster: Cluster) -> str:
    """config.toml; json.dumps quotes strings as TOML does."""
    quote = json.dumps
    return f"""version = 2
root = {quote(str(root_dir(cluster)))}
state = {quote(str(state_dir(cluster)))}
disabled_plugins = {quote(list(UNUSED_PLUGINS))}
oom_score = -999

[grpc]
  address = {quote(str(cluster.runtime_socket))}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = {quote(SANDBOX_IMAGE)}
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  max_container_log_line_size = 16384
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = {quote(cni_plugin_dir())}
    conf_dir = {quote(str(cni_config_dir(cluster)))}
    max_conf_num = 1
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""


def network_list(cluster: Cluster, mtu: int) -> str:
    """The CNI network of container pods: one veth per pod, routed by the host (plugin ptp), so that a Service's address translation
    sees every packet, also between two pods of this node; the same addresses as the fabric would give."""
    ptp = {
        "type": "ptp",
        "ipMasq": False,
        "mtu": mtu,
        "ipam": {
            "type": "host-local",
            "dataDir": str(addresses_dir(cluster)),
            "ranges": [[{"subnet": cluster.node_cidr, "gateway": cluster.gateway_ip}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    plugins = [ptp, {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}]
    return json.dumps({"cniVersion": "0.4.0", "name": cluster.network_device, "plugins": plugins}, indent=2) + "\n"


def start(cluster: Cluster, restarts: int = 0) -> Process:
    from podium.network import fabric

    binary = shutil.which("containerd")
    if binary is None:
        raise Refusal("containerd is not installed: install it (tools/setup_system.py), or use --runtime process")
    for directory in (root_dir(cluster), state_dir(cluster), cni_config_dir(cluster)):
        directory.mkdir(parents=True, exist_ok=True, mode=0o711)
    write_atomically(cni_config_dir(cluster) / "10-podium.conflist", network_list(cluster, fabric.uplink_mtu()))
    if not Path(f"/sys/class/net/{cluster.network_device}").exists():
        shutil.rmtree(addresses_dir(cluster), ignore_errors=True)  # a new kernel: no pod of before is there
    config = root_dir(cluster) / "config.toml"
    write_atomically(config, configuration(cluster))
    return processes.spawn(cluster, processes.CONTAINERD, [binary, "--config", str(config), "--log-level", "warn"], restarts=restarts)


def answers(cluster: Cluster) -> bool:
    """Whether something accepts on its socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(cluster.runtime_socket))
        except OSError:
            return False
        return True


def ensure_running(cluster: Cluster, patience_s: float = 10.0) -> None:
    """For `down` after everything was killed: pods can only be ended through it. Raises Refusal when it does not answer."""
    recorded = processes.read(cluster, processes.CONTAINERD)
    process = recorded if recorded is not None and recorded.alive else start(cluster)
    deadline = time.monotonic() + patience_s
    while not answers(cluster):
        if time.monotonic() > deadline or not process.alive:
            raise Refusal(f"containerd does not answer at {cluster.runtime_socket}: see {cluster.log_dir}/containerd.log")
        time.sleep(0.02)
