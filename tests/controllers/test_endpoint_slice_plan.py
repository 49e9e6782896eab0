import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.controllers.endpoint_slice_plan import plan_slices
from podium.controllers.endpoints import plan_endpoints
from podium.objects.values import copy

ZONES = {"n1": "a", "n2": "b"}


def zone_of(node):
    return ZONES.get(node, "")


def service(**spec):
    spec = {"clusterIP": "10.96.0.9", "ipFamilies": ["IPv4"], "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}], **spec}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "uid": "u-s", "labels": {"team": "shop"}},
        "spec": spec,
    }


def pod(number, *, ready=True, terminating=False, node="n1", phase="Running", ip=None, ports=(), **spec):
    value = {
        "metadata": {"name": f"p{number}", "namespace": "default", "uid": f"u{number}", "labels": {"app": "web"}},
        "spec": {"nodeName": node, "containers": [{"name": "web", "ports": list(ports)}], **spec},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }
    ip = f"10.0.{number // 250}.{number % 250 + 1}" if ip is None else ip
    if ip:
        value["status"]["podIPs"] = [{"ip": ip}]
        value["status"]["podIP"] = ip
    if terminating:
        value["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return value


def only(value, *pods):
    (made,) = plan_slices(value, pods, [], zone_of).create
    return made


def test_slice_is_labelled_owned_and_named_for_its_service():
    made = only(service(), pod(1))
    assert made["metadata"] == {
        "generateName": "web-",
        "namespace": "default",
        "labels": {
            "team": "shop",
            "kubernetes.io/service-name": "web",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        },
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "Service", "name": "web", "uid": "u-s", "controller": True, "blockOwnerDeletion": True}
        ],
    }
    assert made["addressType"] == "IPv4"
    assert made["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
    assert made["endpoints"] == [
        {
            "addresses": ["10.0.0.2"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "targetRef": {"kind": "Pod", "namespace": "default", "name": "p1", "uid": "u1"},
            "nodeName": "n1",
            "zone": "a",
        }
    ]


@pytest.mark.parametrize(
    ("options", "tolerant", "expected"),
    [
        ({}, False, (True, True, False)),
        ({"ready": False}, False, (False, False, False)),
        ({"ready": False}, True, (True, False, False)),
        ({"terminating": True}, False, (False, True, True)),
        ({"terminating": True, "ready": False}, False, (False, False, True)),
        ({"terminating": True}, True, (True, True, True)),
        ({"phase": "Succeeded"}, True, None),
        ({"ip": ""}, True, None),
        ({"ip": "fd00::1"}, True, None),
    ],
)
def test_conditions_follow_the_pod(options, tolerant, expected):
    made = only(service(publishNotReadyAddresses=tolerant), pod(1, **options))
    if expected is None:
        assert made["endpoints"] == []
        return
    (endpoint,) = made["endpoints"]
    assert tuple(endpoint["conditions"][k] for k in ("ready", "serving", "terminating")) == expected


def test_named_ports_resolve_per_pod_and_split_the_slices():
    value = service(
        ports=[{"name": "http", "port": 80, "targetPort": "web"}, {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 5353}]
    )
    tcp = {"name": "web", "containerPort": 8080}
    pods = [
        pod(1, ports=[tcp]),
        pod(2, ports=[{"name": "web", "containerPort": 9090, "protocol": "TCP"}]),
        pod(3, ports=[{"name": "web", "containerPort": 1, "protocol": "UDP"}]),
        pod(4, initContainers=[{"name": "proxy", "restartPolicy": "Always", "ports": [tcp]}]),
    ]
    found = {
        tuple(p["port"] for p in s["ports"]): [e["targetRef"]["name"] for e in s["endpoints"]]
        for s in plan_slices(value, pods, [], zone_of).create
    }
    assert found == {(8080, 5353): ["p1", "p4"], (9090, 5353): ["p2"], (5353,): ["p3"]}


def test_both_families_get_slices_of_their_own():
    value = service(ipFamilies=["IPv4", "IPv6"])
    dual = pod(1)
    dual["status"]["podIPs"].append({"ip": "fd00::1"})
    plan = plan_slices(value, [dual], [], zone_of)
    assert [(s["addressType"], s["endpoints"][0]["addresses"]) for s in plan.create] == [("IPv4", ["10.0.0.2"]), ("IPv6", ["fd00::1"])]


def test_headless_service_names_its_pods():
    value = service(clusterIP="None", ports=[])
    made = only(value, pod(1, hostname="one", subdomain="web"), pod(2, hostname="two", subdomain="other"))
    assert [e.get("hostname") for e in made["endpoints"]] == ["one", None]
    assert made["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert made["ports"] == []


def applied(plan, slices):
    """The slices after the plan, the created ones named."""
    held = {s["metadata"]["name"]: s for s in slices}
    for s in plan.delete:
        del held[s["metadata"]["name"]]
    for s in plan.update:
        assert s["metadata"]["name"] in held
        held[s["metadata"]["name"]] = s
    for s in plan.create:
        name = f"web-{len(held)}-{max((int(n.split('-')[2]) for n in held), default=0) + 1}"
        held[name] = {**s, "metadata": {**s["metadata"], "name": name}}
    return copy(list(held.values()))


def test_one_slice_stays_when_all_endpoints_go_and_is_used_again():
    slices = applied(plan_slices(service(), [pod(i) for i in range(250)], [], zone_of), [])
    assert [len(s["endpoints"]) for s in slices] == [100, 100, 50]
    plan = plan_slices(service(), [], slices, zone_of)
    assert (len(plan.create), len(plan.update), len(plan.delete)) == (0, 1, 2)
    slices = applied(plan, slices)
    assert (slices[0]["endpoints"], slices[0]["ports"]) == ([], [])
    assert plan_slices(service(), [], slices, zone_of) == plan_slices(service(), [], slices, zone_of).__class__()
    plan = plan_slices(service(), [pod(1)], slices, zone_of)
    assert (len(plan.create), len(plan.update), len(plan.delete)) == (0, 1, 0)


def test_one_changed_pod_of_thousands_rewrites_one_slice():
    pods = [pod(i) for i in range(1234)]
    slices = applied(plan_slices(service(), pods, [], zone_of), [])
    pods[700] = pod(700, ready=False)
    plan = plan_slices(service(), pods, slices, zone_of)
    assert (len(plan.create), len(plan.update), len(plan.delete)) == (0, 1, 0)
    plan = plan_slices(service(), [*pods, pod(2000)], applied(plan, slices), zone_of)
    assert (len(plan.create), len(plan.update), len(plan.delete)) == (0, 1, 0)


def test_label_of_the_service_reaches_every_slice():
    slices = applied(plan_slices(service(), [pod(i) for i in range(150)], [], zone_of), [])
    changed = service()
    changed["metadata"]["labels"] = {"team": "pay"}
    plan = plan_slices(changed, [pod(i) for i in range(150)], slices, zone_of)
    assert [s["metadata"]["labels"]["team"] for s in plan.update] == ["pay", "pay"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sets(st.integers(0, 400)), min_size=1, max_size=6), st.data())
def test_packing_holds_every_endpoint_once_and_settles(rounds, data):
    """However pods come and go: slices of at most 100, each ready pod in one of them, nothing to do a second time."""
    slices = []
    for numbers in rounds:
        pods = [pod(n, ready=n % 7 != data.draw(st.integers(0, 9))) for n in sorted(numbers)]
        plan = plan_slices(service(), pods, slices, zone_of)
        slices = applied(plan, slices)
        held = [e["targetRef"]["uid"] for s in slices for e in s["endpoints"]]
        assert sorted(held) == sorted(p["metadata"]["uid"] for p in pods)
        assert all(len(s["endpoints"]) <= 100 for s in slices)
        again = plan_slices(service(), pods, slices, zone_of)
        assert (again.create, again.update, again.delete) == ([], [], [])


def test_endpoints_tell_ready_from_not_ready():
    pods = [pod(3), pod(1), pod(2, ready=False), pod(4, terminating=True), pod(5, phase="Failed"), pod(6, ip="")]
    made = plan_endpoints(service(), pods, None)
    (subset,) = made["subsets"]
    assert [a["targetRef"]["name"] for a in subset["addresses"]] == ["p1", "p3"]
    assert [a["targetRef"]["name"] for a in subset["notReadyAddresses"]] == ["p2"]
    assert subset["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
    assert made["metadata"]["labels"] == {"team": "shop", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
    assert plan_endpoints(service(), pods, made) == made


def test_endpoints_over_capacity_keep_the_ready_ones_and_say_so():
    pods = [pod(i, ready=i % 2 == 0) for i in range(1500)]
    made = plan_endpoints(service(), pods, None)
    assert len(made["subsets"][0]["addresses"]) == 750
    assert len(made["subsets"][0]["notReadyAddresses"]) == 250
    assert made["metadata"]["annotations"] == {"endpoints.kubernetes.io/over-capacity": "truncated"}
    fewer = plan_endpoints(service(), pods[:10], made)
    assert "annotations" not in fewer["metadata"]


def test_endpoints_without_pods_have_no_subsets():
    assert "subsets" not in plan_endpoints(service(), [], None)
