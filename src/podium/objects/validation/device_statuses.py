"""What drivers tell of the devices that a claim has got.

Source: k8s.io/kubernetes pkg/apis/resource/validation/validation.go (validateDeviceStatus); k8s.io/apimachinery
pkg/apis/meta/v1/validation (ValidateConditions).
"""

from collections.abc import Sequence
from ipaddress import ip_interface

import orjson

from podium.objects import names
from podium.objects.validation.devices import check_pool_name, check_uid
from podium.objects.validation.faults import Faults
from podium.objects.validation.volume_sources import check_driver_name
from podium.objects.values import Object

CONDITIONS_MAX = 8
DATA_BYTES_MAX = 10 * 1024
INTERFACE_LENGTH_MAX, HARDWARE_ADDRESS_LENGTH_MAX, ADDRESSES_MAX = 256, 128, 16
_REASON_LENGTH_MAX, _MESSAGE_LENGTH_MAX = 1024, 32768


def check_device_status(faults: Faults, device: Object, path: str, allocated: bool, shown: str) -> None:
    """`shown` is how the device is called in messages."""
    check_driver_name(faults, device.get("driver") or "", f"{path}.driver")
    check_pool_name(faults, device.get("pool") or "", f"{path}.pool")
    faults.each(f"{path}.device", device.get("device") or "", names.dns_label(device.get("device") or ""))
    if (share := device.get("shareID")) is not None:
        check_uid(faults, share, f"{path}.shareID")
    if not allocated:
        faults.invalid(path, shown, "must be an allocated device in the claim")
    conditions = device.get("conditions") or []
    if len(conditions) > CONDITIONS_MAX:
        faults.too_many(f"{path}.conditions", len(conditions), CONDITIONS_MAX)
    check_conditions(faults, conditions, f"{path}.conditions")
    data = device.get("data")
    if data is not None and len(orjson.dumps(data)) > DATA_BYTES_MAX:
        faults.too_long(f"{path}.data", DATA_BYTES_MAX)
    elif data is not None and not isinstance(data, dict):
        faults.invalid(f"{path}.data", "<value omitted>", "must be a valid JSON object")
    _check_network(faults, device.get("networkData") or {}, f"{path}.networkData")


def check_conditions(faults: Faults, conditions: Sequence[Object], path: str) -> None:
    """Of the form that newer kinds have in common."""
    seen: set[str] = set()
    for i, condition in enumerate(conditions):
        at, type_, reason = f"{path}[{i}]", condition.get("type") or "", condition.get("reason") or ""
        if not type_:
            faults.required(f"{at}.type")
        else:
            faults.each(f"{at}.type", type_, names.label_key(type_))
        faults.unique(f"{at}.type", type_, seen)
        faults.one_of(f"{at}.status", condition.get("status") or "", ("False", "True", "Unknown"))
        faults.not_negative(f"{at}.observedGeneration", condition.get("observedGeneration"))
        if not condition.get("lastTransitionTime"):
            faults.required(f"{at}.lastTransitionTime")
        if not reason:
            faults.required(f"{at}.reason")
        elif len(reason.encode()) > _REASON_LENGTH_MAX:
            faults.too_long(f"{at}.reason", _REASON_LENGTH_MAX)
        if len((condition.get("message") or "").encode()) > _MESSAGE_LENGTH_MAX:
            faults.too_long(f"{at}.message", _MESSAGE_LENGTH_MAX)


def _check_network(faults: Faults, network: Object, path: str) -> None:
    for field, length_max in (("interfaceName", INTERFACE_LENGTH_MAX), ("hardwareAddress", HARDWARE_ADDRESS_LENGTH_MAX)):
        if len((network.get(field) or "").encode()) > length_max:
            faults.too_long(f"{path}.{field}", length_max)
    addresses, seen = network.get("ips") or [], set[str]()
    if len(addresses) > ADDRESSES_MAX:
        faults.too_many(f"{path}.ips", len(addresses), ADDRESSES_MAX)
        return
    for i, text in enumerate(addresses):
        try:
            if "/" not in text or str(ip_interface(text)) != text:
                raise ValueError
        except ValueError:
            why = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"
            faults.invalid(f"{path}.ips[{i}]", text, why)
        faults.unique(f"{path}.ips[{i}]", text, seen)
