"""Groups as they are kept."""

from podium.telemetry.discovery.kubernetes_groups import pod_group
from podium.telemetry.metrics.discovery.groups import KeptGroup, TargetGroup, packed, unpacked


def test_a_kept_group_is_the_group_that_it_was_made_of() -> None:
    group = TargetGroup("s/1", ({"__address__": "a:1", "ü": "\ud800"}, {"__address__": "b:1"}), {"x": "y", "empty": ""})
    kept = KeptGroup(group)
    assert (kept.source, kept.targets, kept.labels) == (group.source, group.targets, group.labels)
    assert kept == group
    assert group == kept
    assert kept == KeptGroup(group)
    assert kept != KeptGroup(TargetGroup("s/2", group.targets, group.labels))
    assert kept != TargetGroup("s/1", group.targets, {"x": "z"})


def test_a_pods_group_takes_little() -> None:
    pod = {
        "metadata": {
            "name": "web-74cf97f748-222gx",
            "namespace": "default",
            "uid": "6f795e90-b45e-4e7b-8c9f-c26ccc66998a",
            "labels": {"app": "web"},
        },
        "spec": {
            "nodeName": "node-529",
            "containers": [{"name": "app", "image": "app:1", "ports": [{"containerPort": 80, "name": "http"}]}],
        },
        "status": {"phase": "Running", "podIP": "10.239.138.164", "hostIP": "127.0.0.1"},
    }
    group = pod_group(pod, None, None)
    labels = [dict(target) for target in group.targets], dict(group.labels)
    assert len(packed(labels)) * 3 < len(str(labels))
    assert unpacked(packed(labels)) == list(labels)
