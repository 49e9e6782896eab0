"""CustomResourceDefinitions on their way in: defaults that depend on other fields, versions that are stored, the finalizer.

Source: apiextensions-apiserver pkg/registry/customresourcedefinition/{strategy,etcd}.go, pkg/apis/apiextensions/v1/defaults.go.
"""

from podium.api.core import Core, Object, Strategy
from podium.api.custom.names import TERMINATING, with_condition
from podium.api.custom.registry import FINALIZER


class DefinitionStrategy(Strategy):
    def prepare_create(self, core: Core, new: Object) -> None:
        super().prepare_create(core, new)
        new["status"] = {"conditions": [], "acceptedNames": {"plural": "", "kind": ""}, "storedVersions": []}
        _add_stored_version(new)

    def prepare_update(self, core: Core, new: Object, old: Object) -> None:
        super().prepare_update(core, new, old)
        new["status"] = {**(new.get("status") or {})}
        _add_stored_version(new)

    def prepare_delete(self, core: Core, new: Object) -> None:
        """Its objects go first."""
        metadata = new["metadata"]
        if FINALIZER not in metadata.get("finalizers", ()):
            metadata["finalizers"] = [*metadata.get("finalizers", ()), FINALIZER]
        text = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon"
        now = core.world.clock.timestamp()
        new["status"] = with_condition(new.get("status") or {}, TERMINATING, "True", "InstanceDeletionPending", text, now)


def _add_stored_version(new: Object) -> None:
    status = new["status"]
    versions = (new.get("spec") or {}).get("versions") or ()
    for row in versions:
        if isinstance(row, dict) and row.get("storage") and row.get("name") not in status.get("storedVersions", []):
            status["storedVersions"] = [*status.get("storedVersions", []), row.get("name")]
