"""Filters: which nodes cannot take a pod, and why.

A filter is a function `(cluster, demand, rows) -> list[Verdict]`. `rows` are the slots to judge (a slice of all in use, or some numbers),
and every array in a verdict has their length. No verdict: nothing fails. To add a filter, write the function and its line in FILTERS; the
order there is the order in which a node's reasons are looked for, and the first filter that rejects a node says why.

`depends` says what may be remembered between two pods of the same demand:
* "node": the answer depends only on what nodes are; kept until a node's labels, taints or `unschedulable` change;
* "usage": on a node's own pods too; judged again only for nodes whose pods changed;
* "cluster": on pods anywhere; judged for every pod, with all rows.

Source: kubernetes pkg/scheduler/framework/plugins (reasons and their resolvability word by word). Absent: NodeName (a pod that names its
node never comes here), volume filters (no volumes that
bind to nodes yet), dynamic resources.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from podium.objects.tolerations import tolerates
from podium.scheduler import node_terms
from podium.scheduler.cluster import Cluster
from podium.scheduler.columns import Columns, Mask, Rows
from podium.scheduler.demand import PODS, Demand, PodTerm, Spread
from podium.scheduler.priorities import Sums
from podium.scheduler.topology import Domains

Depends = Literal["node", "usage", "cluster"]

HARD_EFFECTS = ("NoSchedule", "NoExecute")
PORTS_TAKEN = "node(s) didn't have free ports for the requested pod ports"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`failing` nodes are rejected for `reason`. Where `hopeless`, evicting pods would not help (UnschedulableAndUnresolvable upstream)."""

    failing: Mask
    reason: str
    hopeless: Mask | bool


@dataclass(frozen=True, slots=True)
class Filter:
    name: str
    depends: Depends
    run: Callable[[Cluster, Demand, Rows], list[Verdict]]


def node_unschedulable(cluster: Cluster, demand: Demand, rows: Rows) -> list[Verdict]:
    taint = ("node.kubernetes.io/unschedulable", "", "NoSchedule")
    if any(tolerates(t, taint) for t in demand.tolerations):
        return []
    return [Verdict(cluster.nodes.unschedulable[rows], "node(s) were unschedulable", True)]


def taint_toleration(cluster: Cluster, demand: Demand, rows: Rows) -> list[Verdict]:
    failing = ~node_terms.tolerated(cluster.nodes, demand.tolerations, HARD_EFFECTS)
    return [Verdict(failing[rows], "node(s) had untolerated taint(s)", True)]


def node_affinity(cluster: Cluster, demand: Demand, rows: Rows) -> list[Verdict]:
    allowed = node_terms.required_nodes(cluster.nodes, demand)
    if allowed is None:
        return []
    return [Verdict(~allowed[rows], "node(s) didn't match Pod's node affinity/selector", True)]


def node_ports(cluster: Cluster, demand: Demand, rows: Rows) -> list[Verdict]:
    verdicts = []
    for port in demand.ports:
        taken = cluster.nodes.port_taken(port, rows)
        if taken is not None:
            verdicts.append(Verdict(taken, PORTS_TAKEN, False))
    return verdicts[:1] if len(verdicts) < 2 else [Verdict(np.logical_or.reduce([v.failing for v in verdicts]), verdicts[0].reason, False)]


def node_resources_fit(cluster: Cluster, demand: Demand, rows: Rows) -> list[Verdict]:
    return fit_verdicts(cluster.nodes, demand, rows)


def fit_verdicts(nodes: Columns, demand: Demand, rows: Rows, promised: Sums | None = None, leaving: Sums | None = None) -> list[Verdict]:
    """`promised` is taken, too; what is `leaving` is free."""
    verdicts = []
    for name, amount in demand.requests.items():
        row = nodes.resource(name)
        allocatable = nodes.allocatable[row][rows]
        free = allocatable - nodes.requested[row][rows]
        if promised is not None and name in promised.requested:
            free = free - promised.requested[name][rows]
        if leaving is not None and name in leaving.requested:
            free = free + leaving.requested[name][rows]
        failing = free < amount
        if name == PODS:
            verdicts.append(Verdict(failing, "Too many pods", False))
        else:
            verdicts.append(Verdict(failing, f"Insufficient {name}", allocatable < amount))
    return verdicts


def pod_topology_spread(cluster: Cluster, demand: Demand, rows: Rows) -> list[Verdict]:
    """Placing the pod must not make its domain hold more than `max_skew` pods above the least filled domain."""
    hard = [s for s in demand.spreads if s.hard]
    if not hard:
        return []
    nodes = cluster.nodes
    domains = [Domains(nodes, spread.topology_key) for spread in hard]
    labelled = np.logical_and.reduce([d.has for d in domains])
    skewed = np.zeros(nodes.size, np.bool_)
    for spread, domain in zip(hard, domains, strict=True):
        eligible = labelled & spread_nodes(cluster, demand, spread)
        counts = cluster.pods.tally(demand.namespace, spread.selector, spread.selector_key).counts[: nodes.size]
        per_domain = domain.sums(counts, eligible)
        seen = domain.seen(eligible)
        if not seen.any():
            continue
        least = 0 if np.count_nonzero(seen) < spread.domains_min else int(per_domain[seen].min())
        own = 1 if spread.selector.matches(demand.labels) else 0
        skewed |= domain.per_node(per_domain) + own - least > spread.max_skew
    reason = "node(s) didn't match pod topology spread constraints"
    return [
        Verdict(~labelled[rows], reason + " (missing required label)", True),
        Verdict((skewed & labelled)[rows], reason, False),
    ]


def spread_nodes(cluster: Cluster, demand: Demand, spread: Spread) -> Mask:
    """The nodes whose pods count for a constraint (its node inclusion policies)."""
    nodes = cluster.nodes
    mask = nodes.present[: nodes.size]
    if spread.honor_affinity and (allowed := node_terms.required_nodes(nodes, demand)) is not None:
        mask = mask & allowed[: nodes.size]
    if spread.honor_taints:
        mask = mask & node_terms.tolerated(nodes, demand.tolerations, HARD_EFFECTS)[: nodes.size]
    return mask


def inter_pod_affinity(cluster: Cluster, demand: Demand, rows: Rows) -> list[Verdict]:
    verdicts = []
    if demand.affinity:
        verdicts.append(Verdict(~_with_friends(cluster, demand)[rows], "node(s) didn't match pod affinity rules", True))
    if demand.anti_affinity:
        failing = _near(cluster, [(t, cluster.pods.tally_terms((t,)).counts) for t in demand.anti_affinity])
        verdicts.append(Verdict(failing[rows], "node(s) didn't match pod anti-affinity rules", False))
    if objecting := cluster.pods.objecting(demand):
        failing = _near(cluster, [(use.term, use.weights) for use in objecting])
        verdicts.append(Verdict(failing[rows], "node(s) didn't satisfy existing pods anti-affinity rules", False))
    return verdicts


def _with_friends(cluster: Cluster, demand: Demand) -> Mask:
    """Nodes in whose domain, for every term, is a pod that all terms mean. The first pod of a group that means itself may go anywhere
    where the keys are."""
    nodes = cluster.nodes
    counts = cluster.pods.tally_terms(demand.affinity).counts[: nodes.size]
    labelled = np.ones(nodes.size, np.bool_)
    found = np.ones(nodes.size, np.bool_)
    anywhere = False
    for term in demand.affinity:
        domain = Domains(nodes, term.topology_key)
        per_node = domain.per_node(domain.sums(counts))
        labelled &= domain.has
        found &= per_node > 0
        anywhere = anywhere or bool((per_node[domain.has] > 0).any())
    if not anywhere:
        own = cluster.pods.namespace_labels.get(demand.namespace)
        if all(term.matches(demand.namespace, own, demand.labels) for term in demand.affinity):
            return labelled
    return labelled & found


def _near(cluster: Cluster, terms: list[tuple[PodTerm, np.ndarray]]) -> Mask:
    """Nodes in a domain, by any of the terms, where its count is positive."""
    nodes = cluster.nodes
    near = np.zeros(nodes.size, np.bool_)
    for term, counts in terms:
        domain = Domains(nodes, term.topology_key)
        near |= domain.has & (domain.per_node(domain.sums(counts[: nodes.size])) > 0)
    return near


FILTERS: tuple[Filter, ...] = (
    Filter("NodeUnschedulable", "node", node_unschedulable),
    Filter("TaintToleration", "node", taint_toleration),
    Filter("NodeAffinity", "node", node_affinity),
    Filter("NodePorts", "usage", node_ports),
    Filter("NodeResourcesFit", "usage", node_resources_fit),
    Filter("PodTopologySpread", "cluster", pod_topology_spread),
    Filter("InterPodAffinity", "cluster", inter_pod_affinity),
)
