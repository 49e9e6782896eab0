"""The metrics of the control plane: one path of the API server for each of its components."""

import asyncio

from podium.control_plane import build, start_controllers
from podium.store.memory import MemoryStore
from podium.world import virtual
from podium.world.http_messages import HttpRequest, Peer, Response
from tests.controllers.api_cluster import signing_key
from tests.telemetry.exporters.linting import lint

ADMINISTRATOR = Peer("kubernetes-admin", ("system:masters",))


def test_each_component_has_a_path() -> None:
    async def main(world):
        plane = await build(MemoryStore(), world, service_cidr="10.96.0.0/24", signing_key=signing_key())
        start_controllers(plane, ca_pem="PEM")
        await asyncio.sleep(5)
        texts = {}
        for path in ("/metrics", "/metrics/kube-controller-manager", "/metrics/kube-scheduler", "/metrics/none"):
            asked = HttpRequest("GET", path, path, {}, {}, b"", ADMINISTRATOR)
            answer = await _answered(plane.server.handle(asked, None))
            texts[path] = (answer.status, answer.body.decode())
        refused = await _answered(plane.server.handle(HttpRequest("GET", "/metrics", "/metrics", {}, {}, b"", Peer("eve", ())), None))
        await plane.stop()
        assert refused.status == 403
        return texts

    texts = virtual.run(main)
    assert texts["/metrics"][0] == 200 and "apiserver_storage_objects" in texts["/metrics"][1]
    assert 'workqueue_adds_total{name="namespace"}' in texts["/metrics/kube-controller-manager"][1]
    assert "scheduler_pending_pods" in texts["/metrics/kube-scheduler"][1]
    assert texts["/metrics/none"][0] == 404
    for path in ("/metrics", "/metrics/kube-controller-manager", "/metrics/kube-scheduler"):
        assert "process_" not in texts[path][1]  # a rehearsal's metrics are the same at each run
        lint(texts[path][1].encode())


async def _answered(answer) -> Response:
    return answer if isinstance(answer, Response) else await answer
