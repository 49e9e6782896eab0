"""Run inside a network namespace: builds a fabric with three pods, applies plans, and prints what clients see as KEY=VALUE lines."""

import asyncio
import ctypes
import os
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from podium.network import fabric as fabric_module
from podium.network.fabric import Fabric, teardown
from podium.network.nftables import NftablesApplier, Site
from podium.network.services import Endpoint, Forward

T = TypeVar("T")
NAME = f"podium-{os.getpid() % 0xFFFF:06x}"
SERVICE, GATEWAY = "10.95.0.20", "10.239.0.1"
TIMEOUT_S = 3.0


def inside(netns: str, work: Callable[[], T]) -> T:
    """Runs `work` in a thread that has entered the namespace."""
    answers: list[T] = []

    def enter() -> None:
        with open(netns) as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), 0):
                raise OSError(ctypes.get_errno(), "setns")
        answers.append(work())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return answers[0]


def serve(netns: str, letter: str, port: int = 8080) -> None:
    """A TCP server in that namespace; it answers with its letter and the client's address."""
    listener = inside(netns, lambda: socket.create_server(("0.0.0.0", port)))

    def answer() -> None:
        while True:
            connection, peer = listener.accept()
            connection.sendall(f"{letter} {peer[0]}".encode())
            connection.close()

    threading.Thread(target=answer, daemon=True).start()


def call(address: str, port: int) -> str:
    try:
        with socket.create_connection((address, port), timeout=TIMEOUT_S) as stream:
            return stream.recv(100).decode()
    except ConnectionRefusedError:
        return "refused"
    except OSError as error:
        return type(error).__name__


def letters(address: str, port: int, count: int = 24) -> str:
    return " ".join(sorted({call(address, port).split()[0] for _ in range(count)}))


OUTSIDE = f"{NAME}-world"
UPLINK = """\
link set lo up
netns add WORLD
link add uplink type veth peer name eth0 netns WORLD
addr add 192.0.2.2/24 dev uplink
link set uplink up
route add default via 192.0.2.1
"""
FORWARDING = Path("/proc/sys/net/ipv4/conf/uplink/forwarding")


def make_outside() -> None:
    """Another machine behind the default route, at 192.0.2.1; it knows no way to pods. This one forwards nothing yet."""
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    subprocess.run(["ip", "-batch", "-"], input=UPLINK.replace("WORLD", OUTSIDE), text=True, check=True)
    inner = "link set lo up\naddr add 192.0.2.1/24 dev eth0\nlink set eth0 up\n"
    subprocess.run(["ip", "-netns", OUTSIDE, "-batch", "-"], input=inner, text=True, check=True)
    serve(f"/run/netns/{OUTSIDE}", "world")


def say(key: str, value: str) -> None:
    print(f"{key}={value}", flush=True)


async def main(state: Path) -> None:
    fabric_module.UPLINK_FILE = state / "uplink"
    network = Fabric(NAME, "10.239.0.0/20", "10.239.0.0/16", "10.95.0.0/16", state)
    network.set_up()
    a, b, client = [await network.attach(uid) for uid in ("a", "b", "client")]
    serve(a.netns_path, "a")
    serve(b.netns_path, "b")
    both = (Endpoint(a.ip, 8080), Endpoint(b.ip, 8080))
    web = Forward("default", "web", "", "TCP", 80, (SERVICE,), both, node_port=30080, node_endpoints=both)
    alone = Forward("default", "alone", "", "TCP", 80, ("10.95.0.21",), both[:1])
    empty = Forward("default", "empty", "", "TCP", 80, ("10.95.0.22",), ())
    sticky = Forward("default", "sticky", "", "TCP", 80, ("10.95.0.23",), both, sticky=True)
    applier = NftablesApplier(Site(NAME, "10.239.0.0/16", "10.95.0.0/16", GATEWAY, "10.95.0.10"))
    await applier.apply([web, alone, empty, sticky])

    def from_client(work: Callable[[], T]) -> T:
        return inside(client.netns_path, work)

    say("pod_to_service", from_client(lambda: letters(SERVICE, 80)))
    say("host_to_service", letters(SERVICE, 80))
    seen = from_client(lambda: call(SERVICE, 80)).split()[-1]
    say("pod_source", "kept" if seen == client.ip else seen)
    say("pod_to_itself", inside(a.netns_path, lambda: call("10.95.0.21", 80)).split()[0])
    say("no_endpoints", from_client(lambda: call("10.95.0.22", 80)))
    say("host_no_endpoints", call("10.95.0.22", 80))
    say("undefined_port", from_client(lambda: call(SERVICE, 81)))
    say("node_port_gateway", letters(GATEWAY, 30080))
    say("sticky", "one" if len(from_client(lambda: letters("10.95.0.23", 80)).split()) == 1 else "several")
    say("udp_dns", from_client(udp_through_dns_address))
    say("pod_to_outside", from_client(lambda: call("192.0.2.1", 8080)))
    await applier.apply([replace(web, endpoints=both[1:]), alone, empty])
    say("after_scale_down", from_client(lambda: letters(SERVICE, 80)))
    await applier.apply([alone])
    say("after_delete", from_client(lambda: call(SERVICE, 80)))
    for uid in ("a", "b", "client"):
        await network.detach(uid)
    teardown(NAME)
    say("forwarding", FORWARDING.read_text().strip())
    left = [
        *(p for p in Path("/run/netns").glob(f"{NAME}*") if p.name != OUTSIDE),
        *fabric_module.nft_tables(NAME),
        *(p for p in Path("/sys/class/net").glob(NAME)),
    ]
    say("teardown", "clean" if not left else str(left))


SERVER = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def udp_through_dns_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
        question.settimeout(TIMEOUT_S)
        question.sendto(b"ping", ("10.95.0.10", 53))
        return question.recv(100).decode()


def answer_dns() -> None:
    SERVER.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND: the gateway's address comes with the fabric
    SERVER.bind((GATEWAY, 53))
    while True:
        _, peer = SERVER.recvfrom(100)
        SERVER.sendto(b"pong", peer)


threading.Thread(target=answer_dns, daemon=True).start()
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
code = 1
try:
    make_outside()
    asyncio.run(main(Path(sys.argv[1])))
    code = 0
except BaseException:
    traceback.print_exc()
finally:
    teardown(NAME)
    subprocess.run(["ip", "netns", "del", OUTSIDE], check=False)
    os._exit(code)  # server threads are still there
