"""ReplicationControllers and their pods as kubectl users handle them, with every kubectl there is."""

import json
from typing import Any

import pytest

from tests.e2e.conftest import Kubectl, without_kubectl

pytestmark = [pytest.mark.e2e, pytest.mark.slow, without_kubectl]
shows = pytest.mark.conformance
LABELS = {"app": "cache", "role": "primary"}


def controller(name: str, replicas: int, image: str = "redis:7") -> str:
    container = {"name": name, "image": image, "ports": [{"name": "redis", "containerPort": 6379}]}
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": LABELS, "template": template}
    return json.dumps({"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": name, "labels": LABELS}, "spec": spec})


def running(kubectl: Kubectl, name: str, replicas: int) -> list[str]:
    """Waits until so many pods of it run, and gives their names; no other pod is there then."""
    kubectl("wait", f"rc/{name}", f"--for=jsonpath={{.status.availableReplicas}}={replicas}", "--timeout=30s")
    kubectl("wait", "pod", "-l", "app=cache", "--for=condition=Ready", "--timeout=30s")
    template = '{{range .items}}{{.metadata.name}} {{(index .status.containerStatuses 0).state.running.startedAt}}{{"\\n"}}{{end}}'
    lines = kubectl("get", "pods", "-l", "app=cache", "-o", "template", f"--template={template}").splitlines()
    assert len(lines) == replicas and all("T" in line.split()[1] for line in lines), lines
    return [line.split()[0] for line in lines]


@shows("[sig-cli] Kubectl client Update Demo should create and stop a replication controller")
def test_a_controller_is_created_and_stopped(kubectl: Kubectl) -> None:
    assert "replicationcontroller/demo created" in kubectl("create", "-f", "-", stdin=controller("demo", 2))
    for name in running(kubectl, "demo", 2):
        image = kubectl(
            "get", "pod", name, "-o", "template", '--template={{range .spec.containers}}{{if eq .name "demo"}}{{.image}}{{end}}{{end}}'
        )
        assert image == "redis:7"
    assert "deleted" in kubectl("delete", "--grace-period=0", "--force", "-f", "-", stdin=controller("demo", 2))
    kubectl("wait", "pod", "-l", "app=cache", "--for=delete", "--timeout=30s")
    assert "No resources found" in kubectl("get", "rc,svc", "-l", "app=cache", "--no-headers")
    assert "No resources found" in kubectl("get", "pods", "-l", "app=cache")


@shows("[sig-cli] Kubectl client Update Demo should scale a replication controller")
def test_a_controller_is_scaled_down_and_up(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=controller("demo", 2))
    before = running(kubectl, "demo", 2)
    assert "scaled" in kubectl("scale", "rc", "demo", "--replicas=1", "--timeout=1m")
    kubectl("wait", "rc/demo", "--for=jsonpath={.status.replicas}=1", "--timeout=30s")
    gone = set(before) - set(kubectl("get", "rc,pods", "-o", "name", "-l", "app=cache").replace("pod/", "").split())
    for name in gone:
        kubectl("wait", f"pod/{name}", "--for=delete", "--timeout=30s")
    [kept] = running(kubectl, "demo", 1)
    assert kept in before
    kubectl("scale", "rc", "demo", "--replicas=2", "--timeout=1m")
    assert kept in running(kubectl, "demo", 2)


def has(text: str, *wanted: tuple[str, ...]) -> None:
    """Every row of words is in one line of the text."""
    for words in wanted:
        assert any(all(word in line for word in words) for line in text.splitlines()), f"no line with {words} in:\n{text}"


@shows("[sig-cli] Kubectl client Kubectl describe should check if kubectl describe prints relevant information for rc and pods")
def test_what_describe_tells(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=controller("demo", 1))
    kubectl("create", "service", "clusterip", "cache", "--tcp=6379:redis")
    kubectl("patch", "service", "cache", "-p", json.dumps({"metadata": {"labels": LABELS}, "spec": {"selector": LABELS}}))
    [name] = running(kubectl, "demo", 1)
    namespace = kubectl.namespace
    has(
        kubectl("describe", "pod", name), ("Name:", name), ("Namespace:", namespace), ("Node:", "simulated-"), ("Labels:", "app=cache"),
        ("role=primary",), ("Annotations:",), ("Status:", "Running"), ("IP:", "."), ("Controlled By:", "ReplicationController/demo"),
        ("Image:", "redis:7"), ("State:", "Running"), ("QoS Class:", "BestEffort"),
    )  # fmt: skip
    has(
        kubectl("describe", "rc", "demo"), ("Name:", "demo"), ("Namespace:", namespace), ("Selector:", "app=cache,role=primary"),
        ("Labels:", "app=cache"), ("role=primary",), ("Annotations:",), ("Replicas:", "1 current", "1 desired"),
        ("Pods Status:", "1 Running", "0 Waiting", "0 Succeeded", "0 Failed"), ("Pod Template:",), ("Image:", "redis:7"), ("Events:",),
        ("SuccessfulCreate", name),
    )  # fmt: skip
    pod_ip = kubectl("get", "pod", name, "-o", "jsonpath={.status.podIP}")
    has(
        kubectl("describe", "service", "cache"), ("Name:", "cache"), ("Namespace:", namespace), ("Labels:", "app=cache"), ("role=primary",),
        ("Annotations:",), ("Selector:", "app=cache,role=primary"), ("Type:", "ClusterIP"), ("IP:", "."), ("Port:", "6379/TCP"),
        ("Endpoints:", f"{pod_ip}:6379"), ("Session Affinity:", "None"),
    )  # fmt: skip
    node = kubectl("get", "pod", name, "-o", "jsonpath={.spec.nodeName}")
    has(
        kubectl("describe", "node", node), ("Name:", node), ("Labels:",), ("Annotations:",), ("CreationTimestamp:",), ("Conditions:",),
        ("Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message"), ("Addresses:",), ("Capacity:",),
        ("Container Runtime Version:",), ("Kubelet Version:",), ("Pods:",), (namespace, name),
    )  # fmt: skip
    has(kubectl("describe", "namespace", namespace), ("Name:", namespace), ("Labels:",), ("Annotations:",), ("Status:", "Active"))


def ports(value: Any) -> list[tuple[int, Any]]:
    return [(p["port"], p["targetPort"]) for p in value["spec"]["ports"]]


@shows("[sig-cli] Kubectl client Kubectl expose should create services for rc")
def test_a_controller_and_a_service_are_exposed(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=controller("demo", 1))
    [name] = running(kubectl, "demo", 1)
    pod_ip = kubectl("get", "pod", name, "-o", "jsonpath={.status.podIP}")
    kubectl("expose", "rc", "demo", "--name=rm2", "--port=1234", "--target-port=6379")
    kubectl("expose", "service", "rm2", "--name=rm3", "--port=2345", "--target-port=6379")
    for service, port in (("rm2", 1234), ("rm3", 2345)):
        value = json.loads(kubectl("get", "service", service, "-o", "json"))
        assert ports(value) == [(port, 6379)] and value["spec"]["selector"] == LABELS
        address, number = "{.subsets[0].addresses[0].ip}", "{.subsets[0].ports[0].port}"
        kubectl("wait", f"endpoints/{service}", f"--for=jsonpath={address}={pod_ip}", "--timeout=20s")
        reached = kubectl("get", "endpoints", service, "-o", f"jsonpath={address}:{number}")
        assert reached.splitlines()[-1] == f"{pod_ip}:6379"  # a newer kubectl warns of Endpoints first


@shows("[sig-cli] Kubectl client Kubectl label should update the label on a resource")
def test_a_label_of_a_pod_comes_and_goes(kubectl: Kubectl) -> None:
    kubectl("run", "pause", "--image=pause:3")
    kubectl("wait", "pod/pause", "--for=condition=Ready", "--timeout=30s")
    kubectl("label", "pods", "pause", "testing-label=testing-label-value")
    assert "testing-label-value" in kubectl("get", "pod", "pause", "-L", "testing-label")
    assert kubectl("get", "pods", "-l", "testing-label=testing-label-value", "-o", "name") == "pod/pause\n"
    kubectl("label", "pods", "pause", "testing-label-")
    assert "testing-label-value" not in kubectl("get", "pod", "pause", "-L", "testing-label")
    assert kubectl("get", "pods", "-l", "testing-label", "-o", "name") == ""


@shows("[sig-cli] Kubectl client Kubectl patch should add annotations for pods in rc")
def test_every_pod_of_a_controller_is_annotated(kubectl: Kubectl) -> None:
    kubectl("create", "-f", "-", stdin=controller("demo", 2))
    names = running(kubectl, "demo", 2)
    for name in names:
        kubectl("patch", "pod", name, "-p", '{"metadata":{"annotations":{"x":"y"}}}')
    found = kubectl("get", "pods", "-l", "app=cache", "-o", "jsonpath={range .items[*]}{.metadata.name}={.metadata.annotations.x} {end}")
    assert sorted(found.split()) == sorted(f"{name}=y" for name in names)


@shows("[sig-cli] Kubectl client Kubectl replace should update a single-container pod's image")
def test_the_image_of_a_pod_is_replaced(kubectl: Kubectl) -> None:
    kubectl("run", "web", "--image=httpd:2.4", "--labels=run=web")
    kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=30s")
    changed = kubectl("get", "pod", "web", "-o", "json").replace("httpd:2.4", "busybox:1.36")
    assert "pod/web replaced" in kubectl("replace", "-f", "-", stdin=changed)
    assert kubectl("get", "pod", "web", "-o", "jsonpath={.spec.containers[0].image}") == "busybox:1.36"
    running_image = "--for=jsonpath={.status.containerStatuses[0].image}=busybox:1.36"
    kubectl("wait", "pod/web", running_image, "--timeout=30s")
    before = kubectl("get", "pod", "web", "-o", "jsonpath={.metadata.uid}")
    clean = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "nginx:1"}]}}
    kubectl("replace", "--force", "-f", "-", stdin=json.dumps(clean))
    assert kubectl("get", "pod", "web", "-o", "jsonpath={.spec.containers[0].image}") == "nginx:1"
    assert kubectl("get", "pod", "web", "-o", "jsonpath={.metadata.uid}") != before
