import base64

import pytest

from podium.node.environment import Surroundings, environment, expand, service_variables
from podium.node.preparation import PreparationFailure
from podium.node.sources import Sources
from podium.objects.values import Object
from podium.world import virtual
from podium.world.interface import World
from tests.fakes.fake_client import FakeClient
from tests.node.scene import container, pod

AROUND = Surroundings("10.0.0.9", "192.168.0.5", {"cpu": "4", "memory": "8Gi"})


def objects() -> list[Object]:
    def value(kind: str, name: str, **fields: object) -> Object:
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, **fields}

    ports = [{"name": "http", "port": 80}, {"name": "metrics-x", "port": 9090, "protocol": "UDP"}]
    return [
        value("ConfigMap", "cm", data={"A": "1", "B": "2", "bad=name": "x"}),
        value("Secret", "s", data={"PW": base64.b64encode(b"geheim").decode()}),
        value("Service", "my-db", spec={"clusterIP": "10.96.0.7", "ports": ports}),
        value("Service", "headless", spec={"clusterIP": "None", "ports": ports}),
        value("Service", "kubernetes", spec={"clusterIP": "10.96.0.1", "ports": [{"name": "https", "port": 443}]}),
    ]


def of(*env: Object, env_from: list[Object] | None = None, links: bool = False, **fields: object) -> dict[str, str]:
    async def main(world: World) -> dict[str, str]:
        client = FakeClient(world)
        for value in objects():
            client.put(value)
        main = container(env=list(env), envFrom=env_from or [], **fields)
        value = pod(containers=[main], enableServiceLinks=links, serviceAccountName="robot")
        value["metadata"] |= {"uid": "u-1", "labels": {"tier": "front"}, "annotations": {"note": "n"}}
        found = await environment(value, main, Sources(client, world), AROUND)
        return {k: v for k, v in found.items() if links or not k.startswith("KUBERNETES_")}

    return virtual.run(main)


def ref(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def key(kind: str, name: str, key: str, optional: bool = False) -> Object:
    return {"name": "X", "valueFrom": {kind: {"name": name, "key": key, "optional": optional}}}


EXPANSIONS = [
    ("plain", "plain"),
    ("$(A)", "1"),
    ("x$(A)y$(B)z", "x1y2z"),
    ("$(NONE)", "$(NONE)"),
    ("$$(A)", "$(A)"),
    ("$$$(A)", "$1"),
    ("$$$$(A)", "$$(A)"),
    ("$A", "$A"),
    ("$(A", "$(A"),
    ("a$", "a$"),
    ("$()", "$()"),
    ("$(A)$(B)", "12"),
    ("f000-$($(A))", "f000-$($(A))"),
]


@pytest.mark.parametrize(("text", "expected"), EXPANSIONS)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}.get) == expected


FIELDS = [
    ("metadata.name", "web"),
    ("metadata.namespace", "default"),
    ("metadata.uid", "u-1"),
    ("metadata.labels['tier']", "front"),
    ("metadata.annotations['note']", "n"),
    ("metadata.labels['none']", ""),
    ("spec.nodeName", "n1"),
    ("spec.serviceAccountName", "robot"),
    ("status.podIP", "10.0.0.9"),
    ("status.hostIP", "192.168.0.5"),
]


@pytest.mark.parametrize(("path", "expected"), FIELDS)
def test_fields(path: str, expected: str) -> None:
    assert of(ref("X", path)) == {"X": expected}


RESOURCES = [("limits.cpu", "", "2"), ("limits.cpu", "1m", "1500"), ("requests.cpu", "", "1"), ("limits.memory", "1Mi", "8192"),
             ("requests.memory", "", "0")]  # fmt: skip


@pytest.mark.parametrize(("name", "divisor", "expected"), RESOURCES)
def test_resources_round_up_and_default_to_the_node(name: str, divisor: str, expected: str) -> None:
    value = {"name": "X", "valueFrom": {"resourceFieldRef": {"resource": name, **({"divisor": divisor} if divisor else {})}}}
    assert of(value, resources={"limits": {"cpu": "1500m"}, "requests": {"cpu": "250m"}}) == {"X": expected}


def test_env_wins_over_env_from_and_sees_it() -> None:
    found = of({"name": "B", "value": "own"}, {"name": "C", "value": "$(A)-$(B)"}, env_from=[{"configMapRef": {"name": "cm"}}])
    assert found == {"A": "1", "B": "own", "C": "1-own"}


def test_env_from_with_a_prefix_and_a_secret() -> None:
    assert of(env_from=[{"prefix": "P_", "configMapRef": {"name": "cm"}}, {"secretRef": {"name": "s"}}]) == {
        "P_A": "1",
        "P_B": "2",
        "PW": "geheim",
    }


def test_keys() -> None:
    assert of(key("configMapKeyRef", "cm", "A")) == {"X": "1"}
    assert of(key("secretKeyRef", "s", "PW")) == {"X": "geheim"}
    assert of(key("configMapKeyRef", "none", "A", optional=True)) == {}
    assert of(key("secretKeyRef", "s", "none", optional=True)) == {}


MISSING = [
    (key("configMapKeyRef", "none", "A"), 'configmap "none" not found'),
    (key("configMapKeyRef", "cm", "none"), "couldn't find key none in ConfigMap default/cm"),
    (key("secretKeyRef", "none", "A"), 'secret "none" not found'),
    (key("secretKeyRef", "s", "none"), "couldn't find key none in Secret default/s"),
]


@pytest.mark.parametrize(("entry", "message"), MISSING, ids=[m for _, m in MISSING])
def test_what_is_missing_is_named_as_upstream(entry: Object, message: str) -> None:
    with pytest.raises(PreparationFailure) as caught:
        of(entry)
    assert (caught.value.reason, caught.value.message) == ("CreateContainerConfigError", message)


def test_a_whole_map_that_is_missing() -> None:
    with pytest.raises(PreparationFailure, match='configmap "none" not found'):
        of(env_from=[{"configMapRef": {"name": "none"}}])
    assert of(env_from=[{"configMapRef": {"name": "none", "optional": True}}]) == {}


def test_service_links() -> None:
    found = of(links=True)
    assert found["MY_DB_SERVICE_HOST"] == "10.96.0.7" and found["KUBERNETES_SERVICE_PORT"] == "443"
    assert not any(name.startswith("HEADLESS") for name in found)


def test_the_api_is_always_linked() -> None:
    async def main(world: World) -> set[str]:
        client = FakeClient(world)
        for value in objects():
            client.put(value)
        value = pod(enableServiceLinks=False)
        value["metadata"]["namespace"] = "other"
        return set(await environment(value, container(), Sources(client, world), AROUND))

    names = virtual.run(main)
    assert "KUBERNETES_SERVICE_HOST" in names and not any(n.startswith("MY_DB") for n in names)


def test_the_variables_of_a_service() -> None:
    assert service_variables(objects()[2]) == {
        "MY_DB_SERVICE_HOST": "10.96.0.7",
        "MY_DB_SERVICE_PORT": "80",
        "MY_DB_SERVICE_PORT_HTTP": "80",
        "MY_DB_SERVICE_PORT_METRICS_X": "9090",
        "MY_DB_PORT": "tcp://10.96.0.7:80",
        "MY_DB_PORT_80_TCP": "tcp://10.96.0.7:80",
        "MY_DB_PORT_80_TCP_PROTO": "tcp",
        "MY_DB_PORT_80_TCP_PORT": "80",
        "MY_DB_PORT_80_TCP_ADDR": "10.96.0.7",
        "MY_DB_PORT_9090_UDP": "udp://10.96.0.7:9090",
        "MY_DB_PORT_9090_UDP_PROTO": "udp",
        "MY_DB_PORT_9090_UDP_PORT": "9090",
        "MY_DB_PORT_9090_UDP_ADDR": "10.96.0.7",
    }
