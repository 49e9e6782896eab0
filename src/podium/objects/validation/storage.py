"""StorageClass, VolumeAttributesClass, VolumeAttachment and what CSI drivers tell of themselves.

Source: k8s.io/kubernetes pkg/apis/storage/validation/validation.go.
"""

from typing import Any

from podium.objects import names
from podium.objects.validation.faults import Faults
from podium.objects.validation.labels import check_label_selector
from podium.objects.validation.persistent_volumes import check_volume_spec
from podium.objects.validation.resource_amounts import check_amount
from podium.objects.validation.volume_sources import check_driver_name
from podium.objects.values import Object

PARAMETERS_MAX = 512
PARAMETERS_BYTES_MAX = 256 * 1024
METADATA_BYTES_MAX = 256 * 1024
ERROR_MESSAGE_BYTES_MAX = 1024
NODE_ID_LENGTH_MAX = 256
_UPDATE_PERIOD_S_MIN = 10
_TOKEN_SECONDS_MIN, _TOKEN_SECONDS_MAX = 600, 2**32
_ONE_SOURCE = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"


def check_class(faults: Faults, value: Object) -> None:
    _check_provisioner(faults, value.get("provisioner") or "", "provisioner")
    _check_parameters(faults, value.get("parameters") or {}, "parameters")
    faults.one_of("reclaimPolicy", value.get("reclaimPolicy") or None, ("Delete", "Retain"))
    faults.one_of("volumeBindingMode", value.get("volumeBindingMode"), ("Immediate", "WaitForFirstConsumer"))
    seen: list[dict[str, frozenset[str]]] = []
    for i, term in enumerate(value.get("allowedTopologies") or ()):
        wanted = _check_topology(faults, term, f"allowedTopologies[{i}]")
        if wanted in seen:
            faults.duplicate(f"allowedTopologies[{i}].matchLabelExpressions", "")
        seen.append(wanted)


def check_class_update(faults: Faults, new: Object, old: Object) -> None:
    if (new.get("parameters") or {}) != (old.get("parameters") or {}):
        faults.forbidden("parameters", "updates to parameters are forbidden.")
    for field in ("provisioner", "reclaimPolicy"):
        if new.get(field) != old.get(field):
            faults.forbidden(field, f"updates to {field} are forbidden.")
    faults.unchanged("volumeBindingMode", new.get("volumeBindingMode"), old.get("volumeBindingMode"))


def _check_provisioner(faults: Faults, name: str, path: str) -> None:
    if not name:
        faults.required(path)
        return
    faults.each(path, name.lower(), names.label_key(name.lower()))


def _check_parameters(faults: Faults, parameters: Object, path: str) -> None:
    if len(parameters) > PARAMETERS_MAX:
        faults.too_long(path, PARAMETERS_MAX)
        return
    if "" in parameters:
        faults.invalid(path, "", "field can not be empty.")
    if _bytes(parameters) > PARAMETERS_BYTES_MAX:
        faults.too_long(path, PARAMETERS_BYTES_MAX)


def _bytes(texts: Object) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in texts.items())


def _check_topology(faults: Faults, term: Object, path: str) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for i, expression in enumerate(term.get("matchLabelExpressions") or ()):
        at, key = f"{path}.matchLabelExpressions[{i}]", expression.get("key") or ""
        wanted, seen = expression.get("values") or [], set[Any]()
        if not wanted:
            faults.required(f"{at}.values")
        for j, value in enumerate(wanted):
            faults.unique(f"{at}.values[{j}]", value, seen)
        faults.each(f"{at}.key", key, names.label_key(key))
        if key in found:
            faults.duplicate(f"{at}.key", key)
        found[key] = frozenset(wanted)
    return found


def check_attributes_class(faults: Faults, value: Object) -> None:
    _check_provisioner(faults, value.get("driverName") or "", "driverName")
    _check_parameters(faults, value.get("parameters") or {}, "parameters")
    if not value.get("parameters"):
        faults.required("parameters", "must contain at least one key/value pair")


def check_attributes_class_update(faults: Faults, new: Object, old: Object) -> None:
    for field in ("driverName", "parameters"):
        if new.get(field) != old.get(field):
            faults.forbidden(field, f"updates to {field} are forbidden.")
    check_attributes_class(faults, new)


def check_attachment(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    source, attacher, node = spec.get("source") or {}, spec.get("attacher") or "", spec.get("nodeName") or ""
    inline, name = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    check_driver_name(faults, attacher, "spec.attacher")
    if inline is None and name is None:
        faults.required("spec.source", _ONE_SOURCE)
    elif inline is not None and name is not None:
        faults.forbidden("spec.source", _ONE_SOURCE)
    elif inline is not None:
        check_volume_spec(faults, inline, "spec.source.inlineVolumeSpec", inline=True)
    elif not name:
        faults.required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName")
    else:
        faults.each("spec.source.persistentVolumeName", name, names.dns_subdomain(name))
    faults.each("spec.nodeName", node, names.dns_subdomain(node))
    check_attachment_status(faults, value, value)


def check_attachment_update(faults: Faults, new: Object, old: Object) -> None:
    faults.unchanged("spec", new.get("spec"), old.get("spec"))


def check_attachment_status(faults: Faults, new: Object, old: Object) -> None:
    status = new.get("status") or {}
    if _bytes(status.get("attachmentMetadata") or {}) > METADATA_BYTES_MAX:
        faults.too_long("status.attachmentMetadata", METADATA_BYTES_MAX)
    for field in ("attachError", "detachError"):
        error = status.get(field) or {}
        if len((error.get("message") or "").encode()) > ERROR_MESSAGE_BYTES_MAX:
            faults.too_long(f"status.{field}.message", ERROR_MESSAGE_BYTES_MAX)
        if (code := error.get("errorCode")) is not None and code < 0:
            faults.invalid(f"status.{field}.errorCode", code, names.out_of_range(0, 2**31 - 1))


def check_driver(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    for field in ("podInfoOnMount", "storageCapacity"):
        if spec.get(field) is None:
            faults.required(f"spec.{field}")
    if spec.get("attachRequired") is None:
        faults.required("spec.attachedRequired")
    faults.one_of("spec.fsGroupPolicy", spec.get("fsGroupPolicy"), ("File", "None", "ReadWriteOnceWithFSType"))
    _check_token_requests(faults, spec.get("tokenRequests") or [], "spec.tokenRequests")
    for mode in spec.get("volumeLifecycleModes") or ():
        faults.one_of("spec.volumeLifecycleModes", mode, ("Persistent", "Ephemeral"))
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < _UPDATE_PERIOD_S_MIN:
        faults.invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, "must be greater than or equal to 10 seconds")


def _check_token_requests(faults: Faults, requests: list[Object], path: str) -> None:
    seen: set[str] = set()
    for i, request in enumerate(requests):
        audience, seconds = request.get("audience") or "", request.get("expirationSeconds")
        if audience in seen:
            faults.duplicate(f"{path}[{i}].audience", audience)
            continue
        seen.add(audience)
        if seconds is not None and seconds < _TOKEN_SECONDS_MIN:
            faults.invalid(f"{path}[{i}].expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
        if seconds is not None and seconds > _TOKEN_SECONDS_MAX:
            faults.invalid(f"{path}[{i}].expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")


def check_driver_update(faults: Faults, new: Object, old: Object) -> None:
    check_driver(faults, new)
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    faults.unchanged("spec.attachedRequired", spec.get("attachRequired"), before.get("attachRequired"))
    faults.unchanged("spec.volumeLifecycleModes", spec.get("volumeLifecycleModes"), before.get("volumeLifecycleModes"))


def check_csi_node(faults: Faults, value: Object) -> None:
    seen: set[str] = set()
    for i, driver in enumerate((value.get("spec") or {}).get("drivers") or ()):
        path, name, node = f"spec.drivers[{i}]", driver.get("name") or "", driver.get("nodeID") or ""
        check_driver_name(faults, name, f"{path}.name")
        if not node:
            faults.required(f"{path}.nodeID")
        if len(node.encode()) > NODE_ID_LENGTH_MAX:
            faults.invalid(f"{path}.nodeID", node, f"must be {NODE_ID_LENGTH_MAX} characters or less")
        faults.not_negative(f"{path}.allocatable.count", (driver.get("allocatable") or {}).get("count"))
        faults.unique(f"{path}.name", name, seen)
        keys: set[str] = set()
        for key in driver.get("topologyKeys") or ():
            if not key:
                faults.required(path)
            faults.unique(path, key, keys)
            faults.each(path, key, names.label_key(key))


def check_csi_node_update(faults: Faults, new: Object, old: Object) -> None:
    """Drivers come and go; of one that stays only how many volumes it can attach may change."""
    check_csi_node(faults, new)

    def fixed(value: Object) -> dict[str, Object]:
        drivers = (value.get("spec") or {}).get("drivers") or ()
        return {d.get("name", ""): {k: v for k, v in d.items() if k != "allocatable"} for d in drivers}

    now = fixed(new)
    for name, before in fixed(old).items():
        if name in now:
            faults.unchanged("spec.drivers", now[name], before)


def check_capacity(faults: Faults, value: Object) -> None:
    check_label_selector(faults, value.get("nodeTopology"), "nodeTopology")
    name = value.get("storageClassName") or ""
    faults.each("storageClassName", name, names.dns_subdomain(name))
    if (amount := value.get("capacity")) is not None:
        check_amount(faults, "storage", amount, "capacity")


def check_capacity_update(faults: Faults, new: Object, old: Object) -> None:
    for field in ("nodeTopology", "storageClassName"):
        faults.unchanged(field, new.get(field), old.get(field))
