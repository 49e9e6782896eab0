"""The pod network of one machine: a network namespace and a veth per pod, all of it routed by the host; no device.

A pod has a /32 address and one route: everything goes to the gateway, an address that the host holds on a device of the cluster's own
(`device`: a bridge that never has a port, as not every kernel has dummy devices). The host has a /32 route to each pod's veth. So each
packet between two pods passes the host's IP layer, where a Service's address translation is done and undone for both directions, also
when both pods are on this node. (On a bridge the answer would go straight to the caller, from an address that the caller never spoke to;
and where bridge-nf-call-iptables is on, translation happens in the bridge, which cannot send a packet back through the port it came
from.) Containers get the same by the CNI plugin ptp.

Allocation follows the CNI plugin host-local: one file per address, named by it and holding the pod's uid, made exclusively; the search
starts after the last address given. What the kernel has and what the files say may differ after a crash: `attach` takes what is there,
or makes it anew, and is idempotent, as `detach` is.

Forwarding is switched on for the pods' devices and the device of the default route, not for the machine; `teardown` of the last cluster
puts the latter back.
"""

import asyncio
import contextlib
import ctypes
import os
import subprocess
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

NETNS_DIR = Path("/run/netns")
CONF = Path("/proc/sys/net/ipv4/conf")
UPLINK_FILE = Path("/run/podium/uplink")
COMMAND_PATIENCE_S = 20.0
MAKE_CONCURRENCY_MAX = 4
MTU_DEFAULT = 1500


class FabricFailure(Exception):
    """The kernel or the `ip` tool refused; the message is for an event. Retry with backoff."""


@dataclass(frozen=True, slots=True)
class PodAddress:
    ip: str
    netns_path: str


class Addresses:
    """The pods' addresses, one file each in `directory`. Network, gateway (the first) and broadcast are never given."""

    def __init__(self, network: IPv4Network, directory: Path) -> None:
        self._network = network
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._by_uid: dict[str, str] = {}
        for entry in sorted(directory.iterdir()):
            if not entry.name.startswith("last"):
                self._by_uid[entry.read_text().strip()] = entry.name
        self._taken = set(self._by_uid.values())
        try:
            self._last = int(IPv4Address((directory / "last_reserved").read_text().strip()))
        except (FileNotFoundError, ValueError):
            self._last = int(network.network_address) + 1

    def of(self, uid: str) -> str | None:
        return self._by_uid.get(uid)

    def take(self, uid: str) -> str:
        """The pod's address, the same each time. Raises FabricFailure when all are taken."""
        if uid in self._by_uid:
            return self._by_uid[uid]
        first, last = int(self._network.network_address) + 2, int(self._network.broadcast_address) - 1
        count = last - first + 1
        for step in range(1, count + 1):
            candidate = first + (self._last - first + step) % count
            address = str(IPv4Address(candidate))
            if address not in self._taken and self._reserve(address, uid):
                self._last = candidate
                (self._directory / "last_reserved").write_text(address)
                return address
        raise FabricFailure(f"no free pod address in {self._network}")

    def _reserve(self, address: str, uid: str) -> bool:
        try:
            with open(self._directory / address, "x") as file:
                file.write(uid)
        except FileExistsError:
            return False
        self._by_uid[uid] = address
        self._taken.add(address)
        return True

    def give_back(self, uid: str) -> None:
        address = self._by_uid.pop(uid, None)
        if address is not None:
            self._taken.discard(address)
            (self._directory / address).unlink(missing_ok=True)

    def forget_all(self) -> None:
        for uid in self.uids():
            self.give_back(uid)

    def uids(self) -> list[str]:
        return sorted(self._by_uid)


class Fabric:
    """`PodNetwork` for processes: `attach` and `detach` by pod uid. `device` (15 characters at most) is the prefix of all names it makes.
    Pods get addresses of `node_cidr`; the rest of `pod_cidr` is routed to the device, where nothing answers."""

    def __init__(self, device: str, node_cidr: str, pod_cidr: str, service_cidr: str, state_dir: Path, mtu: int = MTU_DEFAULT) -> None:
        self._device = device
        self._network = IPv4Network(node_cidr)
        self._gateway = str(self._network[1])
        self._routed = (pod_cidr, service_cidr)
        self._mtu = mtu
        self._addresses = Addresses(self._network, state_dir / "addresses")
        self._making = asyncio.Semaphore(MAKE_CONCURRENCY_MAX)

    @property
    def gateway(self) -> str:
        return self._gateway

    def set_up(self) -> None:
        """Makes the device and its routes; keeps what is there. Pod and Service networks are routed to it, so that programs of this
        machine reach Services without a default route and packets to addresses that no pod has do not leave the machine."""
        name = self._device
        if not Path(f"/sys/class/net/{name}").exists():
            self._addresses.forget_all()  # a new kernel: no pod of before is there
            _ip([f"link add {name} mtu {self._mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"])
        routes = [f"route replace {network} dev {name} src {self._gateway}" for network in self._routed]
        _ip([f"addr replace {self._gateway}/32 dev {name}", f"link set {name} up", *routes])
        (CONF / name / "forwarding").write_text("1")
        forward_from_uplink()

    async def attach(self, uid: str) -> PodAddress:
        """The pod's address and network namespace, made when absent. Raises FabricFailure."""
        address = self._addresses.take(uid)
        names = Names(self._device, uid)
        async with self._making:
            if not await self._intact(names, address):
                await self._remove(names)
                await self._make(names, address)
        return PodAddress(address, str(names.path))

    async def _intact(self, names: "Names", address: str) -> bool:
        if not names.path.exists() or not Path(f"/sys/class/net/{names.veth}").exists():
            return False
        try:
            text = await _ip_async([f"-4 -oneline addr show dev eth0 to {address}"], names.netns, batch=False)
        except FabricFailure:
            return False
        return address in text

    async def _make(self, names: "Names", address: str) -> None:
        try:
            await _ip_async([
                f"netns add {names.netns}",
                f"link add {names.veth} mtu {self._mtu} type veth peer name eth0 mtu {self._mtu} netns {names.netns}",
                f"link set {names.veth} up",
                f"route replace {address}/32 dev {names.veth} scope link src {self._gateway}",
            ])  # fmt: skip
            (CONF / names.veth / "forwarding").write_text("1")
            await _ip_async([
                "link set lo up",
                f"addr add {address}/32 dev eth0",
                "link set eth0 up",
                f"route add {self._gateway} dev eth0 scope link",
                f"route add default via {self._gateway} dev eth0 src {address}",
            ], names.netns)  # fmt: skip
        except (FabricFailure, OSError) as error:
            await self._remove(names)
            raise FabricFailure(str(error)) from error

    async def detach(self, uid: str) -> None:
        await self._remove(Names(self._device, uid))
        self._addresses.give_back(uid)

    async def _remove(self, names: "Names") -> None:
        """The namespace goes when its last process does; the veth must not wait for that."""
        if Path(f"/sys/class/net/{names.veth}").exists():
            with contextlib.suppress(FabricFailure):
                await _ip_async([f"link del {names.veth}"])
        if names.path.exists():
            _drop_netns(names.path)

    def attached(self) -> list[str]:
        """Uids of pods that hold an address."""
        return self._addresses.uids()


class Names:
    """What a pod's parts are called: the namespace by cluster and uid; the veth, of 15 characters at most, by a hash of both."""

    def __init__(self, device: str, uid: str) -> None:
        self.netns = f"{device}-{uid}"
        self.path = NETNS_DIR / self.netns
        self.veth = veth_prefix(device) + sha256(f"{device}/{uid}".encode()).hexdigest()[:7]


def veth_prefix(device: str) -> str:
    """`pd` and the cluster's id: 8 characters; 7 digits of the pod's hash follow."""
    return "pd" + device.rpartition("-")[2]


def teardown(device: str) -> None:
    """Takes away all that a fabric of that name made, with or without its state: veths, namespaces, device, routes, nftables tables."""
    gone = sorted(link.name for link in Path("/sys/class/net").glob(f"{veth_prefix(device)}*"))
    for entry in sorted(NETNS_DIR.glob(f"{device}-*")) if NETNS_DIR.exists() else []:
        _drop_netns(entry)
    if Path(f"/sys/class/net/{device}").exists():
        gone.append(device)
    if gone:  # a veth may go with its namespace while we delete it: -force carries on
        _run_ip(["-force", "-batch", "-"], [f"link del {device}" for device in gone])
    for family, table in nft_tables(device):
        subprocess.run(["nft", "delete", "table", family, table], capture_output=True, check=False, timeout=COMMAND_PATIENCE_S)
    restore_uplink()


def forward_from_uplink() -> None:
    """Lets answers from outside reach pods: forwarding on the default route's device. What was is kept in /run, as a reboot resets both.
    (The machine-wide switch is kept as well: the CNI plugin ptp turns it on.)"""
    changed = {device: CONF / device / "forwarding" for device in (default_device(), "all") if device}
    before = {device: setting.read_text().strip() for device, setting in changed.items()}
    if not UPLINK_FILE.exists():
        UPLINK_FILE.parent.mkdir(exist_ok=True, mode=0o755)
        UPLINK_FILE.write_text("".join(f"{device} {value}\n" for device, value in sorted(before.items())))
    for device, setting in changed.items():
        if device != "all":
            setting.write_text("1")


def restore_uplink() -> None:
    """Puts it back when no cluster's device is left. `all` comes first: to write it changes every device. While others have bridges
    (docker0, virbr0), they may rely on forwarding by now, and it stays."""
    if any(Path("/sys/class/net").glob("podium-*")):
        return
    others = any(Path("/sys/class/net").glob("*/bridge"))
    with contextlib.suppress(OSError):
        for line in UPLINK_FILE.read_text().splitlines() if not others else ():
            device, value = line.split()
            setting = CONF / device / "forwarding"
            if setting.read_text().strip() != value:
                setting.write_text(value)
        UPLINK_FILE.unlink()
        UPLINK_FILE.parent.rmdir()


def nft_tables(name: str = "") -> list[tuple[str, str]]:
    """(family, table) of the tables of that name; of all tables for the empty one."""
    try:
        listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False, timeout=COMMAND_PATIENCE_S).stdout
    except FileNotFoundError:
        return []
    rows = [line.split() for line in listed.splitlines()]
    return [(row[1], row[2]) for row in rows if len(row) == 3 and name in ("", row[2])]


def default_device() -> str | None:
    """The device of the IPv4 default route."""
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return None
    return next((columns[0] for line in lines if (columns := line.split())[1] == "00000000" and columns[7] == "00000000"), None)


def uplink_mtu() -> int:
    """The largest packet of the default route's device: a pod's packets must not be larger on their way out."""
    device = default_device()
    try:
        return int(Path(f"/sys/class/net/{device}/mtu").read_text())
    except (OSError, ValueError):
        return MTU_DEFAULT


def _drop_netns(path: Path) -> None:
    """Like `ip netns del`: unmounts the name; the namespace lives on while processes are in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.umount2(os.fsencode(path), 2)
    path.unlink(missing_ok=True)


def _ip(lines: list[str]) -> None:
    done = _run_ip(["-batch", "-"], lines)
    if done.returncode != 0:
        raise FabricFailure(f"ip: {_first_line(done.stderr)}")


def _run_ip(options: list[str], lines: list[str]) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            ["ip", *options], input="\n".join(lines), capture_output=True, text=True, check=False, timeout=COMMAND_PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FabricFailure(f"ip: {error}") from error


async def _ip_async(lines: list[str], netns: str = "", *, batch: bool = True) -> str:
    """One call of `ip` for all lines, in that namespace; its output. Raises FabricFailure."""
    inside = ["-netns", netns] if netns else []
    command = ["ip", *inside, *(["-batch", "-"] if batch else lines[0].split())]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe if batch else asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(COMMAND_PATIENCE_S):
            out, problem = await process.communicate("\n".join(lines).encode() if batch else None)
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise FabricFailure("ip did not answer") from error
    if process.returncode != 0:
        raise FabricFailure(f"ip: {_first_line(problem.decode(errors='replace'))}")
    return out.decode(errors="replace")


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["failed without a reason"])[0]
