"""Differences between two plans turn the first table into the second; checked on a model of the table that obeys nft's order rules."""

import re
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from podium.network.nftables import Rules, Site, difference, plan_rules, whole_table
from podium.network.services import Endpoint, Forward

SITE = Site("podium-test", "10.244.0.0/16", "10.96.0.0/16", "10.244.0.1", "10.96.0.10")


@dataclass
class Table:
    """What nft would hold; refuses what nft refuses."""

    chains: dict[str, list[str]] = field(default_factory=dict)
    elements: dict[str, dict[str, str]] = field(default_factory=lambda: {n: {} for n in ("services", "node-ports", "hairpin", "refused")})

    def obey(self, line: str) -> None:
        verb, what, _, table, name, *rest = line.split(" ", 5)
        assert table == SITE.table
        match verb, what:
            case "add", "chain":
                self.chains.setdefault(name, [])
            case "flush", "chain":
                self.chains[name].clear()
            case "add", "rule":
                self.chains[name].append(rest[0])
            case "delete", "chain":
                pointing = [t for t in self.elements.values() if f"goto {name}" in t.values()]
                assert not pointing, "a chain that is pointed to cannot go"
                del self.chains[name]
            case "add", "element":
                for key, value in elements(rest[0]):
                    assert key not in self.elements[name], "an element is there already"
                    assert not value or value.removeprefix("goto ") in self.chains, "a chain must come before what points to it"
                    self.elements[name][key] = value
            case "delete", "element":
                for key, _ in elements(rest[0]):
                    del self.elements[name][key]


def elements(text: str) -> list[tuple[str, str]]:
    return [(key, value) for entry in text.strip("{ }").split(", ") for key, _, value in [entry.partition(" : ")]]


def expected(rules: Rules) -> Table:
    return Table(
        {chain: [rule] for chain, rule in rules.chains.items()},
        {
            "services": {key: f"goto {chain}" for key, chain in rules.services.items()},
            "node-ports": {key: f"goto {chain}" for key, chain in rules.node_ports.items()},
            "hairpin": dict.fromkeys(rules.hairpin, ""),
            "refused": dict.fromkeys(rules.refused, ""),
        },
    )


ENDPOINTS = st.lists(st.sampled_from([Endpoint(f"10.244.0.{i}", 8080) for i in range(2, 6)]), max_size=3, unique=True).map(tuple)
FORWARDS = st.dictionaries(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["TCP", "UDP"])),
    st.tuples(ENDPOINTS, st.booleans(), st.booleans(), ENDPOINTS),
    max_size=5,
).map(
    lambda chosen: [
        Forward(
            "default", name, "", protocol, 80, (f"10.96.0.{ord(name)}",), endpoints,
            node_port=30000 + ord(name) if on_node else 0, node_endpoints=node_endpoints if on_node else (), sticky=sticky,
        )
        for (name, protocol), (endpoints, sticky, on_node, node_endpoints) in sorted(chosen.items())
    ]
)  # fmt: skip


@given(st.lists(FORWARDS, min_size=1, max_size=4))
def test_any_sequence_of_plans_ends_at_the_last(plans: list[list[Forward]]) -> None:
    table, applied = Table(), Rules()
    for forwards in plans:
        wanted = plan_rules(forwards)
        for line in difference(SITE, applied, wanted):
            table.obey(line)
        applied = wanted
    assert table == expected(applied)
    assert not list(difference(SITE, applied, applied))


def test_a_change_of_endpoints_touches_one_chain_only() -> None:
    two = (Endpoint("10.244.0.2", 80), Endpoint("10.244.0.3", 80))
    services = [Forward("default", name, "", "TCP", 80, (f"10.96.0.{i}",), two) for i, name in enumerate("abcdef", 20)]
    fewer = [*services[:-1], Forward("default", "f", "", "TCP", 80, ("10.96.0.25",), two[:1])]
    lines = difference(SITE, plan_rules(services), plan_rules(fewer))
    assert [line.split()[:2] for line in lines] == [["flush", "chain"], ["add", "rule"]]


def test_whole_table_replaces_what_was_there() -> None:
    script = whole_table(SITE, plan_rules([]))
    assert script.startswith("add table ip podium-test\ndelete table ip podium-test\n")
    assert re.search(r"ip daddr 10\.96\.0\.10 .* dport 53 dnat to 10\.244\.0\.1:53", script)
