"""The webhooks of the operator's resources: what is wrong with an object is told when it is written, and AlertmanagerConfigs are converted between
versions. Served over TLS on loopback, registered by URL.

Failures to check are passed over (`failurePolicy: Ignore`): a cluster without telemetry takes what it is given, and the operator tells of it
in events. Without conversions AlertmanagerConfigs can be read and written in v1alpha1 only, as it is where upstream's webhook is down. The port
is a free one and is registered anew with each start.

Source: the Prometheus operator's admission webhook.
"""

import base64
import ssl
from collections.abc import Sequence
from typing import Any

from podium.client.interface import Client
from podium.instrument.log import logger
from podium.objects.resources import resource
from podium.objects.status import AlreadyExists, StatusError
from podium.telemetry.prometheus_operator.admission import CONFIGS_PATH, FIELDS_PATH, RULES_PATH, answer
from podium.telemetry.prometheus_operator.alertmanager_conversion import PATH as CONVERSION_PATH
from podium.telemetry.prometheus_operator.alertmanager_conversion import answer as convert
from podium.telemetry.prometheus_operator.definitions import BY_PLURAL, KINDS, Kind
from podium.telemetry.prometheus_operator.schemas import GROUP
from podium.world.http_messages import HttpRequest, Response
from podium.world.http_server import HttpServer

NAME = "podium-monitoring"
TIMEOUT_S = 5
REVIEW_BYTES_MAX = 8 * 1024 * 1024
"""Of a request: a list that is converted is in one review. The API server takes answers of as much."""
HOST = "127.0.0.1"
_REVIEWS = {"conversionReviewVersions": ["v1"]}
_log = logger("monitoring")
_CONFIGURATIONS = resource("validatingwebhookconfigurations", "admissionregistration.k8s.io")


class AdmissionWebhook:
    """`tls` shows a certificate of `ca_pem` for HOST."""

    def __init__(self, client: Client, tls: ssl.SSLContext, ca_pem: bytes) -> None:
        self._client, self._ca_pem = client, ca_pem
        self._http = HttpServer(self._answer, tls, body_bytes_max=REVIEW_BYTES_MAX)
        self._url = ""

    async def start(self) -> None:
        """Raises OSError."""
        self._url = f"https://{HOST}:{await self._http.listen(HOST, 0)}"

    def conversion(self) -> dict[str, object]:
        """For the definitions of what has several versions."""
        return {"strategy": "Webhook", "webhook": {"clientConfig": _place(f"{self._url}{CONVERSION_PATH}", self._ca_pem), **_REVIEWS}}

    async def register(self) -> None:
        """Objects are checked from now on. Without the right to that it says so in the log."""
        value = webhook_configuration(self._url, self._ca_pem)
        try:
            await self._write(value)
        except StatusError as error:
            _log.warning("objects are not checked when they are written", reason=str(error))

    async def _write(self, value: dict[str, Any]) -> None:
        try:
            await self._client.create(_CONFIGURATIONS, value)
        except AlreadyExists:
            await self._client.patch(_CONFIGURATIONS, NAME, {"webhooks": value["webhooks"]})

    async def stop(self) -> None:
        await self._http.close()

    def _answer(self, request: HttpRequest, connection: object) -> Response:
        content_type = request.headers.get("content-type", "")
        if request.path == CONVERSION_PATH:
            status, body = convert(content_type, request.body)
        else:
            status, body = answer(request.path, content_type, request.body)
        return Response(status, body, ((b"content-type", b"application/json" if status == 200 else b"text/plain; charset=utf-8"),))


def _place(url: str, ca_pem: bytes) -> dict[str, str]:
    return {"url": url, "caBundle": base64.b64encode(ca_pem).decode()}


def webhook_configuration(url: str, ca_pem: bytes) -> dict[str, Any]:
    def webhook(name: str, path: str, kinds: Sequence[Kind]) -> dict[str, object]:
        versions = sorted({version for kind in kinds for version, _ in kind.versions})
        rule = {
            "apiGroups": [GROUP], "apiVersions": versions, "operations": ["CREATE", "UPDATE"], "resources": [kind.plural for kind in kinds],
            "scope": "Namespaced",
        }  # fmt: skip
        return {
            "name": f"{name}.{GROUP}", "clientConfig": _place(f"{url}{path}", ca_pem), "rules": [rule],
            "failurePolicy": "Ignore", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": TIMEOUT_S,
        }  # fmt: skip

    checked = ("prometheusrules", "alertmanagerconfigs")
    return {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/managed-by": "podium"}},
        "webhooks": [
            webhook("prometheusrulevalidate", RULES_PATH, [BY_PLURAL["prometheusrules"]]),
            webhook("alertmanagerconfigsvalidate", CONFIGS_PATH, [BY_PLURAL["alertmanagerconfigs"]]),
            webhook("fieldsvalidate", FIELDS_PATH, [kind for kind in KINDS if kind.plural not in checked]),
        ],
    }  # fmt: skip
