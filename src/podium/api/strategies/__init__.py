"""One strategy per kind that needs one; `strategies()` is the table the server starts with."""

from podium.api.core import Strategy
from podium.api.strategies.certificates import CertificateRequestStrategy
from podium.api.strategies.definitions import DefinitionStrategy
from podium.api.strategies.devices import TaintedDevicesStrategy
from podium.api.strategies.jobs import JobStrategy
from podium.api.strategies.namespaces import NamespaceStrategy
from podium.api.strategies.pods import PodStrategy
from podium.api.strategies.secrets import SecretStrategy
from podium.api.strategies.services import ServiceStrategy
from podium.objects.resources import resource

_WITH_TAINTS = ("resourceslices", "devicetaintrules")


def strategies(service_cidr: str) -> dict[tuple[str, str], Strategy]:
    return {
        ("certificates.k8s.io", "certificatesigningrequests"): CertificateRequestStrategy(
            resource("certificatesigningrequests", "certificates.k8s.io")
        ),
        ("", "namespaces"): NamespaceStrategy(resource("namespaces")),
        ("", "pods"): PodStrategy(resource("pods")),
        ("", "secrets"): SecretStrategy(resource("secrets")),
        ("apiextensions.k8s.io", "customresourcedefinitions"): DefinitionStrategy(
            resource("customresourcedefinitions", "apiextensions.k8s.io")
        ),
        ("batch", "jobs"): JobStrategy(resource("jobs", "batch")),
        **{("resource.k8s.io", plural): TaintedDevicesStrategy(resource(plural, "resource.k8s.io")) for plural in _WITH_TAINTS},
        ("", "services"): ServiceStrategy(resource("services"), service_cidr),
    }
