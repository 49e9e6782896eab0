"""Taints of devices tell since when they are: evictions count from then.

Source: k8s.io/kubernetes pkg/apis/resource/v1/defaults.go (SetDefaults_DeviceTaint).
"""

from collections.abc import Iterator

from podium.api.core import Core, Object, Strategy


class TaintedDevicesStrategy(Strategy):
    """Of ResourceSlices and DeviceTaintRules."""

    def prepare_create(self, core: Core, new: Object) -> None:
        super().prepare_create(core, new)
        _mark(core, new)

    def prepare_update(self, core: Core, new: Object, old: Object) -> None:
        super().prepare_update(core, new, old)
        _mark(core, new)


def _mark(core: Core, value: Object) -> None:
    for taint in _taints(value.get("spec")):
        if not taint.get("timeAdded"):
            taint["timeAdded"] = core.world.clock.timestamp()


def _taints(spec: object) -> Iterator[Object]:
    """Before validation: only what has the right form."""
    if not isinstance(spec, dict):
        return
    if isinstance(spec.get("taint"), dict):
        yield spec["taint"]
    for device in spec.get("devices") or ():
        if isinstance(device, dict):
            yield from (taint for taint in device.get("taints") or () if isinstance(taint, dict))
