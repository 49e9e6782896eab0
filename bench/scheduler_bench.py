"""How many pods a second the scheduler decides, without the API: `python bench/scheduler_bench.py [--nodes 1000,5000] [--pods 3000]`.

Every workload decides and assumes `pods` pods one after another. Prints JSON: pods per second of CPU time, and microseconds per pod.
"""

import argparse
import json
import random
import time

from podium.scheduler.cluster import Cluster
from podium.scheduler.decision import Decider, Refusal
from podium.scheduler.demand import Demands
from podium.scheduler.preemption import Looks, Preemptor, Victims, plan_preemption

Value = dict


def node(number: int) -> Value:
    labels = {"kubernetes.io/hostname": f"node-{number:05}", "topology.kubernetes.io/zone": f"zone-{number % 3}", "tier": f"t{number % 7}"}
    allocatable = {"cpu": "32", "memory": "128Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    return {"metadata": {"name": f"node-{number:05}", "labels": labels}, "spec": {}, "status": {"allocatable": allocatable}}


def pod(number: int, template: int, **spec: object) -> Value:
    labels = {"app": f"app-{template}", "pod-template-hash": f"hash{template}"}
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"rs-{template}", "uid": f"rs-{template}", "controller": True}
    containers = [{"name": "main", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}]
    metadata = {"name": f"pod-{template}-{number}", "namespace": "bench", "labels": labels, "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": {"containers": containers, **spec}}


def replica_set(template: int) -> Value:
    return {"metadata": {"name": f"rs-{template}", "namespace": "bench"}, "spec": {"selector": {"matchLabels": {"app": f"app-{template}"}}}}


SPREAD = {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule"}
PREFERRED = {"weight": 10, "preference": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["t1"]}]}}
APART = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "app-0"}}}

WORKLOADS = {
    "basic": {"templates": 1},
    "basic, 50 templates": {"templates": 50},
    "hard zone spread": {
        "templates": 1,
        "spec": {"topologySpreadConstraints": [{**SPREAD, "labelSelector": {"matchLabels": {"app": "app-0"}}}]},
    },
    "preferred node affinity": {
        "templates": 1,
        "spec": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [PREFERRED]}}},
    },
    "preferred pod anti-affinity": {
        "templates": 1,
        "spec": {
            "affinity": {
                "podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": APART}]}
            }
        },
    },
}


def measure(nodes: int, pods: int, templates: int, spec: Value | None = None) -> Value:
    cluster = Cluster()
    for number in range(nodes):
        cluster.pods.set_node(node(number))
    for template in range(templates):
        cluster.workloads.set_controller("ReplicaSet", replica_set(template))
    decider, demands = Decider(cluster, random.Random(1)), Demands()
    waiting = [pod(number, number % templates, **(spec or {})) for number in range(pods)]
    started = time.process_time()
    for each in waiting:
        demand = demands.of(each)
        chosen = decider.decide(demand)
        assert isinstance(chosen, str), chosen
        cluster.pods.place(f"bench/{each['metadata']['name']}", chosen, demand)
    spent = time.process_time() - started
    return {"pods_per_cpu_s": round(pods / spent), "us_per_pod": round(spent / pods * 1e6, 1)}


def measure_preemption(nodes: int, pods: int) -> Value:
    """Nodes full of unimportant pods, ten on each; `pods` more important ones each make room for themselves, and get it."""
    cluster, demands, draw = Cluster(), Demands(), random.Random(1)
    for number in range(nodes):
        cluster.pods.set_node(node(number))
        for which in range(10):
            demand = demands.of(_sized(f"low-{number}-{which}", "3"))
            cluster.pods.place(f"bench/low-{number}-{which}", f"node-{number:05}", demand, priority=which % 3)
    decider, looks = Decider(cluster, random.Random(1)), Looks()
    demand = demands.of(_sized("high", "5"))
    started = time.process_time()
    for number in range(pods):
        key = f"bench/high-{number}"
        refusal = decider.decide(demand, 10, key)
        assert isinstance(refusal, Refusal), refusal
        plan = plan_preemption(cluster, Preemptor(key, demand, 10), refusal, [], lambda _: "", draw, looks)
        assert isinstance(plan, Victims), plan
        for victim in plan.keys:
            cluster.pods.remove(victim)
        cluster.pods.place(key, plan.node, demand, priority=10)
    spent = time.process_time() - started
    return {"pods_per_cpu_s": round(pods / spent), "us_per_pod": round(spent / pods * 1e6, 1)}


def _sized(name: str, cpu: str) -> Value:
    containers = [{"name": "main", "resources": {"requests": {"cpu": cpu}}}]
    return {"metadata": {"name": name, "namespace": "bench", "labels": {"app": "sized"}}, "spec": {"containers": containers}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", default="1000,5000")
    parser.add_argument("--pods", type=int, default=3000)
    options = parser.parse_args()
    sizes = [int(size) for size in options.nodes.split(",")]
    result = {f"{nodes} nodes": {name: measure(nodes, options.pods, **w) for name, w in WORKLOADS.items()} for nodes in sizes}
    for size in sizes:
        result[f"{size} nodes"]["preemption"] = measure_preemption(size, min(500, size))
    print(json.dumps({"scheduler": result}, indent=1))


if __name__ == "__main__":
    main()
