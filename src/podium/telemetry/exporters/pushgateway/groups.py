"""What was pushed: groups of families, each under its grouping key (labels with a job among them).

Invariants: all groups together are one consistent exposition: a family has one kind everywhere, a label set occurs once. What would break
that is refused, and the group stays as it was, but for its push_failure_time_seconds. Every sample carries its group's labels, and an
instance label, if only an empty one.

Bounds: GROUPS_MAX groups, SERIES_MAX samples in all.

Source: pushgateway storage/diskmetricstore.go, handler/push.go; README (About the job and instance labels).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from podium.instrument.exposition import Family, Pairs
from podium.telemetry.exporters.errors import BadExposition

GROUPS_MAX = 10_000
SERIES_MAX = 500_000
INVALID = "pushed metrics are invalid or inconsistent with existing metrics"
PUSHED, FAILED = "push_time_seconds", "push_failure_time_seconds"
TEXTS = {
    PUSHED: "When this group was pushed to last, in seconds since the epoch.",
    FAILED: "When a push to this group failed last, in seconds since the epoch.",
}


@dataclass(slots=True)
class Group:
    """`labels` is the grouping key, sorted by name. Times are seconds since the epoch, 0: never."""

    labels: Pairs
    families: dict[str, Family] = field(default_factory=dict)
    pushed_s: float = 0.0
    failed_s: float = 0.0
    changed_s: dict[str, float] = field(default_factory=dict)

    @property
    def last_push_successful(self) -> bool:
        return self.pushed_s >= self.failed_s

    def size(self) -> int:
        return sum(len(family.samples) for family in self.families.values())


class Groups:
    def __init__(self) -> None:
        self._groups: dict[Pairs, Group] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def all(self) -> list[Group]:
        """Sorted by their labels."""
        return [self._groups[key] for key in sorted(self._groups)]

    def restore(self, groups: list[Group]) -> None:
        self._groups = {group.labels: group for group in groups}

    def push(
        self, labels: Pairs, families: dict[str, Family], now_s: float, *, replace: bool, own: Mapping[str, str] | None = None
    ) -> None:
        """`replace`: the group has nothing else afterwards. `own` are the names and kinds of the pushgateway's own metrics.
        push_time_seconds and push_failure_time_seconds are not taken over, as upstream. Raises BadExposition."""
        group = self._groups.get(labels)
        try:
            labelled = {name: _labelled(family, labels) for name, family in families.items() if name not in TEXTS}
            for name, family in labelled.items():
                if family.kind != (own or {}).get(name, family.kind):
                    raise BadExposition(f"{INVALID}: {name} is a {family.kind}, and the pushgateway's own of that name is not")
            self._check(labels, labelled, replace)
        except BadExposition:
            if group is not None or len(self._groups) < GROUPS_MAX:
                self._groups.setdefault(labels, Group(labels)).failed_s = now_s
            raise
        group = self._groups.setdefault(labels, Group(labels))
        group.families = labelled if replace else {**group.families, **labelled}
        group.changed_s = {name: now_s if name in labelled else group.changed_s.get(name, now_s) for name in group.families}
        group.pushed_s = now_s

    def delete(self, labels: Pairs) -> None:
        self._groups.pop(labels, None)

    def wipe(self) -> None:
        self._groups.clear()

    def collected(self) -> list[Family]:
        """All groups as one exposition."""
        merged: dict[str, Family] = {}
        for group in self.all():
            for name, family in group.families.items():
                into = merged.setdefault(name, Family(name, family.kind, family.text))
                into.samples.update(family.samples)
            for name, value in ((PUSHED, group.pushed_s), (FAILED, group.failed_s)):
                into = merged.setdefault(name, Family(name, "gauge", TEXTS[name]))
                into.samples["", _with_instance(group.labels)] = value
        return list(merged.values())

    def _check(self, labels: Pairs, pushed: dict[str, Family], replace: bool) -> None:
        """Raises BadExposition when the push would contradict what other groups, or the rest of this one, say."""
        if labels not in self._groups and len(self._groups) >= GROUPS_MAX:
            raise BadExposition(f"there are {GROUPS_MAX} groups already")
        count = sum(len(family.samples) for family in pushed.values())
        for group in self._groups.values():
            own = group.labels == labels
            if own and replace:
                continue
            for name, family in group.families.items():
                if own and name in pushed:
                    continue
                count += len(family.samples)
                _consistent(pushed.get(name), family)
                _no_clash(pushed, name, family)
        if count > SERIES_MAX:
            raise BadExposition(f"there would be more than {SERIES_MAX} samples")
        for name, family in pushed.items():
            _no_clash({other: f for other, f in pushed.items() if other != name}, name, family)


def _consistent(new: Family | None, old: Family) -> None:
    if new is None:
        return
    if new.kind != old.kind:
        raise BadExposition(f"{INVALID}: {new.name} is a {new.kind}, and a {old.kind} in another group")
    clash = new.samples.keys() & old.samples.keys()
    if clash:
        raise BadExposition(f"{INVALID}: {new.name} with labels {dict(sorted(clash)[0][1])} is there already")


def _no_clash(pushed: dict[str, Family], name: str, family: Family) -> None:
    """A histogram's own series (`a_count`) must not be another family's."""
    if family.kind in ("histogram", "summary"):
        for suffix in ("_bucket", "_sum", "_count"):
            if name + suffix in pushed and (suffix != "_bucket" or family.kind == "histogram"):
                raise BadExposition(f"{INVALID}: {name + suffix} is part of {name}")
    for suffix in ("_bucket", "_sum", "_count"):
        whole = pushed.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
        if whole is not None and whole.kind in ("histogram", "summary"):
            raise BadExposition(f"{INVALID}: {name} is part of {whole.name}")


def _labelled(family: Family, labels: Pairs) -> Family:
    """The family with the group's labels on every sample. Raises BadExposition."""
    if family.timestamps_ms:
        raise BadExposition("pushed metrics must not have timestamps")
    key = dict(labels)
    samples: dict[tuple[str, Pairs], float] = {}
    for (suffix, pairs), value in family.samples.items():
        own = dict(pairs)
        bound = [(name, own.pop(name)) for name in ("le", "quantile") if name in own and family.kind in ("histogram", "summary")]
        full = (*_with_instance(tuple(sorted({**own, **key}.items()))), *bound)
        if (suffix, full) in samples:
            raise BadExposition(f"pushed metrics are invalid: {family.name} with labels {dict(full)} is there twice")
        samples[suffix, full] = value
    return Family(family.name, family.kind, family.text, _completed(samples) if family.kind == "histogram" else samples)


def _completed(samples: dict[tuple[str, Pairs], float]) -> dict[tuple[str, Pairs], float]:
    """With the bucket of everything (+Inf) before the sum and the count, where a push left it out."""
    lacking = {
        labels: value for (suffix, labels), value in samples.items()
        if suffix == "_count" and ("_bucket", (*labels, ("le", "+Inf"))) not in samples
    }  # fmt: skip
    found: dict[tuple[str, Pairs], float] = {}
    for (suffix, labels), value in samples.items():
        if suffix in ("_sum", "_count") and labels in lacking:
            found["_bucket", (*labels, ("le", "+Inf"))] = lacking.pop(labels)
        found[suffix, labels] = value
    return found


def _with_instance(labels: Pairs) -> Pairs:
    """What carries no instance gets an empty one, so that Prometheus does not put the pushgateway's there (honor_labels)."""
    return labels if any(name == "instance" for name, _ in labels) else tuple(sorted((*labels, ("instance", ""))))


def describe(group: Group) -> Iterator[tuple[str, Family, float]]:
    """(name, family, when it was pushed) of a group, its own two gauges first."""
    for name, value in ((PUSHED, group.pushed_s), (FAILED, group.failed_s)):
        yield name, Family(name, "gauge", TEXTS[name], {("", _with_instance(group.labels)): value}), group.pushed_s
    for name in sorted(group.families):
        yield name, group.families[name], group.changed_s.get(name, group.pushed_s)
