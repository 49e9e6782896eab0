"""What pods ask for: (containers, initial containers, overhead, pod level) -> requests."""

import pytest

from podium.objects.values import Object
from podium.scheduler.demand import parse, pod_requests
from tests.scheduler.building import pod


def c(cpu: str, sidecar: bool = False) -> Object:
    return {"resources": {"requests": {"cpu": cpu}}, **({"restartPolicy": "Always"} if sidecar else {})}


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [c("100m"), c("0.2")]}, 300),
        ({"containers": [c("100m")], "initContainers": [c("500m"), c("300m")]}, 500),
        ({"containers": [c("400m")], "initContainers": [c("300m")]}, 400),
        ({"containers": [c("100m")], "initContainers": [c("200m", sidecar=True), c("300m")]}, 500),
        ({"containers": [c("400m")], "initContainers": [c("200m", sidecar=True), c("300m")]}, 600),
        ({"containers": [c("100m")], "overhead": {"cpu": "50m"}}, 150),
        ({"containers": [c("100m")], "resources": {"requests": {"cpu": "1"}}}, 1000),
    ],
)
def test_requests(spec: Object, cpu: int) -> None:
    assert pod_requests(spec) == {"cpu": cpu}


def test_unbindable_volumes_are_refused_clearly() -> None:
    demand = parse(pod("p", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]))
    assert 'persistentvolumeclaim "data"' in demand.refusal
