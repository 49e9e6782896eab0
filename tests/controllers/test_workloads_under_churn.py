"""ReplicaSets, DaemonSets and Jobs that come, go and come back under the same name, pods that are ended, relabelled and cut loose, mirrors that
lose events, requests that fail: once it is quiet, each has the pods it wants, within seconds. Seeded: a failure is repeated by its parameter."""

import asyncio

import pytest

from podium.controllers.daemon_sets import DaemonSetController
from podium.controllers.jobs import JobController
from podium.controllers.pod_conditions import is_active
from podium.controllers.replica_sets import ReplicaSetController
from podium.objects.resources import resource
from podium.objects.status import Forbidden
from podium.objects.values import controller_of, copy
from tests.controllers import cluster
from tests.controllers.cluster import PODS, REPLICA_SETS, template

NAMES = ("a", "b", "c")
NODES = ("n1", "n2", "n3")
QUIET_S = 75
"""Longer than any backoff, shorter than giving up on what was awaited."""
CHURN_STEPS = 60


class ReplicaSets:
    kind, controller = REPLICA_SETS, ReplicaSetController

    @staticmethod
    def make(name, size):
        spec = {"replicas": size, "selector": {"matchLabels": {"app": name}}, "template": template(labels={"app": name})}
        return workload("apps/v1", "ReplicaSet", name, spec)

    @staticmethod
    def resize(value, size):
        value["spec"]["replicas"] = size

    @staticmethod
    def problem(value, pods):
        wanted, said = value["spec"]["replicas"], (value.get("status") or {}).get("replicas")
        return "" if len(pods) == wanted == said else f"{len(pods)} pods, says {said}, wants {wanted}"


class DaemonSets:
    kind, controller = resource("daemonsets", "apps"), DaemonSetController

    @staticmethod
    def make(name, size):
        update = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
        spec = {"selector": {"matchLabels": {"app": name}}, "template": template(f"web:{size}", {"app": name}), "updateStrategy": update}
        return workload("apps/v1", "DaemonSet", name, spec)

    @staticmethod
    def resize(value, size):
        """Another template: its pods are replaced."""
        value["spec"]["template"]["spec"]["containers"][0]["image"] = f"web:{size}"

    @staticmethod
    def problem(value, pods):
        image = value["spec"]["template"]["spec"]["containers"][0]["image"]
        found = sorted((node_of(p), p["spec"]["containers"][0]["image"]) for p in pods)
        return "" if found == [(node, image) for node in NODES] else f"{found}, wants {image}"


class Jobs:
    kind, controller = resource("jobs", "batch"), JobController

    @staticmethod
    def make(name, size):
        body = template(labels={"job": name})
        body["spec"]["restartPolicy"] = "Never"
        spec = {"completions": 3, "parallelism": size, "backoffLimit": 6, "completionMode": "NonIndexed", "suspend": False}
        return workload("batch/v1", "Job", name, {**spec, "selector": {"matchLabels": {"job": name}}, "template": body})

    @staticmethod
    def resize(value, size):
        value["spec"]["parallelism"] = size

    @staticmethod
    def problem(value, pods):
        """Without parallelism nothing runs; else all is done in the end."""
        done = [c["type"] for c in (value.get("status") or {}).get("conditions") or () if c["status"] == "True"]
        wanted = not value["spec"]["parallelism"] or "Complete" in done
        return "" if wanted and not pods else f"{len(pods)} pods, {value.get('status')}"


def workload(version, kind, name, spec):
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def node_of(pod):
    """Where it is, or will be: a DaemonSet's pod names its node in an affinity."""
    if pod["spec"].get("nodeName"):
        return pod["spec"]["nodeName"]
    affinity = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms")
    return terms[0]["matchFields"][0]["values"][0] if terms else "n1"


class Churn:
    """One disturbance at a time, drawn from `random`."""

    def __init__(self, c, random, workloads):
        self.c = c
        self.kind = workloads.kind
        self.workloads = workloads
        self.random = random
        self.steps = [
            self.scale, self.scale, self.create, self.create, self.come_again, self.come_again, self.delete, self.end_pods, self.end_pods,
            self.relabel, self.cut_loose, self.relist, self.disconnect, self.refuse, self.kubelet, self.kubelet, self.kubelet,
        ]  # fmt: skip

    def step(self):
        self.random.choice(self.steps)()

    def size(self):
        return self.random.choice((0, 1, 3, 12, 40))

    def some(self, kind):
        found = self.c.client.all(kind)
        return self.random.choice(found) if found else None

    def create(self):
        name = self.random.choice(NAMES)
        if self.c.get(self.kind, name) is None:
            self.c.client.put(self.workloads.make(name, self.size()))

    def scale(self):
        if (found := self.some(self.kind)) is not None:
            changed = copy(found)
            self.workloads.resize(changed, self.size())
            self.c.client.put(changed)

    def delete(self):
        """Its pods stay, or go as a garbage collector would have it."""
        if (found := self.some(self.kind)) is None:
            return
        self.c.client.remove(self.kind, found["metadata"]["name"], "default")
        collected = self.random.random() < 0.5
        for pod in self.c.client.all(PODS):
            owner = controller_of(pod)
            if collected and owner is not None and owner["uid"] == found["metadata"]["uid"]:
                self.c.client.remove(PODS, pod["metadata"]["name"], "default")

    def come_again(self):
        """Another of the same name takes its place at once."""
        if (found := self.some(self.kind)) is not None:
            self.c.client.remove(self.kind, found["metadata"]["name"], "default")
            self.c.client.put(self.workloads.make(found["metadata"]["name"], self.size()))

    def end_pods(self):
        for pod in self.c.client.all(PODS):
            if self.random.random() < 0.3:
                self.c.client.remove(PODS, pod["metadata"]["name"], "default")

    def change_pod(self, change):
        if (found := self.some(PODS)) is not None:
            changed = copy(found)
            change(changed["metadata"])
            self.c.client.put(changed)

    def relabel(self):
        self.change_pod(lambda metadata: metadata.update(labels={"app": self.random.choice((*NAMES, "none"))}))

    def cut_loose(self):
        self.change_pod(lambda metadata: metadata.pop("ownerReferences", None))

    def relist(self):
        """What happened meanwhile is never heard of."""
        self.c.client.compact()
        self.c.client.disconnect()

    def disconnect(self):
        self.c.client.disconnect()

    def refuse(self):
        self.c.client.refuse("create pods", Forbidden("exceeded quota"), self.random.randint(1, 20))

    def kubelet(self):
        for pod in self.c.client.all(PODS):
            if "deletionTimestamp" in pod["metadata"]:
                self.c.client.remove(PODS, pod["metadata"]["name"], "default")
            elif not pod.get("status"):
                self.c.set_ready(pod, node=node_of(pod))
            elif self.workloads is Jobs and pod["status"]["phase"] == "Running":
                self.c.client.put({**pod, "status": {"phase": "Succeeded", "containerStatuses": []}})


def problems(c, workloads):
    """One line per workload that has not what it wants."""
    found = []
    for value in c.client.all(workloads.kind):
        uid = value["metadata"]["uid"]
        pods = [p for p in c.client.all(PODS) if (controller_of(p) or {}).get("uid") == uid and is_active(p)]
        if problem := workloads.problem(value, pods):
            found.append(f"{value['metadata']['name']}: {problem}")
    return found


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("workloads", [ReplicaSets, DaemonSets, Jobs])
def test_each_has_the_pods_it_wants_once_it_is_quiet(workloads, seed):
    async def scenario(c):
        for node in NODES:
            c.client.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "spec": {}})
        c.start(workloads.controller)
        random = c.world.random("churn")
        churn = Churn(c, random, workloads)
        for _ in range(CHURN_STEPS):
            churn.step()
            await asyncio.sleep(random.choice((0, 0, 0.001, 0.01, 0.05, 0.3)))
        c.chaos.rate = 0
        c.client.refusals_end()
        for _ in range(QUIET_S):
            await asyncio.sleep(1)
            churn.kubelet()
        assert not problems(c, workloads)

    cluster.run(scenario, seed=seed, lag_s=(0.0, 0.005, 0.05)[seed % 3], chaos=(0.0, 0.1)[seed // 3 % 2])
