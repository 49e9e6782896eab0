"""The shop's four services as plain processes, each on a loopback address of its own."""

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.addresses import OWN

SHOP = Path(__file__).parents[2] / "examples/shop"
ADDRESSES = {"frontend": f"{OWN}.2", "auth": f"{OWN}.3", "payment": f"{OWN}.4", "notification": f"{OWN}.5"}
PORT = 18080
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: addresses of 127.0.0.0/8 beside 127.0.0.1"),
]


class Shop:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "api-key").write_text("secret\n")
        (directory / "message.txt").write_text("Dear $user, your $item for $amount is on its way.\n")
        self.processes = {name: self.start(name) for name in ADDRESSES}

    def start(self, name: str) -> "subprocess.Popen[bytes]":
        environment = {"PORT": str(PORT), "POD_IP": ADDRESSES[name], "POD_NAME": f"{name}-1", "SERVICE_NAME": name, "TIMEOUT_S": "0.5"}
        environment |= {f"{other.upper()}_SERVICE_HOST": address for other, address in ADDRESSES.items()}
        environment |= {f"{other.upper()}_URL": f"http://{other}:{PORT}" for other in ADDRESSES}
        environment |= {"PAYMENT_API_KEY": "secret", "API_KEY_FILE": str(self.directory / "api-key")}
        environment |= {"TEMPLATE_FILE": str(self.directory / "message.txt"), "PYTHONDONTWRITEBYTECODE": "1"}
        with (self.directory / f"{name}.log").open("ab") as log:
            return subprocess.Popen([sys.executable, str(SHOP / f"services/{name}.py")], env=environment, stdout=log, stderr=log)

    def get(self, name: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        deadline = time.monotonic() + 20
        while True:
            connection = http.client.HTTPConnection(ADDRESSES[name], PORT, timeout=10)
            try:
                connection.request("GET", path, headers=headers or {})
                response = connection.getresponse()
                return response.status, response.read().decode()
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            finally:
                connection.close()

    def logs(self, name: str) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.directory / f"{name}.log").read_text().splitlines()]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = Shop(tmp_path_factory.mktemp("shop"))
    for name in ADDRESSES:
        assert made.get(name, "/readyz") == (200, "ok\n")
    yield made
    for process in made.processes.values():
        process.send_signal(signal.SIGTERM)
    assert [process.wait(10) for process in made.processes.values()] == [0, 0, 0, 0]


def test_a_checkout_passes_through_all_four(shop: Shop) -> None:
    status, body = shop.get("frontend", "/checkout?user=ada&item=tea&amount=3", {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    answer = json.loads(body)
    assert status == 200
    assert answer["path"] == ["frontend-1", "auth-1", "payment-1", "notification-1"]
    assert answer["message"] == "Dear ada, your tea for 3.0 is on its way."
    assert answer["trace_id"] == TRACE


def test_spans_of_one_trace_are_each_others_parents(shop: Shop) -> None:
    shop.get("frontend", "/checkout", {"traceparent": f"00-{TRACE[::-1]}-00f067aa0ba902b7-01"})
    spans = [next(line for line in shop.logs(name) if line.get("trace_id") == TRACE[::-1]) for name in ADDRESSES]
    parents = ["00f067aa0ba902b7", *(span["span_id"] for span in spans[:-1])]
    assert [span["parent_id"] for span in spans] == parents


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/checkout?user=eve", 403, {"error": "user 'eve' is not known", "service": "auth"}),
        ("/checkout?amount=1e9", 422, {"error": "amount must be more than 0 and at most 1000", "service": "payment"}),
        ("/checkout?amount=nan", 422, {"error": "amount must be more than 0 and at most 1000", "service": "payment"}),
        ("/checkout?amount=x", 400, {"error": "amount must be a number", "service": "frontend"}),
        ("/nothing", 404, {"error": "no such path: /nothing", "service": "frontend"}),
    ],
)
def test_errors_say_who_and_why(shop: Shop, path: str, status: int, error: dict[str, str]) -> None:
    answered, body = shop.get("frontend", path)
    assert answered == status
    assert json.loads(body).items() >= error.items()


def test_metrics_count_requests_and_durations(shop: Shop) -> None:
    shop.get("frontend", "/checkout")
    _, text = shop.get("frontend", "/metrics")
    line = re.escape('{service="frontend",method="GET",route="/checkout",status="200"') + r"(?:,[^}]*)?} ([0-9.]+)"
    [count] = re.findall("^http_requests_total" + line, text, re.MULTILINE)
    buckets = [int(value) for value in re.findall("^http_request_duration_seconds_bucket" + line, text, re.MULTILINE)]
    assert buckets == sorted(buckets)
    assert buckets[-1] == int(count) >= 1
    assert float(re.findall("^http_request_duration_seconds_sum" + line, text, re.MULTILINE)[0]) > 0


def test_a_slow_service_is_named_after_the_timeout(shop: Shop) -> None:
    shop.processes["notification"].send_signal(signal.SIGSTOP)
    try:
        status, body = shop.get("payment", "/healthz")
        assert (status, body) == (200, "ok\n")
        status, body = shop.get("frontend", "/checkout")
    finally:
        shop.processes["notification"].send_signal(signal.SIGCONT)
    assert status == 502
    assert json.loads(body)["error"] == "notification did not answer within 0.32 s"


def test_a_missing_service_is_named(shop: Shop) -> None:
    shop.processes["notification"].terminate()
    shop.processes["notification"].wait(10)
    status, body = shop.get("frontend", "/checkout")
    shop.processes["notification"] = shop.start("notification")
    assert (status, json.loads(body)["service"]) == (502, "notification")
    assert shop.get("notification", "/readyz") == (200, "ok\n")
    assert shop.get("frontend", "/checkout")[0] == 200


def test_manifests_need_no_rights_and_agree_with_the_services() -> None:
    values = [value for path in sorted((SHOP / "manifests").glob("*.yaml")) for value in yaml.safe_load_all(path.read_text())]
    deployments = {value["metadata"]["name"]: value for value in values if value["kind"] == "Deployment"}
    assert sorted(deployments) == sorted(ADDRESSES)
    for name, deployment in deployments.items():
        [container] = deployment["spec"]["template"]["spec"]["containers"]
        assert container["command"] == ["python3", f"/shop/{name}.py"]
        assert (SHOP / f"services/{name}.py").exists()
        assert all(port["containerPort"] >= 1024 for port in container["ports"])
    assert not [value for value in values if value["kind"] == "Secret"]
