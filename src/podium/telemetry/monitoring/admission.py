"""The webhook that refuses bad rules and AlertmanagerConfigs when they are written: served over TLS on loopback, registered by URL.

Failures are passed over (`failurePolicy: Ignore`): a cluster without telemetry takes what it is given, and the operator tells of it in events.
The port is a free one and is registered anew with each start.

Source: the Prometheus operator's admission webhook.
"""

import base64
import ssl

from podium.client.interface import Client
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists
from podium.telemetry.prometheus_operator.admission import CONFIGS_PATH, RULES_PATH, answer
from podium.telemetry.prometheus_operator.schemas import GROUP
from podium.world.http_messages import HttpRequest, Response
from podium.world.http_server import HttpServer

NAME = "podium-monitoring"
TIMEOUT_S = 5
HOST = "127.0.0.1"
_CONFIGURATIONS = resource("validatingwebhookconfigurations", "admissionregistration.k8s.io")


class AdmissionWebhook:
    """`tls` shows a certificate of `ca_pem` for HOST."""

    def __init__(self, client: Client, tls: ssl.SSLContext, ca_pem: bytes) -> None:
        self._client, self._ca_pem = client, ca_pem
        self._http = HttpServer(self._answer, tls)

    async def start(self) -> None:
        """Raises OSError, StatusError."""
        port = await self._http.listen(HOST, 0)
        value = webhook_configuration(f"https://{HOST}:{port}", self._ca_pem)
        try:
            await self._client.create(_CONFIGURATIONS, value)
        except AlreadyExists:
            await self._client.patch(_CONFIGURATIONS, NAME, {"webhooks": value["webhooks"]})

    async def stop(self) -> None:
        await self._http.close()

    def _answer(self, request: HttpRequest, connection: object) -> Response:
        status, body = answer(request.path, request.headers.get("content-type", ""), request.body)
        return Response(status, body, ((b"content-type", b"application/json" if status == 200 else b"text/plain; charset=utf-8"),))


def webhook_configuration(url: str, ca_pem: bytes) -> dict[str, object]:
    def webhook(name: str, path: str, plural: str, version: str) -> dict[str, object]:
        return {
            "name": f"{name}.{GROUP}",
            "clientConfig": {"url": f"{url}{path}", "caBundle": base64.b64encode(ca_pem).decode()},
            "rules": [
                {"apiGroups": [GROUP], "apiVersions": [version], "operations": ["CREATE", "UPDATE"], "resources": [plural], "scope": "Namespaced"}
            ],
            "failurePolicy": "Ignore", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": TIMEOUT_S,
        }  # fmt: skip

    return {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/managed-by": "podium"}},
        "webhooks": [
            webhook("prometheusrulevalidate", RULES_PATH, "prometheusrules", "v1"),
            webhook("alertmanagerconfigsvalidate", CONFIGS_PATH, "alertmanagerconfigs", "v1alpha1"),
        ],
    }  # fmt: skip
