"""Fairness: how many requests of one kind of client run at once, and who waits when there are more.

Theory: a request belongs to the first FlowSchema (by precedence, then name) that matches it, and so to a priority level. The server's seats are
divided among the levels by their shares; a level may borrow what others lend and do not use. When a level is full, a request waits in one of
its queues: its flow (user or namespace) is dealt a hand of queues by its hash, and it joins the shortest of them, so that a greedy flow fills
its own hand and rarely all of another's. Free seats go round the queues in turn. A full hand is refused with 429, a wait that is too long too.

A seat is held while a request is served; watches and connections hold none (they are bounded otherwise). The platform's own control loops,
which are in this process, do not come this way. Classification is remembered per (user, verb, resource, namespace).

Bounds: CLASSIFIED_MAX remembered classes, queueLengthLimit waiting per queue, WAIT_S_MAX waiting.
Not as upstream: a request is one seat, whatever it lists; seats are dealt in turn, not by virtual finish time.

Source: KEP-1040; k8s.io/apiserver pkg/util/flowcontrol (shufflesharding/dealer.go, fairqueuing), pkg/server/filters/priority-and-fairness.go.
"""

import asyncio
import hashlib
from collections import deque
from dataclasses import dataclass, field

from podium.api.flow_measurements import CANCELLED, CONCURRENCY_LIMIT, QUEUE_FULL, TIME_OUT, FlowCounters, FlowMeasurements
from podium.api.live_objects import LiveObjects
from podium.api.request import Request
from podium.instrument.metrics import Registry
from podium.objects.flow_schemas import Asked, FlowSchema, Level, compile_level, compile_schema
from podium.objects.resources import resource
from podium.objects.status import TooManyRequests
from podium.store.interface import Store

SEATS = 600
"""Upstream's default: 400 for reads and 200 for writes."""
WAIT_S_MAX = 15.0
CLASSIFIED_MAX = 4096
GROUP = "flowcontrol.apiserver.k8s.io"
_FULL = "too many requests, please try again later"
Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(eq=False, slots=True)
class _Lane:
    """One priority level at work. `limit` are its own seats."""

    level: Level
    limit: int = 0
    running: int = 0
    queues: dict[int, deque["asyncio.Future[None]"]] = field(default_factory=dict)
    hands: dict[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        return sum(len(queue) for queue in self.queues.values())


@dataclass(frozen=True, slots=True)
class Class:
    """What a request was found to be. `headers` tell the client."""

    lane: _Lane
    flow: str
    headers: Headers
    counters: FlowCounters


class FlowControl:
    """`start` before the first request."""

    def __init__(self, store: Store, *, seats: int = SEATS, wait_s_max: float = WAIT_S_MAX, registry: Registry | None = None) -> None:
        self._schemas: LiveObjects[FlowSchema] = LiveObjects(store, resource("flowschemas", GROUP), compile_schema)
        self._levels: LiveObjects[Level] = LiveObjects(store, resource("prioritylevelconfigurations", GROUP), compile_level)
        self._seats, self._wait_s_max = seats, wait_s_max
        self._generation = (-1, -1)
        self._ordered: list[FlowSchema] = []
        self._lanes: dict[str, _Lane] = {}
        self._classes: dict[tuple[str, ...], Class | None] = {}
        self._measurements = FlowMeasurements(registry or Registry(), lambda: [(name, lane.limit) for name, lane in self._lanes.items()])

    async def start(self) -> None:
        await self._schemas.start()
        await self._levels.start()

    def classify(self, request: Request) -> Class | None:
        """None when no schema means it: it is served without a limit."""
        if self._generation != (self._schemas.generation, self._levels.generation):
            self._configure()
        plural = f"{request.resource.plural}/{request.subresource}" if request.subresource else request.resource.plural
        user, namespace = request.user, request.namespace or ""
        key = (user.name, request.verb, request.resource.group, plural, namespace, *user.groups)
        try:
            return self._classes[key]
        except KeyError:
            found = self._classify(Asked(user.name, user.groups, request.verb, request.resource.group, plural, namespace))
            if len(self._classes) >= CLASSIFIED_MAX:
                self._classes.clear()
            self._classes[key] = found
            return found

    def _classify(self, asked: Asked) -> Class | None:
        for schema in self._ordered:
            if schema.matches(asked) and (lane := self._lanes.get(schema.level)) is not None:
                headers = (
                    (b"x-kubernetes-pf-flowschema-uid", schema.uid.encode()),
                    (b"x-kubernetes-pf-prioritylevel-uid", lane.level.uid.encode()),
                )
                counters = self._measurements.of(schema.level, schema.name)
                return Class(lane, f"{schema.name}/{schema.flow_of(asked)}", headers, counters)
        return None

    def _configure(self) -> None:
        """After a change of schemas or levels. Requests that run or wait keep their lane."""
        self._generation = (self._schemas.generation, self._levels.generation)
        self._classes.clear()
        self._ordered = sorted(self._schemas.all(), key=lambda schema: (schema.precedence, schema.name))
        levels = {level.name: level for level in self._levels.all()}
        shares = sum(level.shares for level in levels.values()) or 1
        before, self._lanes = self._lanes, {}
        for name, level in levels.items():
            lane = before.get(name) or _Lane(level)
            if lane.level != level:
                lane.level = level
                lane.hands.clear()
            lane.limit = -(-self._seats * level.shares // shares)
            self._lanes[name] = lane
        for lane in before.values():  # a level that is gone serves those that wait in it, as they come
            if lane.level.name not in levels:
                lane.limit = max(lane.limit, 1)

    async def acquire(self, class_: Class) -> None:
        """A seat, at once or after a while; `release` it. Raises TooManyRequests."""
        lane = class_.lane
        if lane.queues:
            self._dispatch(lane)
        if lane.level.exempt or (not lane.queues and self._free(lane)):
            lane.running += 1
            class_.counters.seated()
        elif lane.level.queues:
            await self._wait(lane, class_)
        else:
            class_.counters.rejected(CONCURRENCY_LIMIT)
            raise TooManyRequests(_FULL, details={"retryAfterSeconds": 1})

    async def _wait(self, lane: _Lane, class_: Class) -> None:
        flow, counters = class_.flow, class_.counters
        hand = lane.hands.get(flow)
        if hand is None:
            if len(lane.hands) >= CLASSIFIED_MAX:
                lane.hands.clear()
            hand = lane.hands[flow] = deal(flow, lane.level.queues, lane.level.hand)
        number = min(hand, key=lambda n: len(lane.queues.get(n, ())))
        queue = lane.queues.setdefault(number, deque())
        if len(queue) >= lane.level.queue_length:
            counters.rejected(QUEUE_FULL)
            raise TooManyRequests(_FULL, details={"retryAfterSeconds": 1})
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        with counters.waiting() as waited_s:
            try:
                async with asyncio.timeout(self._wait_s_max):
                    await turn
            except TimeoutError:
                self._give_up(lane, number, turn)
                counters.rejected(TIME_OUT, waited_s())
                raise TooManyRequests(_FULL, details={"retryAfterSeconds": 1}) from None
            except asyncio.CancelledError:
                self._give_up(lane, number, turn)
                counters.rejected(CANCELLED, waited_s())
                raise
            counters.seated(waited_s())

    def _give_up(self, lane: _Lane, number: int, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled():
            lane.running -= 1  # the seat came at the same moment
            self._dispatch(lane)
            return
        queue = lane.queues.get(number)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                lane.queues.pop(number, None)

    def release(self, class_: Class) -> None:
        lane = class_.lane
        lane.running -= 1
        class_.counters.left()
        if lane.queues:
            self._dispatch(lane)
        elif lane.level.lendable:
            for other in self._lanes.values():  # what it lent or freed may be what another waits for
                if other.queues:
                    self._dispatch(other)

    def _dispatch(self, lane: _Lane) -> None:
        """Gives free seats to the queues in turn."""
        while lane.queues and self._free(lane):
            number = next(iter(lane.queues))
            queue = lane.queues.pop(number)
            turn = queue.popleft()
            if queue:
                lane.queues[number] = queue  # to the end of the row
            if not turn.done():
                lane.running += 1
                turn.set_result(None)

    def _free(self, lane: _Lane) -> bool:
        if lane.running < lane.limit:
            return True
        borrowed = lane.running - lane.limit
        borrowing = lane.level.borrowing
        if borrowing is not None and borrowed >= lane.limit * borrowing // 100:
            return False
        lent = sum(
            min(o.limit * o.level.lendable // 100, o.limit - o.running)
            for o in self._lanes.values()
            if o is not lane and o.running < o.limit
        )
        elsewhere = sum(max(0, o.running - o.limit) for o in self._lanes.values() if o is not lane and not o.level.exempt)
        return borrowed + elsewhere < lent


def deal(flow: str, queues: int, hand: int) -> tuple[int, ...]:
    """`hand` different queues of 0..queues-1, decided by the flow's hash alone (shuffle sharding)."""
    entropy = int.from_bytes(hashlib.sha256(flow.encode()).digest()[:16], "big")
    left = list(range(queues))
    dealt = []
    for _ in range(min(hand, queues)):
        entropy, place = divmod(entropy, len(left))
        dealt.append(left.pop(place))
    return tuple(dealt)
