"""Services in the kernel: one nftables table per cluster, changed by small transactions.

The table `ip NAME` has
- `services`, a map from (address, protocol, port) to the chain of that Service port, and `node-ports` from (protocol, port);
- a chain per Service port with endpoints: one rule that translates to an endpoint drawn at random (or by a hash of the client's address
  for sessionAffinity ClientIP, which keeps a client at its endpoint as long as the set of endpoints is the same);
- `hairpin`, the pairs (endpoint, endpoint): a pod that reaches itself through a Service must see another source than itself;
- filter chains that refuse what is addressed to the Service network and was not translated: no such port, or no endpoints.

Traffic of pods meets it in `prerouting`, of this machine in `output`. Sources are kept, except: to oneself (hairpin), and from a pod to
the world outside, which leaves with the machine's address. Node ports answer on the gateway's address only (and on 127.0.0.1 by the
proxy of `loopback_proxy`): nothing listens beyond this machine unless asked.

Invariants: a script given to `nft -f -` is one transaction, so packets meet the old rules or the new ones; the first transaction replaces
the whole table, later ones carry only the difference between two plans; a transaction that fails makes the next one replace everything.
Source: nft(8); the layout is close to kube-proxy's nftables mode (KEP-3866).
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from podium.network.services import Endpoint, Forward

NFT_PATIENCE_S = 20.0
CHAIN_NAME_CHARACTERS_MAX = 120


class RulesRefused(Exception):
    """nft did not take the rules; the message is its first line. The next attempt replaces the whole table."""


@dataclass(frozen=True)
class Site:
    """Where the table stands: `table` its name, the networks, the node's address for pods, and the address of the cluster's DNS."""

    table: str
    pod_cidr: str
    service_cidr: str
    gateway: str
    dns_ip: str = ""


@dataclass(frozen=True)
class Rules:
    """What a table holds, as values. `services` and `node_ports` map an element's key to a chain; `chains` a chain to its translation."""

    services: dict[str, str] = field(default_factory=dict)
    node_ports: dict[str, str] = field(default_factory=dict)
    chains: dict[str, str] = field(default_factory=dict)
    hairpin: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()


def plan_rules(forwards: Iterable[Forward]) -> Rules:
    rules = Rules()
    hairpin: set[str] = set()
    refused: set[str] = set()
    for forward in forwards:
        protocol = forward.protocol.lower()
        keys = [f"{address} . {protocol} . {forward.port}" for address in forward.addresses]
        if forward.endpoints:
            chain = chain_name("service", forward)
            rules.chains[chain] = translation(forward.endpoints, protocol, sticky=forward.sticky)
            rules.services.update((key, chain) for key in keys)
        else:
            refused.update(keys)
        if forward.node_endpoints:
            chain = chain_name("node-port", forward)
            rules.chains[chain] = translation(forward.node_endpoints, protocol, sticky=forward.sticky)
            rules.node_ports[f"{protocol} . {forward.node_port}"] = chain
        hairpin.update(f"{e.ip} . {e.ip}" for e in (*forward.endpoints, *forward.node_endpoints))
    return Rules(rules.services, rules.node_ports, rules.chains, frozenset(hairpin), frozenset(refused))


def chain_name(kind: str, forward: Forward) -> str:
    digest = sha256("/".join(map(str, forward.key)).encode()).hexdigest()[:10]
    return f"{kind}-{digest}-{forward.namespace}/{forward.name}/{forward.protocol.lower()}/{forward.port}"[:CHAIN_NAME_CHARACTERS_MAX]


def translation(endpoints: tuple[Endpoint, ...], protocol: str, *, sticky: bool) -> str:
    """The one rule of a Service port's chain."""
    if len(endpoints) == 1:
        return f"meta l4proto {protocol} dnat to {endpoints[0].ip}:{endpoints[0].port}"
    draw = f"jhash ip saddr mod {len(endpoints)}" if sticky else f"numgen random mod {len(endpoints)}"
    choices = ", ".join(f"{i} : {e.ip} . {e.port}" for i, e in enumerate(endpoints))
    return f"meta l4proto {protocol} dnat ip to {draw} map {{ {choices} }}"


def whole_table(site: Site, rules: Rules) -> str:
    """A script that replaces the table."""
    table = f"ip {site.table}"
    dns = f"ip daddr {site.dns_ip} meta l4proto {{ tcp, udp }} th dport 53 dnat to {site.gateway}:53" if site.dns_ip else ""
    to_node = f"ip daddr {site.gateway} meta l4proto . th dport vmap @node-ports"
    refuse = f"ip daddr {site.service_cidr} ct state new reject with icmp type port-unreachable"
    refuse_others = "ct state new ip daddr . meta l4proto . th dport @refused reject with icmp type port-unreachable"
    lines = [
        f"add table {table}",
        f"delete table {table}",
        f"table {table} {{",
        "  map services { type ipv4_addr . inet_proto . inet_service : verdict; }",
        "  map node-ports { type inet_proto . inet_service : verdict; }",
        "  set hairpin { type ipv4_addr . ipv4_addr; }",
        "  set refused { type ipv4_addr . inet_proto . inet_service; }",
        "  chain translate {",
        *([f"    {dns}"] if dns else []),
        "    ip daddr . meta l4proto . th dport vmap @services",
        f"    {to_node}",
        "  }",
        "  chain prerouting { type nat hook prerouting priority dstnat; policy accept;",
        "    jump translate",
        "  }",
        "  chain output { type nat hook output priority -100; policy accept;",
        "    jump translate",
        "  }",
        "  chain postrouting { type nat hook postrouting priority srcnat; policy accept;",
        "    ct status dnat ip saddr . ip daddr @hairpin masquerade",
        f"    ip saddr {site.pod_cidr} ip daddr != {{ {site.pod_cidr}, {site.service_cidr} }} masquerade",
        "  }",
        "  chain forward { type filter hook forward priority filter; policy accept;",
        f"    {refuse}",
        f"    {refuse_others}",
        "  }",
        "  chain local-output { type filter hook output priority filter; policy accept;",
        f"    {refuse}",
        f"    {refuse_others}",
        "  }",
        "}",
    ]
    return "\n".join([*lines, *difference(site, Rules(), rules)]) + "\n"


def difference(site: Site, old: Rules, new: Rules) -> list[str]:
    """The commands that turn a table of `old` into one of `new`. Elements leave before the chains they point to; chains come before."""
    table = f"ip {site.table}"
    lines: list[str] = []
    for chain, rule in new.chains.items():
        if chain not in old.chains:
            lines.append(f"add chain {table} {chain}")
        elif old.chains[chain] != rule:
            lines.append(f"flush chain {table} {chain}")
        if old.chains.get(chain) != rule:
            lines.append(f"add rule {table} {chain} {rule}")
    for name, before, after in (("services", old.services, new.services), ("node-ports", old.node_ports, new.node_ports)):
        gone = [key for key, chain in before.items() if after.get(key) != chain]
        come = [f"{key} : goto {chain}" for key, chain in after.items() if before.get(key) != chain]
        lines += _elements(table, name, gone, come)
    for name, had, has in (("hairpin", old.hairpin, new.hairpin), ("refused", old.refused, new.refused)):
        lines += _elements(table, name, sorted(had - has), sorted(has - had))
    lines += [f"delete chain {table} {chain}" for chain in old.chains if chain not in new.chains]
    return lines


def _elements(table: str, name: str, gone: list[str], come: list[str]) -> Iterator[str]:
    if gone:
        yield f"delete element {table} {name} {{ {', '.join(gone)} }}"
    if come:
        yield f"add element {table} {name} {{ {', '.join(come)} }}"


class NftablesApplier:
    """Keeps one table equal to the last plan."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._applied: Rules | None = None

    async def apply(self, forwards: Iterable[Forward]) -> None:
        """Raises RulesRefused."""
        wanted = plan_rules(forwards)
        if self._applied is None:
            script = whole_table(self._site, wanted)
        else:
            lines = difference(self._site, self._applied, wanted)
            if not lines:
                return
            script = "\n".join(lines) + "\n"
        self._applied = None
        await run_nft(script)
        self._applied = wanted


async def run_nft(script: str) -> None:
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec("nft", "-f", "-", stdin=pipe, stdout=asyncio.subprocess.DEVNULL, stderr=pipe)
    except OSError as error:
        raise RulesRefused(f"nft cannot be run: {error}") from error
    try:
        async with asyncio.timeout(NFT_PATIENCE_S):
            _, problem = await process.communicate(script.encode())
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise RulesRefused("nft did not answer") from error
    if process.returncode != 0:
        raise RulesRefused((problem.decode(errors="replace").strip().splitlines() or ["nft failed without a reason"])[0])
