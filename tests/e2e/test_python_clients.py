"""The Python world's own clients, unmodified, against a live cluster with simulated nodes: each does a day's work with it."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import LiveCluster

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

PATIENCE_S = 20.0
LABELS = {"app": "web"}


def deployment(name: str, replicas: int) -> dict[str, Any]:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": LABELS}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@pytest.fixture(scope="module")
def kubeconfig(live_cluster: Callable[[str], LiveCluster]) -> str:
    return str(live_cluster("simulated").kubeconfig)


@pytest.fixture
def namespace(kubeconfig: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own, with its default service account in place."""
    from kubernetes import client, config

    config.load_kube_config(kubeconfig)
    core = client.CoreV1Api()
    name = request.node.originalname.removeprefix("test_").replace("_", "-")[:50]
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    eventually(lambda: core.list_namespaced_service_account(name).items)
    yield name
    core.delete_namespace(name)


def eventually(look: Callable[[], Any]) -> Any:
    """The first truthy answer. Raises AssertionError after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {PATIENCE_S:g} s")


def test_kubernetes(namespace: str) -> None:
    from kubernetes import client, watch

    core, apps = client.CoreV1Api(), client.AppsV1Api()
    made = core.create_namespaced_config_map(
        namespace, client.V1ConfigMap(metadata=client.V1ObjectMeta(generate_name="a-"), data={"k": "v"})
    )
    assert core.patch_namespaced_config_map(made.metadata.name, namespace, {"data": {"x": "y"}}).data == {"k": "v", "x": "y"}
    apps.create_namespaced_deployment(namespace, deployment("web", 2))
    ready = []
    follow = watch.Watch()
    for event in follow.stream(apps.list_namespaced_deployment, namespace, timeout_seconds=int(PATIENCE_S)):
        ready.append(event["object"].status.ready_replicas or 0)
        if ready[-1] == 2:
            follow.stop()
    assert ready[-1] == 2
    assert apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 1}}).spec.replicas == 1
    pod = core.list_namespaced_pod(namespace, label_selector="app=web").items[0]
    assert "simulated" in core.read_namespaced_pod_log(pod.metadata.name, namespace)
    eviction = client.V1Eviction(metadata=client.V1ObjectMeta(name=pod.metadata.name))
    core.create_namespaced_pod_eviction(pod.metadata.name, namespace, eviction)
    with pytest.raises(client.ApiException) as refused:
        core.read_namespaced_pod("nope", namespace)
    assert (refused.value.status, refused.value.reason) == (404, "Not Found")
    assert client.VersionApi().get_code().git_version.startswith("v1.")


def test_kubernetes_dynamic(namespace: str) -> None:
    from kubernetes import client, dynamic

    maps = dynamic.DynamicClient(client.ApiClient()).resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "z"}, "data": {"q": "1"}}
    applied = maps.server_side_apply(body=body, namespace=namespace, field_manager="tests")
    assert applied.data.to_dict() == {"q": "1"} and applied.metadata.managedFields[0].manager == "tests"
    assert [i.metadata.name for i in maps.get(namespace=namespace, field_selector="metadata.name=z").items] == ["z"]
    assert maps.delete(name="z", namespace=namespace).status == "Success"


async def test_kubernetes_asyncio(namespace: str, kubeconfig: str) -> None:
    from kubernetes_asyncio import client, config, watch

    await config.load_kube_config(kubeconfig)
    async with client.ApiClient() as api:
        core = client.CoreV1Api(api)
        names = []

        async def follow() -> None:
            async with watch.Watch().stream(core.list_namespaced_config_map, namespace, timeout_seconds=10) as stream:
                async for event in stream:
                    names.append(event["object"].metadata.name)
                    if names[-1] == "c2":
                        return

        async with asyncio.timeout(PATIENCE_S):
            following = asyncio.ensure_future(follow())
            for i in range(3):
                await core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=client.V1ObjectMeta(name=f"c{i}")))
            await following
        assert [name for name in names if name != "kube-root-ca.crt"] == ["c0", "c1", "c2"]  # which comes when it comes
        assert len((await core.list_namespaced_config_map(namespace, limit=2)).items) == 2


def test_lightkube(namespace: str, kubeconfig: str) -> None:
    from lightkube import Client, KubeConfig, codecs
    from lightkube.core.exceptions import ApiError
    from lightkube.models.meta_v1 import ObjectMeta
    from lightkube.resources.apps_v1 import Deployment
    from lightkube.resources.core_v1 import ConfigMap, Pod

    client = Client(KubeConfig.from_file(kubeconfig), namespace=namespace, field_manager="lightkube")
    assert client.apply(ConfigMap(metadata=ObjectMeta(name="c", namespace=namespace), data={"a": "b"})).data == {"a": "b"}
    client.create(codecs.from_dict({**deployment("web", 2), "metadata": {"name": "web", "namespace": namespace}}))
    client.wait(Deployment, "web", for_conditions=["Available"], namespace=namespace)
    assert len(list(client.list(Pod, namespace=namespace, labels=LABELS))) == 2
    scale = client.get(Deployment.Scale, "web", namespace=namespace)
    scale.spec.replicas = 3
    assert client.replace(scale, name="web", namespace=namespace).spec.replicas == 3
    client.delete(ConfigMap, "c", namespace=namespace)
    with pytest.raises(ApiError) as refused:
        client.get(ConfigMap, "c", namespace=namespace)
    assert refused.value.status.code == 404


@pytest.mark.filterwarnings("ignore:Kubernetes version")
def test_kr8s(namespace: str, kubeconfig: str) -> None:
    import kr8s
    from kr8s.objects import ConfigMap, Deployment

    api = kr8s.api(kubeconfig=kubeconfig)
    config = ConfigMap({"metadata": {"name": "c", "namespace": namespace}, "data": {"a": "b"}}, api=api)
    config.create()
    config.patch({"data": {"c": "d"}})
    assert config.data == {"a": "b", "c": "d"}
    web = Deployment({**deployment("web", 1), "metadata": {"name": "web", "namespace": namespace}}, api=api)
    web.create()
    web.wait("condition=Available", timeout=int(PATIENCE_S))
    web.scale(2)
    eventually(lambda: len(list(api.get("pods", namespace=namespace))) == 2)
    config.delete()
    assert not config.exists()


OPERATOR = """
    import os

    import kopf

    def tell(*words):  # in one piece: handlers run in threads
        os.write(1, (" ".join(map(str, ("HANDLED", *words))) + "\\n").encode())

    @kopf.on.startup()
    def configure(settings, **_):
        settings.peering.standalone = True

    @kopf.on.create("configmaps", annotations={"kopf": "yes"})
    @kopf.on.resume("configmaps", annotations={"kopf": "yes"})
    def seen(name, reason, **_):
        tell(reason, name)

    @kopf.on.update("configmaps", annotations={"kopf": "yes"})
    def changed(name, diff, **_):
        tell("update", name, [list(d.field) for d in diff])

    @kopf.on.delete("configmaps", annotations={"kopf": "yes"})
    def gone(name, **_):
        tell("delete", name)

    @kopf.timer("configmaps", interval=0.5, annotations={"kopf": "yes"})
    def ticks(name, **_):
        tell("timer", name)
"""


def test_kopf(namespace: str, kubeconfig: str, tmp_path: Path) -> None:
    """An operator that is started, stopped and started again handles create, update, resume, timers and delete."""
    from kubernetes import client

    core = client.CoreV1Api()
    operator, output = tmp_path / "operator.py", tmp_path / "output"
    operator.write_text(textwrap.dedent(OPERATOR))
    annotated = client.V1ObjectMeta(name="c", annotations={"kopf": "yes"})
    core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=annotated, data={"k": "1"}))

    def handled(text: str) -> Callable[[], bool]:
        return lambda: f"HANDLED {text}" in output.read_text()

    def remembered() -> bool:
        """What the operator keeps on the object names the update: without it a second start sees a change, not something to resume."""
        kept = core.read_namespaced_config_map("c", namespace).metadata.annotations
        return '"k":"2"' in kept.get("kopf.zalando.org/last-handled-configuration", "")

    def run() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "kopf", "run", str(operator), "--standalone", "--namespace", namespace]
        return subprocess.Popen(command, env={**os.environ, "KUBECONFIG": kubeconfig}, stdout=output.open("ab"), stderr=subprocess.STDOUT)

    def stop(process: "subprocess.Popen[bytes]") -> None:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)

    first = run()
    try:
        eventually(handled("create c"))
        eventually(handled("timer c"))
        core.patch_namespaced_config_map("c", namespace, {"data": {"k": "2"}})
        eventually(handled("update c [['data', 'k']]"))
        eventually(remembered)
    finally:
        stop(first)
    second = run()
    try:
        eventually(handled("resume c"))
        core.delete_namespaced_config_map("c", namespace)
        eventually(handled("delete c"))
        eventually(lambda: not core.list_namespaced_config_map(namespace, field_selector="metadata.name=c").items)
    finally:
        stop(second)
