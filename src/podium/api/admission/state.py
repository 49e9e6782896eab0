"""What the plugins look up, kept up to date by the store's feed: see live_objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from podium.api.admission.limit_ranger import Limit, compile_limits
from podium.api.admission.plugin import Operation, Plan
from podium.api.admission.pod_security import Policy, policy_of
from podium.api.admission.policies import PolicyTable
from podium.api.admission.resource_quota import Ledger
from podium.api.admission.webhooks import WebhookTable, compile_webhooks
from podium.api.core import Core
from podium.api.live_objects import LiveObjects
from podium.api.pod_security_config import PodSecurity
from podium.api.webhook_client import WebhookClient
from podium.objects.resources import Resource, resource
from podium.objects.values import Object

if TYPE_CHECKING:
    from podium.objects.admission_policies import Policy as AdmissionPolicy


@dataclass(frozen=True, slots=True)
class NamespaceFacts:
    labels: Mapping[str, str]
    policy: Policy


def _facts(value: Object, settings: PodSecurity) -> NamespaceFacts:
    labels = value["metadata"].get("labels") or {}
    return NamespaceFacts(labels, policy_of(labels, settings))


def _compile_mutating(value: Object) -> "AdmissionPolicy":
    from podium.objects.admission_policies import compile_mutating  # the expression language is loaded with the first policy

    return compile_mutating(value)


def _compile_validating(value: Object) -> "AdmissionPolicy":
    from podium.objects.admission_policies import compile_validating

    return compile_validating(value)


def _itself(value: Object) -> Object:
    return value


class AdmissionState:
    """One per API server. `start` before the first write."""

    def __init__(self, core: Core) -> None:
        store = core.store
        self.plans: dict[tuple[Operation, Resource, str], Plan] = {}
        self.namespaces: LiveObjects[NamespaceFacts] = LiveObjects(
            store, resource("namespaces"), lambda value: _facts(value, core.pod_security)
        )
        self.limit_ranges: LiveObjects[list[Limit]] = LiveObjects(store, resource("limitranges"), compile_limits)
        self.priority_classes = LiveObjects(store, resource("priorityclasses", "scheduling.k8s.io"), _itself)
        self.storage_classes = LiveObjects(store, resource("storageclasses", "storage.k8s.io"), _itself)
        self.ingress_classes = LiveObjects(store, resource("ingressclasses", "networking.k8s.io"), _itself)
        self.runtime_classes = LiveObjects(store, resource("runtimeclasses", "node.k8s.io"), _itself)
        self.quotas = Ledger(store)
        group = "admissionregistration.k8s.io"
        self._mutating = LiveObjects(store, resource("mutatingwebhookconfigurations", group), compile_webhooks)
        self._validating = LiveObjects(store, resource("validatingwebhookconfigurations", group), compile_webhooks)
        self.mutating, self.validating = WebhookTable(self._mutating), WebhookTable(self._validating)
        self.webhook_client = WebhookClient(core)
        self.mutating_policies = PolicyTable(store, "mutating", _compile_mutating)
        self.validating_policies = PolicyTable(store, "validating", _compile_validating)

    async def start(self) -> None:
        await self.namespaces.start()
        await self.limit_ranges.start()
        for classes in (self.priority_classes, self.storage_classes, self.ingress_classes, self.runtime_classes):
            await classes.start()
        await self._mutating.start()
        await self._validating.start()
        await self.mutating_policies.start()
        await self.validating_policies.start()
        await self.quotas.start()

    async def aclose(self) -> None:
        await self.webhook_client.aclose()
