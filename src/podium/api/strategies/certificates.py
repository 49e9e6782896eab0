"""Certificate requests: the spec never changes; approvers decide through `approval`, signers answer through `status`.

Source: k8s.io/kubernetes pkg/registry/certificates/certificates/strategy.go.
"""

from podium.api.core import Core, Object, Strategy

_DECISIONS = ("Approved", "Denied")


class CertificateRequestStrategy(Strategy):
    def prepare_create(self, core: Core, new: Object) -> None:
        super().prepare_create(core, new)
        new["status"] = {}

    def prepare_update(self, core: Core, new: Object, old: Object) -> None:
        super().prepare_update(core, new, old)
        new["spec"] = old["spec"]

    def prepare_status(self, core: Core, new: Object, old: Object) -> None:
        """Decisions stay the approvers'."""
        super().prepare_status(core, new, old)
        status = new["status"] = dict(new.get("status") or {})
        decided = [c for c in _conditions(old) if c.get("type") in _DECISIONS]
        others = [c for c in _conditions(new) if c.get("type") not in _DECISIONS]
        _set(core, status, [*decided, *others], old)

    def prepare_part(self, core: Core, new: Object, old: Object, part: str) -> None:
        """An approval: nothing but the decision is the approver's."""
        asked = [c for c in _conditions(new) if c.get("type") in _DECISIONS]
        super().prepare_status(core, new, old)
        status = new["status"] = dict(old.get("status") or {})
        _set(core, status, [*asked, *(c for c in _conditions(old) if c.get("type") not in _DECISIONS)], old)


def _conditions(value: Object) -> list[Object]:
    return list((value.get("status") or {}).get("conditions") or ())


def _set(core: Core, status: Object, conditions: list[Object], old: Object) -> None:
    """With the times of what is new or changed."""
    before = {c.get("type"): c for c in _conditions(old)}
    now = core.world.clock.timestamp()
    done = []
    for condition in conditions:
        known = before.get(condition.get("type"))
        if condition != known:
            condition = {**condition, "lastUpdateTime": condition.get("lastUpdateTime") or now}
            same = known is not None and known.get("status") == condition.get("status")
            condition["lastTransitionTime"] = (
                (known or {}).get("lastTransitionTime", now) if same else condition.get("lastTransitionTime") or now
            )
        done.append(condition)
    if done:
        status["conditions"] = done
    else:
        status.pop("conditions", None)
