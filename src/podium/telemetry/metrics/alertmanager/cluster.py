"""Replicas: several Alertmanagers that tell the same receivers once.

Every Prometheus sends its alerts to all replicas, so each has them all; what they share is silences and the notification log. The replicas that
are alive are in the order of their names; the one at position n waits n x `peer_timeout_s` before it looks into the log and sends. So the
second one finds what the first has written, and sends only when the first did not: nothing is sent twice while records travel faster than
`peer_timeout_s`, and nothing is lost when a replica dies (it is at most late by its position).

Gossip: a change is pushed to every peer at once, and every SYNC_PERIOD_S each replica pulls what has changed at each peer since it last asked
(everything at first, and after the peer was started anew), which mends whatever was missed. A peer is alive while an exchange with it
succeeded in the last ALIVE_S. Merging is commutative and idempotent (the later record of a key counts), so order and repetition do not
matter. Before the first notification a replica waits until it has settled: until it has pulled everything from every configured peer, or
for SETTLE_S.

Bounds: PUSH_QUEUE_MAX records wait for a peer (then they are dropped, the next exchange carries them), EXCHANGE_TIMEOUT_S, RECORDS_MAX
taken of one message, ANSWER_RECORDS_MAX given in one (the rest is asked for next).

Source: upstream's cluster package for the ordering by position; the protocol is Podium's own, over HTTP.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from podium.instrument.log import logger
from podium.telemetry.metrics.alertmanager.errors import StorageError
from podium.telemetry.metrics.alertmanager.measurements import Measurements
from podium.telemetry.metrics.alertmanager.storage import Record
from podium.world.interface import World
from podium.world.supervisor import Supervisor

_log = logger("alertmanager.cluster")

PEER_TIMEOUT_S = 15.0
SYNC_PERIOD_S = 10.0
ALIVE_S = 25.0
SETTLE_S = 10.0
EXCHANGE_TIMEOUT_S = 5.0
PUSH_QUEUE_MAX = 1_000
PUSH_BATCH_MAX = 200
RECORDS_MAX = 10_000
ANSWER_RECORDS_MAX = 2_000
JOURNAL_SPARE = 1_000
PEERS_MAX = 20

Message = dict[str, Any]


class PeerTransport(Protocol):
    """How a message reaches the replica at an address, and its answer comes back."""

    async def exchange(self, address: str, message: Message) -> Message:
        """Raises ConnectionError, TimeoutError or ValueError (an answer that is none)."""
        ...


class Shared(Protocol):
    """A state that replicas share: Silences, NotificationLog."""

    def records(self) -> dict[str, Record]: ...

    def merge(self, records: Iterable[Record]) -> int: ...

    def __len__(self) -> int: ...


@dataclass(slots=True)
class _Peer:
    address: str
    queue: "asyncio.Queue[tuple[str, Record]]"
    name: str = ""
    heard_s: float = float("-inf")
    pulled_of: str = ""
    pulled_to: int = 0
    is_complete: bool = False


class Alone:
    """One replica: nothing to wait for, nobody to tell."""

    name = ""
    status = "disabled"

    async def wait_ready(self) -> None:
        pass

    def turn_delay_s(self) -> float:
        return 0.0

    def tell(self, state: str, key: str, record: Record) -> None:
        pass

    def members(self) -> list[tuple[str, str]]:
        return []

    def start(self, shared: Mapping[str, Shared]) -> None:
        pass

    async def stop(self) -> None:
        pass

    def receive(self, message: Message) -> Message:
        raise ValueError("clustering is disabled: no --peer was given")


class Cluster:
    """This replica among its peers. `address` is where the others reach this one; `peers` are theirs (this one's own may be among them)."""

    def __init__(
        self,
        world: World,
        transport: PeerTransport,
        measurements: Measurements,
        *,
        address: str,
        peers: Sequence[str],
        name: str = "",
        peer_timeout_s: float = PEER_TIMEOUT_S,
    ) -> None:
        """Raises ValueError for more than PEERS_MAX."""
        if len(peers) > PEERS_MAX:
            raise ValueError(f"more than {PEERS_MAX} peers")
        self.name = name or world.uid()
        self._world, self._transport, self._measurements = world, transport, measurements
        self._address, self._peer_timeout_s = address, peer_timeout_s
        addresses = [peer for peer in dict.fromkeys(peers) if peer != address]
        self._peers = {peer: _Peer(peer, asyncio.Queue(PUSH_QUEUE_MAX)) for peer in addresses}
        self._shared: Mapping[str, Shared] = {}
        self._journal: dict[tuple[str, str], tuple[int, Record]] = {}  # by state and key, the latest change last
        self._changes = 0
        self._listening_to = ""  # the address of the peer whose records are being merged
        self._ready = asyncio.Event()
        self._tasks = Supervisor("alertmanager.cluster")

    @property
    def status(self) -> str:
        return "ready" if self._ready.is_set() else "settling"

    def start(self, shared: Mapping[str, Shared]) -> None:
        self._shared = shared
        for state, one in shared.items():
            for key, record in one.records().items():
                self._note(state, key, record)
        self._tasks.start("settle", self._settle())
        for peer in self._peers.values():
            self._tasks.start(f"sync {peer.address}", self._keep_in_sync(peer))
            self._tasks.start(f"push {peer.address}", self._push(peer))
        self._measurements.on_collect(self._collect)

    async def stop(self) -> None:
        await self._tasks.stop()

    # -- what notifications ask

    async def wait_ready(self) -> None:
        await self._ready.wait()

    def turn_delay_s(self) -> float:
        return self.position() * self._peer_timeout_s

    def position(self) -> int:
        """0 is the first: how many replicas that are alive have smaller names."""
        return sum(peer.name < self.name for peer in self._alive())

    def members(self) -> list[tuple[str, str]]:
        """(name, address) of those that are alive, by name; this one too."""
        return sorted([(self.name, self._address), *((peer.name, peer.address) for peer in self._alive())])

    def _alive(self) -> list[_Peer]:
        now_s = self._world.clock.monotonic()
        alive = [peer for peer in self._peers.values() if peer.name and now_s - peer.heard_s <= ALIVE_S]
        return [peer for peer in alive if peer.name != self.name]  # oneself under another address

    # -- telling

    def tell(self, state: str, key: str, record: Record) -> None:
        """A change made here, or learnt from another."""
        self._note(state, key, record)
        for peer in self._peers.values():
            if peer.address != self._listening_to and not peer.queue.full():
                peer.queue.put_nowait((state, record))

    def _note(self, state: str, key: str, record: Record) -> None:
        self._changes += 1
        self._journal.pop((state, key), None)
        self._journal[state, key] = (self._changes, record)

    def _changed_since(self, number: int) -> Message:
        """The records of later changes, the earliest first; `to` is the last change that is in them, `more` whether there are others."""
        live = {state: shared.records() for state, shared in self._shared.items()} if self._is_stale() else None
        if live is not None:
            self._journal = {(s, k): change for (s, k), change in self._journal.items() if k in live.get(s, {})}
        later: list[tuple[int, str, Record]] = []
        for (state, _), (change, record) in reversed(self._journal.items()):
            if change <= number:
                break
            later.append((change, state, record))
        later.reverse()
        given = later[:ANSWER_RECORDS_MAX]
        states: dict[str, list[Record]] = {}
        for _, state, record in given:
            states.setdefault(state, []).append(record)
        more = len(given) < len(later)
        return {"states": states, "to": given[-1][0] if more else self._changes, "more": more}

    def _is_stale(self) -> bool:
        """Much of the journal is of what has been forgotten since."""
        return len(self._journal) > JOURNAL_SPARE + 2 * sum(len(shared) for shared in self._shared.values())

    async def _push(self, peer: _Peer) -> None:
        while True:
            changes = [await peer.queue.get()]
            while len(changes) < PUSH_BATCH_MAX and not peer.queue.empty():
                changes.append(peer.queue.get_nowait())
            states: Message = {}
            for state, record in changes:
                states.setdefault(state, []).append(record)
            await self._exchange(peer, {"kind": "update", "states": states})

    async def _keep_in_sync(self, peer: _Peer) -> None:
        while True:
            answer = await self._exchange(peer, {"kind": "sync", "of": peer.pulled_of, "since": peer.pulled_to})
            if answer is None:
                await asyncio.sleep(min(SYNC_PERIOD_S, 2.0))
                continue
            self._merge(answer.get("states"), peer.address)
            if isinstance(answer.get("to"), int):
                peer.pulled_of, peer.pulled_to = peer.name, answer["to"]
            if answer.get("more") is True:
                await asyncio.sleep(0)
                continue
            peer.is_complete = True
            await asyncio.sleep(SYNC_PERIOD_S)

    async def _exchange(self, peer: _Peer, message: Message) -> Message | None:
        kind = message["kind"]
        self._measurements.cluster_sent.labels(kind).add()
        try:
            async with asyncio.timeout(EXCHANGE_TIMEOUT_S):
                answer = await self._transport.exchange(peer.address, {**message, "name": self.name, "address": self._address})
            if not isinstance(answer, dict) or not isinstance(answer.get("name"), str):
                raise ValueError("not an answer of a replica")
        except (OSError, ValueError) as error:
            self._measurements.cluster_failed.add()
            _log.debug("replica does not answer", peer=peer.address, error=str(error))
            return None
        peer.name, peer.heard_s = answer["name"], self._world.clock.monotonic()
        return answer

    # -- hearing

    def receive(self, message: Message) -> Message:
        """What another replica says; the answer to it. Raises ValueError for what is no message."""
        if not isinstance(message, dict) or message.get("kind") not in ("sync", "update") or not isinstance(message.get("name"), str):
            raise ValueError("not a message of a replica")
        self._measurements.cluster_received.labels(message["kind"]).add()
        for peer in self._peers.values():
            if peer.address == message.get("address"):
                peer.name, peer.heard_s = message["name"], self._world.clock.monotonic()
        answer: Message = {"name": self.name}
        if message["kind"] == "sync":
            since = message.get("since")
            is_known = message.get("of") == self.name and isinstance(since, int) and since <= self._changes
            answer |= self._changed_since(since if is_known and isinstance(since, int) else 0)
        self._merge(message.get("states"), str(message.get("address", "")))
        return answer

    def _merge(self, states: Any, address: str) -> None:
        if not isinstance(states, dict):
            return
        self._listening_to = address  # it knows them: no need to tell it again
        try:
            for state, shared in self._shared.items():
                records = states.get(state)
                if isinstance(records, list):
                    shared.merge(record for record in records[:RECORDS_MAX] if isinstance(record, dict))
        except StorageError as error:
            _log.error("what another replica knows cannot be written", error=str(error))
        finally:
            self._listening_to = ""

    async def _settle(self) -> None:
        started_s = self._world.clock.monotonic()
        while self._world.clock.monotonic() - started_s < SETTLE_S:
            now_s = self._world.clock.monotonic()
            if all(peer.is_complete and now_s - peer.heard_s <= ALIVE_S for peer in self._peers.values()):
                break
            await asyncio.sleep(0.2)
        self._ready.set()

    def _collect(self) -> None:
        self._measurements.cluster_members.set(len(self.members()))
        self._measurements.cluster_position.set(self.position())


Membership = Alone | Cluster
