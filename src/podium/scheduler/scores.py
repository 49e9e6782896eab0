"""Scores: which of the nodes that can take a pod is the best.

Two tables of functions. An OWN score is `(cluster, demand, rows) -> points`, final and from 0 to 100, and depends on each node alone: it is
computed again only for nodes whose pods changed. A RELATIVE score is `(cluster, demand, feasible) -> points or None`: it is scaled over the
`feasible` slots (a mask; points elsewhere mean nothing), so it is computed for every pod; None when all nodes score alike. The node with
the greatest weighted sum wins. To add a score, write the function and its line in the table.

Source: kubernetes pkg/scheduler/framework/plugins and apis/config/v1/default_plugins.go (weights). Integer arithmetic as there, so that
equal inputs rank equally. Absent: ImageLocality (nodes do not report images to the scheduler yet). All feasible nodes are scored, not a
sample.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from podium.scheduler import node_terms
from podium.scheduler.cluster import Cluster
from podium.scheduler.columns import Integers, Mask, Rows
from podium.scheduler.demand import CPU, MEMORY, Demand, Spread
from podium.scheduler.filters import spread_nodes
from podium.scheduler.topology import HOSTNAME, ZONE, Domains

POINTS_MAX = 100

DEFAULT_SPREADS = ((HOSTNAME, 3), (ZONE, 5))
"""(topology key, max skew) of pods that belong together and say nothing of spreading; never required."""


@dataclass(frozen=True, slots=True)
class OwnScore:
    name: str
    weight: int
    run: Callable[[Cluster, Demand, Rows], Integers]


@dataclass(frozen=True, slots=True)
class RelativeScore:
    name: str
    weight: int
    run: Callable[[Cluster, Demand, Mask], Integers | None]


def least_allocated(cluster: Cluster, demand: Demand, rows: Rows) -> Integers:
    """The free share after placing the pod, averaged over CPU and memory."""
    nodes = cluster.nodes
    total = weights = np.int64(0)
    for row, amount in ((0, demand.scored_cpu), (1, demand.scored_memory)):
        allocatable = nodes.allocatable[row][rows]
        free = allocatable - nodes.scored[row][rows] - amount
        total = total + np.where(free > 0, free, 0) * POINTS_MAX // np.maximum(allocatable, 1)
        weights = weights + (allocatable > 0)
    return total // np.maximum(weights, 1)


def balanced_allocation(cluster: Cluster, demand: Demand, rows: Rows) -> Integers:
    """How close the used shares of CPU and memory are to each other after placing the pod."""
    nodes = cluster.nodes
    cpu, memory = demand.requests.get(CPU, 0), demand.requests.get(MEMORY, 0)
    cpu_all, memory_all = nodes.allocatable[0][rows], nodes.allocatable[1][rows]
    if not cpu and not memory:
        return np.zeros(len(cpu_all), np.int64)
    cpu_share = np.minimum((nodes.requested[0][rows] + cpu) / np.maximum(cpu_all, 1), 1.0)
    memory_share = np.minimum((nodes.requested[1][rows] + memory) / np.maximum(memory_all, 1), 1.0)
    deviation = np.where((cpu_all > 0) & (memory_all > 0), np.abs(cpu_share - memory_share) / 2, 0.0)
    return ((1.0 - deviation) * POINTS_MAX).astype(np.int64)


def taint_toleration(cluster: Cluster, demand: Demand, feasible: Mask) -> Integers | None:
    """Fewer untolerated PreferNoSchedule taints are better."""
    if not any(taint[2] == "PreferNoSchedule" for taints in cluster.nodes.taints.values for taint in taints):
        return None
    counts = node_terms.intolerable_count(cluster.nodes, demand.tolerations, "PreferNoSchedule")[: cluster.nodes.size]
    most = int(counts[feasible].max())
    return POINTS_MAX - counts * POINTS_MAX // most if most else None


def node_affinity(cluster: Cluster, demand: Demand, feasible: Mask) -> Integers | None:
    """The sum of the weights of the preferred terms that match."""
    if not demand.preferred_node_terms:
        return None
    total = np.zeros(cluster.nodes.capacity, np.int64)
    for term in demand.preferred_node_terms:
        if term["weight"]:
            total += term["weight"] * node_terms.term_nodes(cluster.nodes, term["preference"])
    total = total[: cluster.nodes.size]
    most = int(total[feasible].max())
    return total * POINTS_MAX // most if most else None


def pod_topology_spread(cluster: Cluster, demand: Demand, feasible: Mask) -> Integers | None:
    """Fewer pods of the same kind in the node's domains are better; keys with few domains weigh less per pod."""
    spreads = [s for s in demand.spreads if not s.hard] if demand.spreads else default_spreads(cluster, demand)
    if not spreads:
        return None
    nodes = cluster.nodes
    size = nodes.size
    scored = feasible
    if demand.spreads:  # nodes must have all the keys that the pod itself names; for the default ones they need not
        scored = feasible & np.logical_and.reduce([nodes.label(s.topology_key).ids[:size] >= 0 for s in spreads])
    raw = np.zeros(size, np.float64)
    for spread in spreads:
        raw += _spread_cost(cluster, demand, spread, scored)
    cost = np.rint(raw).astype(np.int64)
    among = cost[scored]
    if not len(among):
        return None
    least, most = int(among.min()), int(among.max())
    if most == 0:
        return None if scored is feasible else POINTS_MAX * scored.astype(np.int64)
    points = POINTS_MAX * (most + least - cost) // most
    return points if scored is feasible else np.where(scored, points, 0)


def _spread_cost(cluster: Cluster, demand: Demand, spread: Spread, scored: Mask) -> NDArray[np.float64]:
    nodes = cluster.nodes
    counts = cluster.pods.tally(demand.namespace, spread.selector, spread.selector_key).counts[: nodes.size]
    if spread.topology_key == HOSTNAME:  # a domain per node: its own count, eligible or not
        weight = math.log(np.count_nonzero(scored) + 2)
        return np.where(nodes.label(HOSTNAME).ids[: nodes.size] >= 0, counts * weight + (spread.max_skew - 1), 0.0)
    domain = Domains(nodes, spread.topology_key)
    weight = math.log(np.count_nonzero(domain.seen(scored)) + 2)
    per_domain = domain.sums(counts, spread_nodes(cluster, demand, spread))
    return np.where(domain.has, domain.per_node(per_domain) * weight + (spread.max_skew - 1), 0.0)


def default_spreads(cluster: Cluster, demand: Demand) -> list[Spread]:
    selector = cluster.workloads.selector_for(demand)
    if selector is None:
        return []
    text = str(selector)
    return [Spread(key, skew, False, selector, text) for key, skew in DEFAULT_SPREADS]


def inter_pod_affinity(cluster: Cluster, demand: Demand, feasible: Mask) -> Integers | None:
    """Preferred (anti-)affinity of the pod to pods there, and of pods there to this pod; their required affinity counts a little too."""
    pods, nodes = cluster.pods, cluster.nodes
    wishes = [(term, pods.tally_terms((term,)).counts * term.weight) for term in demand.preferred]
    wishes += [(use.term, use.weights) for use in pods.wishing(demand)]
    if not wishes:
        return None
    total = np.zeros(nodes.size, np.int64)
    for term, weights in wishes:
        domain = Domains(nodes, term.topology_key)
        total += np.where(domain.has, domain.per_node(domain.sums(weights[: nodes.size])), 0)
    among = total[feasible]
    least, most = int(among.min()), int(among.max())
    return (total - least) * POINTS_MAX // (most - least) if most > least else None


OWN_SCORES: tuple[OwnScore, ...] = (
    OwnScore("NodeResourcesFit", 1, least_allocated),
    OwnScore("NodeResourcesBalancedAllocation", 1, balanced_allocation),
)

RELATIVE_SCORES: tuple[RelativeScore, ...] = (
    RelativeScore("TaintToleration", 3, taint_toleration),
    RelativeScore("NodeAffinity", 2, node_affinity),
    RelativeScore("PodTopologySpread", 2, pod_topology_spread),
    RelativeScore("InterPodAffinity", 2, inter_pod_affinity),
)
