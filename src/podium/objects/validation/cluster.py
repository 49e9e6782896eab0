"""The cluster's own objects: namespaces, nodes, leases, events.

Source: k8s.io/kubernetes pkg/apis/core/validation (ValidateNode, ValidateNamespace, events.go), pkg/apis/coordination/validation.
"""

from podium.objects import names
from podium.objects.validation.addresses import check_range, family
from podium.objects.validation.faults import NEGATIVE, Faults
from podium.objects.validation.metadata import check_finalizers
from podium.objects.validation.placement import check_taints
from podium.objects.validation.resource_amounts import check_amount
from podium.objects.values import Object

_NODE_RANGE = 'node updates may not change podCIDR except from "" to valid'
_NODE_PROVIDER = 'node updates may not change providerID except from "" to valid'
_STRATEGIES = ("OldestEmulationVersion",)
_EVENT_LENGTH_MAX = 128
_NOTE_LENGTH_MAX = 1024


def check_namespace(faults: Faults, value: Object) -> None:
    check_finalizers(faults, (value.get("spec") or {}).get("finalizers") or [], "spec.finalizers", core=True)


def check_namespace_status(faults: Faults, new: Object, old: Object) -> None:
    phase = (new.get("status") or {}).get("phase", "")
    if (new.get("metadata") or {}).get("deletionTimestamp"):
        if phase != "Terminating":
            faults.invalid("status.Phase", phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")
    elif phase != "Active":
        faults.invalid("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty")


def check_namespace_finalize(faults: Faults, new: Object, old: Object) -> None:
    check_namespace(faults, new)


def check_node(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    check_taints(faults, spec.get("taints") or [], "metadata.taints")
    _check_node_amounts(faults, value)
    ranges = spec.get("podCIDRs") or []
    seen: set[str] = set()
    for i, text in enumerate(ranges):
        check_range(faults, f"spec.podCIDRs[{i}]", text)
        faults.unique(f"spec.podCIDRs[{i}]", text, seen)
    families = {family(text.partition("/")[0]) for text in ranges}
    if len(ranges) > 1 and (len(ranges) > 2 or len(families) < 2):
        faults.invalid("spec.podCIDRs", ranges, "may specify no more than one CIDR for each IP family")


def check_node_update(faults: Faults, new: Object, old: Object) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    _check_node_amounts(faults, new)
    seen: list[Object] = []
    for i, address in enumerate((new.get("status") or {}).get("addresses") or ()):
        if address in seen:
            faults.duplicate(f"status.addresses[{i}]", address)
        seen.append(address)
    if before.get("podCIDRs") and spec.get("podCIDRs") != before["podCIDRs"]:
        faults.forbidden("spec.podCIDRs", _NODE_RANGE)
    if before.get("providerID") and spec.get("providerID") != before["providerID"]:
        faults.forbidden("spec.providerID", _NODE_PROVIDER)
    check_taints(faults, spec.get("taints") or [], "metadata.taints")


def _check_node_amounts(faults: Faults, value: Object) -> None:
    status = value.get("status") or {}
    for field in ("capacity", "allocatable"):
        for name, text in (status.get(field) or {}).items():
            check_amount(faults, name, text, f"status.{field}.{name}")


def check_lease(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        faults.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    if transitions is not None and transitions < 0:
        faults.invalid("spec.leaseTransitions", transitions, NEGATIVE)
    if (strategy := spec.get("strategy")) is not None:
        _check_strategy(faults, strategy, "spec.strategy")
    if spec.get("preferredHolder") and not strategy:
        faults.forbidden("spec.preferredHolder", "may only be specified if `strategy` is defined")


def _check_strategy(faults: Faults, strategy: str, path: str) -> None:
    """Of a coordinated leader election: a name with a domain, or one of the built-in ones."""
    wrong = names.label_key(strategy)
    faults.each(path, strategy, wrong)
    if not wrong and "/" not in strategy:
        faults.one_of(path, strategy, _STRATEGIES)


def check_migration(faults: Faults, value: Object) -> None:
    """A StorageVersionMigration."""
    named, path = (value.get("spec") or {}).get("resource") or {}, "spec.resource"
    if not (plural := named.get("resource")):
        faults.required(f"{path}.resource", "resource is required to be set")
    elif wrong := names.dns_1035_label(plural):
        faults.invalid(f"{path}.resource", plural, ",".join(wrong))
    if (group := named.get("group")) and (wrong := names.dns_subdomain(group)):
        faults.invalid(f"{path}.group", group, ",".join(wrong))


def check_migration_update(faults: Faults, new: Object, old: Object) -> None:
    faults.unchanged("spec", new.get("spec"), old.get("spec"))


def check_event(faults: Faults, value: Object) -> None:
    """Of either group. Those with an eventTime obey the newer rules."""
    metadata = value.get("metadata") or {}
    about, field = value.get("involvedObject"), "involvedObject"
    if about is None:
        about, field = value.get("regarding") or {}, "regarding"
    namespace, there = metadata.get("namespace", ""), about.get("namespace", "")
    if there != namespace and (there or namespace not in ("", "default")):
        faults.invalid(f"{field}.namespace", there, "does not match event.namespace")
    if value.get("eventTime"):
        _check_new_event(faults, value)


def _check_new_event(faults: Faults, value: Object) -> None:
    controller = value.get("reportingController") or value.get("reportingComponent") or ""
    if not controller:
        faults.required("reportingController")
    faults.each("reportingController", controller, names.label_key(controller))
    for field in ("reportingInstance", "action", "reason"):
        text = value.get(field) or ""
        if not text:
            faults.required(field)
        elif len(text.encode()) > _EVENT_LENGTH_MAX:
            faults.invalid(field, "", f"can have at most {_EVENT_LENGTH_MAX} characters")
    note = value.get("message") or value.get("note") or ""
    if len(note.encode()) > _NOTE_LENGTH_MAX:
        faults.invalid("message", "", f"can have at most {_NOTE_LENGTH_MAX} characters")
