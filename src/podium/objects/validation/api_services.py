"""APIServices: which group version, and where it is served.

Source: k8s.io/kube-aggregator pkg/apis/apiregistration/validation.
"""

from podium.objects import names
from podium.objects.validation.faults import Faults
from podium.objects.values import Object


def check_api_service(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    name, group, version = (value.get("metadata") or {}).get("name", ""), spec.get("group") or "", spec.get("version") or ""
    wanted = f"{version}.{group}"
    if name != wanted:
        faults.invalid("metadata.name", name, f'must be `spec.version+"."+spec.group`: "{wanted}"')
    if group:
        faults.each("spec.group", group, names.dns_subdomain(group))
    faults.each("spec.version", version, names.dns_1035_label(version))
    for field, limit in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
        number = spec.get(field) or 0
        if not 0 < number <= limit:
            faults.invalid(f"spec.{field}", number, f"must be positive and less than {limit}")
    ca, insecure = spec.get("caBundle") or "", bool(spec.get("insecureSkipTLSVerify"))
    service = spec.get("service")
    if service is None:
        if ca:
            faults.invalid("spec.caBundle", f"{len(ca) * 3 // 4} bytes", "local APIServices may not have a caBundle")
        if insecure:
            faults.invalid("spec.insecureSkipTLSVerify", insecure, "local APIServices may not have insecureSkipTLSVerify")
        return
    for field in ("namespace", "name"):
        if not service.get(field):
            faults.required(f"spec.service.{field}")
    port = service.get("port", 443)
    if not 0 < port < 65536:
        faults.invalid("spec.service.port", port, "port is not valid: must be between 1 and 65535, inclusive")
    if insecure and ca:
        faults.invalid("spec.insecureSkipTLSVerify", insecure, "may not be true if caBundle is present")
