"""What answers on a simulated cluster's network: the API server as to telemetry, the nodes each for itself."""

from typing import Any

import pytest

from podium import testing
from podium.simulation.surroundings import API, FLEET
from podium.telemetry.metrics.outbound.interface import OutboundError

pytestmark = pytest.mark.slow


def test_the_api_server_and_the_nodes_answer_as_they_would_over_sockets() -> None:
    asked = [
        ("GET", f"https://{API}/api/v1/nodes?limit=1", 200),
        ("GET", f"https://{API}/metrics/kube-scheduler", 200),
        ("GET", f"https://{API}/readyz", 200),
        ("DELETE", f"https://{API}/api/v1/nodes/simulated-0", 403),
        ("GET", f"http://{API.replace(':443', '')}:443/metrics", 401),
        ("GET", f"https://{API}/api/v1/nodes?watch=true", 501),
        ("GET", f"http://{FLEET}/healthz", 200),
        ("GET", f"http://{FLEET}/metrics/resource?node=simulated-1", 200),
        ("GET", f"http://{FLEET}/stats/summary?node=simulated-1", 200),
        ("GET", f"http://{FLEET}/containerLogs/a/b/c", 404),
    ]

    async def scenario(cluster: testing.Cluster) -> list[Any]:
        answers = [(await cluster.network.ask(method, url, {}, b"")).status for method, url, _ in asked]
        cluster.lose_nodes(["simulated-1"])
        for node in ("simulated-1", "nobody"):
            with pytest.raises(OutboundError, match="no route to host"):
                await cluster.network.ask("GET", f"http://{FLEET}/metrics/cadvisor?node={node}", {}, b"")
        page = (await cluster.network.ask("GET", f"http://{FLEET}/metrics", {}, b"")).body
        assert b'kubelet_node_name{node="simulated-0"} 1' in page
        assert b"simulated-1" not in page
        return answers

    assert testing.run(scenario, nodes=2) == [status for _, _, status in asked]
