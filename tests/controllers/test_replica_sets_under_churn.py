"""ReplicaSets that come, go and come back under the same name, pods that are ended, relabelled and cut loose, mirrors that lose events, requests
that fail: once it is quiet, each has the pods it wants, within seconds. Seeded: a failure is repeated by its parameter alone."""

import asyncio

import pytest

from podium.controllers.pod_conditions import is_active
from podium.controllers.replica_sets import ReplicaSetController
from podium.objects.status import Forbidden
from podium.objects.values import controller_of, copy
from tests.controllers import cluster
from tests.controllers.cluster import PODS, REPLICA_SETS, template

NAMES = ("a", "b", "c")
QUIET_S = 75
"""Longer than any backoff, shorter than giving up on what was awaited."""
CHURN_STEPS = 60


def of_name(name, replicas):
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(labels={"app": name})},
    }


class Churn:
    """One disturbance at a time, drawn from `random`."""

    def __init__(self, c, random):
        self.c = c
        self.random = random
        self.steps = [
            self.scale, self.scale, self.create, self.create, self.come_again, self.come_again, self.delete, self.end_pods, self.end_pods,
            self.relabel, self.cut_loose, self.relist, self.disconnect, self.refuse, self.kubelet, self.kubelet, self.kubelet,
        ]  # fmt: skip

    def step(self):
        self.random.choice(self.steps)()

    def replicas(self):
        return self.random.choice((0, 1, 3, 12, 40))

    def some(self, kind):
        found = self.c.client.all(kind)
        return self.random.choice(found) if found else None

    def create(self):
        name = self.random.choice(NAMES)
        if self.c.get(REPLICA_SETS, name) is None:
            self.c.client.put(of_name(name, self.replicas()))

    def scale(self):
        if (found := self.some(REPLICA_SETS)) is not None:
            changed = copy(found)
            changed["spec"]["replicas"] = self.replicas()
            self.c.client.put(changed)

    def delete(self):
        """Its pods stay, or go as a garbage collector would have it."""
        if (found := self.some(REPLICA_SETS)) is None:
            return
        self.c.client.remove(REPLICA_SETS, found["metadata"]["name"], "default")
        collected = self.random.random() < 0.5
        for pod in self.c.client.all(PODS):
            owner = controller_of(pod)
            if collected and owner is not None and owner["uid"] == found["metadata"]["uid"]:
                self.c.client.remove(PODS, pod["metadata"]["name"], "default")

    def come_again(self):
        """Another of the same name takes its place at once."""
        if (found := self.some(REPLICA_SETS)) is not None:
            self.c.client.remove(REPLICA_SETS, found["metadata"]["name"], "default")
            self.c.client.put(of_name(found["metadata"]["name"], self.replicas()))

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
                self.c.set_ready(pod)


def problems(c):
    """One line per ReplicaSet that has not what it wants."""
    found = []
    for value in c.client.all(REPLICA_SETS):
        uid = value["metadata"]["uid"]
        pods = [p for p in c.client.all(PODS) if (controller_of(p) or {}).get("uid") == uid and is_active(p)]
        wanted, said = value["spec"]["replicas"], (value.get("status") or {}).get("replicas")
        if not len(pods) == wanted == said:
            found.append(f"{value['metadata']['name']}: {len(pods)} pods, says {said}, wants {wanted}")
    return found


@pytest.mark.parametrize("seed", range(30))
def test_each_has_the_pods_it_wants_once_it_is_quiet(seed):
    async def scenario(c):
        c.start(ReplicaSetController)
        random = c.world.random("churn")
        churn = Churn(c, random)
        for _ in range(CHURN_STEPS):
            churn.step()
            await asyncio.sleep(random.choice((0, 0, 0.001, 0.01, 0.05, 0.3)))
        c.chaos.rate = 0
        c.client.refusals_end()
        for _ in range(QUIET_S):
            await asyncio.sleep(1)
            churn.kubelet()
        assert not problems(c)

    cluster.run(scenario, seed=seed, lag_s=(0.0, 0.005, 0.05)[seed % 3], chaos=(0.0, 0.1)[seed // 3 % 2])
