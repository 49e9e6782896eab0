"""Is a history of requests what one register per key would have given, in one order? And what each watch was sent, the whole of it?

The store's revisions say in which order the writes took effect, so the check needs no search: every request must have a moment between its
call and its return at which its answer was true, and `Log`, all that was ever committed, names the moments by revision. Moments are counted in
revisions: a request may see what was acknowledged before its call (`since`) up to what was committed at its return (`until`).

A request that failed half-way (an injected fault, a cancellation) may have taken effect or not, but not twice.

Source: Herlihy and Wing, "Linearizability" (1990), for a register with compare-and-set; etcd's robustness tests, for the use of revisions.
"""

from dataclasses import dataclass, field

ABSENT = 0


@dataclass
class Change:
    """`op` is the id that the writer put into the object; empty for a deletion."""

    revision: int
    key: str
    op: str
    deleted: bool


@dataclass
class Call:
    """`expected`: the revision that the caller demanded; None for any. `revision` and `seen`: what the answer had. `outcome` is ok, absent,
    exists, conflict, or unknown."""

    op: str
    verb: str
    key: str
    expected: int | None
    since: int
    until: int = 0
    outcome: str = "unknown"
    revision: int = ABSENT
    seen: str = ""


@dataclass
class Log:
    changes: list[Change] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def state(self, key: str, revision: int) -> tuple[int, str]:
        """(revision, op) of the key then; (ABSENT, "") without it."""
        found = (ABSENT, "")
        for change in self.changes:
            if change.revision > revision:
                break
            if change.key == key:
                found = (ABSENT, "") if change.deleted else (change.revision, change.op)
        return found

    def states(self, call: Call) -> list[tuple[int, str]]:
        """What the key was at the moments of the call."""
        moments = [c.revision for c in self.changes if c.key == call.key and call.since < c.revision <= call.until]
        return [self.state(call.key, moment) for moment in (call.since, *moments)]

    def check(self) -> None:
        """Raises AssertionError with what cannot be explained."""
        revisions = [c.revision for c in self.changes]
        assert revisions == sorted(set(revisions)), "revisions are not in order, or come twice"
        written: dict[str, list[Change]] = {}
        for change in self.changes:
            if not change.deleted:
                written.setdefault(change.op, []).append(change)
        known = {call.op for call in self.calls if call.verb in ("create", "update", "patch")}
        assert set(written) <= known, f"nobody wrote {set(written) - known}"
        for call in self.calls:
            self._check_call(call, written.get(call.op, []))
        self._check_deletes()

    def _check_call(self, call: Call, written: list[Change]) -> None:
        assert len(written) <= 1, f"took effect twice: {call}"
        before = [self.state(call.key, c.revision - 1)[0] for c in written]
        if call.verb == "create":
            assert not any(before), f"created what was there: {call}"
        if call.verb == "update" and call.expected is not None:
            assert all(b == call.expected for b in before), f"the precondition did not hold: {call} {before}"
        if call.outcome == "unknown":
            return
        if call.outcome == "ok" and call.verb in ("create", "update", "patch"):
            assert [c.revision for c in written] == [call.revision], f"acknowledged, but not so: {call} {written}"
            assert call.since < call.revision <= call.until, f"not at its time: {call}"
            return
        if call.verb != "delete":
            assert call.verb == "get" or not written, f"refused, but done: {call} {written}"
        states = self.states(call)
        if call.outcome == "absent":
            assert any(r == ABSENT for r, _ in states), f"said to be absent: {call} {states}"
        elif call.outcome == "exists":
            assert any(r != ABSENT for r, _ in states), f"said to exist: {call} {states}"
        elif call.outcome == "conflict":
            assert any(r != call.expected for r, _ in states), f"said to be changed: {call} {states}"
        elif call.verb == "get":
            assert (call.revision, call.seen) in states, f"never was so in that time: {call} {states}"

    def _check_deletes(self) -> None:
        """Each acknowledged deletion has one of its own; the others belong to those whose outcome is unknown."""
        free = [c for c in self.changes if c.deleted]
        unknown = sum(1 for c in self.calls if c.verb == "delete" and c.outcome == "unknown")
        for call in sorted((c for c in self.calls if c.verb == "delete" and c.outcome == "ok"), key=lambda c: c.until):
            mine = next((c for c in free if c.key == call.key and call.since < c.revision <= call.until and self._meant(call, c)), None)
            assert mine is not None, f"acknowledged, but not deleted: {call}"
            free.remove(mine)
        assert len(free) <= unknown, f"nobody deleted {free}"

    def _meant(self, call: Call, change: Change) -> bool:
        return call.expected is None or self.state(call.key, change.revision - 1)[0] == call.expected


@dataclass
class Seen:
    """What one watcher was sent. A list starts it anew at `revision`; `changes` follow."""

    revision: int
    listed: dict[str, tuple[int, str]] | None = None
    changes: list[Change] = field(default_factory=list)

    def check(self, log: Log) -> None:
        """Raises AssertionError: a gap, a repetition, a wrong order, a list that never was."""
        if self.listed is not None:
            there = {c.key for c in log.changes if c.revision <= self.revision}
            then = {k: s for k in sorted(there) if (s := log.state(k, self.revision))[0] != ABSENT}
            assert self.listed == then, f"the list at {self.revision} has {self.listed}, not {then}"
        last = self.changes[-1].revision if self.changes else self.revision
        wanted = [c for c in log.changes if self.revision < c.revision <= last]
        got = [(c.revision, c.key, c.deleted) for c in self.changes]
        assert got == [(c.revision, c.key, c.deleted) for c in wanted], f"watched after {self.revision}: {got}"
        assert all(c.op == w.op for c, w in zip(self.changes, wanted, strict=True) if not c.deleted)
