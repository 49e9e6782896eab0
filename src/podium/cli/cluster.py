"""The configuration of one cluster: decided once when it is created, kept in D/cluster.json, remembered afterwards.

A cluster is its data directory. Its layout: pki/ (authority and certificates), store.db, run/ (one file per process, sockets, locks),
log/, pods/, kubeconfig. Ports and networks are chosen free at creation (see `addresses`); a later start keeps them, because
certificates, kubeconfigs and stored Services name them.

Invariants: `cluster.json` is replaced atomically; a file written by a newer Podium is refused rather than half understood.
"""

import contextlib
import errno
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from podium.cli.refusal import Refusal

FORMAT = 1
RUNTIMES = ("auto", "cri", "process", "simulated")
SOCKET_PATH_BYTES_MAX = 100
"""sockaddr_un holds 108 bytes; containerd appends `.ttrpc` to its socket's path."""


@dataclass(frozen=True)
class Cluster:
    """`runtime` is decided: cri, process or simulated, never auto. `network` is `kernel` (namespaces, nftables; root), `loopback`
    (addresses of 127.0.0.0/8, a proxy) or `none` (only simulated pods). `cluster_id` is 6 hex digits."""

    data_dir: Path
    cluster_id: str
    api_port: int
    kubelet_port: int
    service_cidr: str
    pod_cidr: str
    cluster_domain: str
    dns_ip: str
    runtime: str
    network: str
    simulated_nodes: int = 0
    node_name: str = "podium"
    metrics: bool = False
    """Whether the telemetry process runs."""
    metrics_port: int = 0
    """Where it answers, on loopback; 0: not chosen yet."""
    audit_policy_file: str = ""
    """What the API server records of its requests; empty: nothing. Read at its start."""
    audit_log_file: str = ""
    """Where it records it; empty: `audit.log` beside the other logs."""
    admission_config_file: str = ""
    """Settings of admission plugins; empty: none. Read when the API server starts."""
    upstream_dns: tuple[str, ...] = ()
    """Resolvers that names outside the cluster are forwarded to; empty: the machine's own, as they are when the node starts."""

    @property
    def api_host(self) -> str:
        return "127.0.0.1"

    @property
    def api_url(self) -> str:
        return f"https://{self.api_host}:{self.api_port}"

    @property
    def node_cidr(self) -> str:
        """Where pods of the real node get their addresses: the first /20 of the pod network (4,094 addresses)."""
        return str(next(IPv4Network(self.pod_cidr).subnets(new_prefix=20)))

    @property
    def simulated_cidr(self) -> str:
        """Where simulated pods get theirs: the upper half of the pod network."""
        return str(list(IPv4Network(self.pod_cidr).subnets(prefixlen_diff=1))[1])

    @property
    def gateway_ip(self) -> str:
        """The host's address on the pod network: the first of `node_cidr`."""
        return str(IPv4Network(self.node_cidr)[1])

    @property
    def node_ip(self) -> str:
        """The InternalIP of the real node, where its agent listens."""
        return self.gateway_ip if self.network == "kernel" else "127.0.0.1"

    @property
    def kubernetes_ip(self) -> str:
        """The address of the Service `default/kubernetes`: the first of the service network."""
        return str(IPv4Network(self.service_cidr)[1])

    @property
    def api_endpoint_ip(self) -> str:
        """The endpoint of that Service: an address at which pods reach the API server (at `api_port`)."""
        return self.gateway_ip if self.network == "kernel" else self.api_host

    @property
    def network_device(self) -> str:
        """The name of the device with the gateway's address, of its nftables table, and the prefix of its network namespaces."""
        return f"podium-{self.cluster_id}"

    @property
    def pki_dir(self) -> Path:
        return self.data_dir / "pki"

    @property
    def store_path(self) -> Path:
        return self.data_dir / "store.db"

    @property
    def encryption_keys_path(self) -> Path:
        """The keys that seal Secrets in the store, the current one first."""
        return self.pki_dir / "encryption.keys"

    @property
    def run_dir(self) -> Path:
        return self.data_dir / "run"

    @property
    def log_dir(self) -> Path:
        return self.data_dir / "log"

    @property
    def audit_log_path(self) -> Path:
        return Path(self.audit_log_file) if self.audit_log_file else self.log_dir / "audit.log"

    @property
    def authentication_dir(self) -> Path:
        """Identities from outside, written by the user: tokens.csv and config.yaml (api/authentication_config.py); read at start."""
        return self.data_dir / "authentication"

    @property
    def metrics_dir(self) -> Path:
        """Samples, silences and the notification log."""
        return self.data_dir / "metrics"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}"

    @property
    def pods_dir(self) -> Path:
        return self.data_dir / "pods"

    @property
    def processes_dir(self) -> Path:
        """The process runtime's state."""
        return self.data_dir / "processes"

    @property
    def kubeconfig_path(self) -> Path:
        return self.data_dir / "kubeconfig"

    @property
    def socket_dir(self) -> Path:
        """run/ of the data directory, or a short path under /run when that is too long for a socket's name."""
        longest = len(os.fsencode(str(self.run_dir / "containerd.sock.ttrpc")))
        return self.run_dir if longest <= SOCKET_PATH_BYTES_MAX else Path("/run") / self.network_device

    @property
    def runtime_socket(self) -> Path:
        """Where our own containerd listens when `runtime` is cri."""
        return self.socket_dir / "containerd.sock"

    @property
    def path(self) -> Path:
        return self.data_dir / "cluster.json"

    def save(self) -> None:
        value = {"format": FORMAT, **asdict(self)}
        del value["data_dir"]
        write_atomically(self.path, json.dumps(value, indent=2) + "\n")


def default_data_dir() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/podium")
    return Path(os.environ.get("XDG_DATA_HOME") or home() / ".local" / "share") / "podium"


def _default_or_none() -> Path | None:
    try:
        return default_data_dir()
    except Refusal:
        return None


def home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise Refusal("this user has no home directory: set HOME, or give --data-dir and set KUBECONFIG") from None


def resolve_data_dir(given: str | None) -> Path:
    if given is None:
        return default_data_dir()
    try:
        return Path(given).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise Refusal(f"--data-dir {given!r} is no path ({error}): give a directory") from None


def load(data_dir: Path) -> Cluster | None:
    """The cluster kept there, or None when there is none. Raises Refusal when its file cannot be understood."""
    path = data_dir / "cluster.json"
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:
        raise Refusal(f"{path} cannot be read by this user: run as the user that started the cluster, or give another --data-dir") from None
    except OSError as error:
        raise Refusal(f"{path} cannot be read ({error.strerror}): give another --data-dir") from None
    except ValueError:
        raise Refusal(f"{path} is damaged: restore it from a backup, or remove {data_dir} to start anew") from None
    if value.pop("format", None) != FORMAT:
        raise Refusal(f"{path} was written by another version of Podium: use that version, or give another --data-dir")
    known = {f.name for f in fields(Cluster)} - {"data_dir"}
    value["upstream_dns"] = tuple(value.get("upstream_dns", ()))
    try:
        return Cluster(data_dir=data_dir, **{k: v for k, v in value.items() if k in known})
    except TypeError:
        raise Refusal(f"{path} is incomplete: restore it from a backup, or remove {data_dir} to start anew") from None


def require(data_dir: Path) -> Cluster:
    cluster = load(data_dir)
    if cluster is None:
        raise Refusal(f"there is no cluster in {data_dir}: start one with `podium up`, or give its --data-dir")
    return cluster


def with_files(cluster: Cluster, given: Mapping[str, str | None]) -> Cluster:
    """The cluster with these files as settings, by their fields, remembered; None leaves one as it is, an empty one turns it off. Raises
    Refusal."""
    changes = {k: str(Path(v).expanduser().resolve()) if v else "" for k, v in given.items() if v is not None}
    for name, check in (("audit_policy_file", _check_policy), ("admission_config_file", _check_admission)):
        if path := changes.get(name):
            check(path)
    changed = replace(cluster, **changes)  # type: ignore[arg-type]  # all these fields are strings
    if changed != cluster:
        changed.save()
    return changed


def with_metrics(cluster: Cluster, wanted: bool | None) -> Cluster:
    """The cluster with or without metrics, remembered; None leaves it as it is."""
    if wanted is None or (wanted == cluster.metrics and cluster.metrics_port):
        return cluster
    from podium.cli import addresses

    port = cluster.metrics_port or addresses.choose_port(9090, cluster.cluster_id, first=cluster.data_dir == _default_or_none())
    changed = replace(cluster, metrics=wanted, metrics_port=port)
    changed.save()
    return changed


def _check_policy(path: str) -> None:
    from podium.api import audit_policy

    try:
        audit_policy.parse(Path(path).read_text())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise Refusal(f"--audit-policy-file {path}: {error}") from None


def _check_admission(path: str) -> None:
    from podium.api import admission_config

    try:
        admission_config.read(Path(path))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise Refusal(f"--admission-control-config-file {path}: {error}") from None


def load_or_create(data_dir: Path, runtime: str, simulated_nodes: int | None) -> Cluster:
    """The cluster of that directory as the command line wants it: what was decided at creation stays, `simulated_nodes` may change."""
    existing = load(data_dir)
    if existing is None:
        return _create(data_dir, runtime, simulated_nodes or 0)
    if runtime not in ("auto", existing.runtime):
        raise Refusal(
            f"the cluster in {data_dir} was created with --runtime {existing.runtime}: leave --runtime out, or give another --data-dir"
        )
    if simulated_nodes is not None and simulated_nodes != existing.simulated_nodes:
        existing = replace(existing, simulated_nodes=simulated_nodes)
        existing.save()
    return existing


def _create(data_dir: Path, runtime: str, simulated_nodes: int) -> Cluster:
    from podium.cli import addresses

    prepare(data_dir)
    cluster_id = os.urandom(3).hex()
    decided = decide_runtime(runtime)
    network = decide_network(decided)
    first = data_dir == _default_or_none()
    pods, services = addresses.choose_networks(cluster_id, network, first=first)
    cluster = Cluster(
        data_dir=data_dir,
        cluster_id=cluster_id,
        api_port=addresses.choose_port(6443, cluster_id, first=first),
        kubelet_port=addresses.choose_port(10250, cluster_id, first=first),
        service_cidr=str(services),
        pod_cidr=str(pods),
        cluster_domain="cluster.local",
        dns_ip=str(services[10]),
        runtime=decided,
        network=network,
        simulated_nodes=simulated_nodes,
        metrics=True,
        metrics_port=addresses.choose_port(9090, cluster_id, first=first),
    )
    cluster.save()
    return cluster


def prepare(data_dir: Path) -> None:
    """Makes the directories. Raises Refusal when that is not allowed."""
    make_directory(data_dir)
    with _writable(data_dir):
        for name, mode in (("run", 0o700), ("log", 0o700), ("pki", 0o700), ("pods", 0o711)):
            (data_dir / name).mkdir(exist_ok=True, mode=mode)
        probe = data_dir / "run" / f".probe-{os.getpid()}"
        probe.write_text("x")
        probe.unlink()


def make_directory(data_dir: Path) -> None:
    """The data directory itself. Raises Refusal."""
    with _writable(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o711)


@contextlib.contextmanager
def _writable(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Refusal(f"the disk of {data_dir} is full: make room, or choose another with --data-dir") from None
        raise Refusal(f"data directory {data_dir} is not writable ({error.strerror}): choose another with --data-dir") from None


def decide_runtime(wanted: str) -> str:
    """`auto` takes containers when this machine can run them. Raises Refusal when what is wanted cannot be had here."""
    if wanted in ("process", "simulated"):
        if wanted == "process" and not sys.platform.startswith("linux"):
            raise Refusal("--runtime process needs Linux: use --runtime simulated here")
        return wanted
    missing = [tool for tool in ("containerd", "runc", "nft", "ip") if shutil.which(tool) is None]
    if os.geteuid() != 0:
        missing = ["root"]
    if not missing:
        return "cri"
    if wanted == "cri":
        raise Refusal(
            f"--runtime cri needs {' and '.join(missing)}: install what is missing (tools/setup_system.py), or use --runtime process"
        )
    return "process" if sys.platform.startswith("linux") else "simulated"


def decide_network(runtime: str) -> str:
    if runtime == "simulated":
        return "none"
    tools = shutil.which("nft") and shutil.which("ip")
    return "kernel" if os.geteuid() == 0 and tools and sys.platform.startswith("linux") else "loopback"


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replaces the file as a whole, or not at all, also across a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(descriptor, "w") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
