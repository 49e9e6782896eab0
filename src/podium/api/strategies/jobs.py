"""Jobs select their pods by their own uid, unless their author says that the selector is his own affair.

Source: k8s.io/kubernetes pkg/registry/batch/job/strategy.go (generateSelector).
"""

from podium.api.core import Core, Object, Strategy


class JobStrategy(Strategy):
    def prepare_create(self, core: Core, new: Object) -> None:
        super().prepare_create(core, new)
        spec = new.get("spec")
        if not isinstance(spec, dict) or spec.get("manualSelector") or not isinstance(spec.get("template"), dict):
            return
        uid, name = new["metadata"]["uid"], new["metadata"].get("name", "")
        if spec["template"].get("metadata") is None:
            spec["template"]["metadata"] = {}
        labels = spec["template"]["metadata"].get("labels") or {}
        own = {"controller-uid": uid, "job-name": name, "batch.kubernetes.io/controller-uid": uid, "batch.kubernetes.io/job-name": name}
        spec["template"]["metadata"]["labels"] = {**labels, **own}
        selector = spec.get("selector") or {}
        matched = {**(selector.get("matchLabels") or {}), "batch.kubernetes.io/controller-uid": uid}
        spec["selector"] = {**selector, "matchLabels": matched}
