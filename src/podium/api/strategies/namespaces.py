"""Namespaces start Active, carry the `kubernetes` finalizer and a label with their own name."""

from podium.api.core import Core, Object, Strategy

FINALIZER = "kubernetes"


class NamespaceStrategy(Strategy):
    def prepare_create(self, core: Core, new: Object) -> None:
        new["status"] = {"phase": "Active"}
        spec = new.setdefault("spec", {})
        spec["finalizers"] = list(dict.fromkeys([*spec.get("finalizers", ()), FINALIZER]))
        self._label(new)

    def prepare_update(self, core: Core, new: Object, old: Object) -> None:
        super().prepare_update(core, new, old)
        new["spec"] = old.get("spec", {})
        self._label(new)

    @staticmethod
    def _label(new: Object) -> None:
        metadata = new["metadata"]
        if name := metadata.get("name"):
            metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = name
