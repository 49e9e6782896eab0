"""kube-state-metrics: the objects of a cluster as metrics, kept ready for the next scrape.

Theory: an object's lines depend on that object alone, so they are made when it changes, by a subscriber of its mirror, and kept (shown.py). A scrape
joins what is there: it costs what the bytes cost, not what the objects cost; a store in the same process takes the numbers alone (pages.py).

Invariants: a family's lines are those of the objects that the mirror holds; an object that cannot be rendered (a field of a shape that no API
server lets in) shows nothing, is logged, and harms no other. Nothing of a secret but its name, type and owner is shown.
Bound: what the mirrors hold.

Source: kube-state-metrics (pkg/metrics_store, internal/store); docs/metrics for names.
"""

from collections.abc import Callable, Iterable, Mapping

from podium.client.mirrors import Mirrors
from podium.instrument.exposition import Format, answer, negotiate
from podium.telemetry.exporters.errors import BadConfiguration
from podium.telemetry.exporters.kube_state.pages import ObjectPages
from podium.telemetry.exporters.kube_state.resources import SHOWN
from podium.telemetry.exporters.kube_state.shown import Allowed, Store
from podium.telemetry.metrics.exposition.page import Page
from podium.world.http_messages import Response


class KubeState:
    """`resources` are plurals; without them every known one is shown. Raises BadConfiguration for an unknown one."""

    def __init__(
        self, mirrors: Mirrors, *, resources: Iterable[str] = (), labels: Allowed | None = None, annotations: Allowed | None = None
    ) -> None:
        self._mirrors = mirrors
        wanted = set(resources) or {shown.resource.plural for shown in SHOWN}
        self._stores = [Store(shown, labels or {}, annotations or {}) for shown in SHOWN if shown.resource.plural in wanted]
        unknown = wanted - {store.shown.resource.plural for store in self._stores}
        if unknown:
            raise BadConfiguration(f"no such resource: {', '.join(sorted(unknown))}")
        self._pages = ObjectPages(self._stores)
        self._cancellations: list[Callable[[], None]] = []

    def start(self) -> None:
        """Follows the mirrors from now on."""
        for store in self._stores:
            self._cancellations.append(self._mirrors.of(store.shown.resource).subscribe(store.changed))

    def stop(self) -> None:
        for cancel in self._cancellations:
            cancel()
        self._cancellations.clear()

    @property
    def is_synced(self) -> bool:
        return all(self._mirrors.of(store.shown.resource).is_synced for store in self._stores)

    async def synced(self) -> None:
        """Waits until every object that is there has its lines."""
        for store in self._stores:
            await self._mirrors.of(store.shown.resource).synced()

    def page(self) -> tuple[Page, int]:
        """What `exposition` says, for a store in this process, and how many bytes it would say it in."""
        return self._pages.page()

    def respond(self, headers: Mapping[str, str]) -> Response:
        """The answer to a scrape with these request headers."""
        format = negotiate(headers.get("accept", ""))
        return answer(self.exposition(format), format, headers)

    def exposition(self, format: Format = Format.TEXT) -> bytes:
        parts: list[bytes | bytearray] = []
        for store in self._stores:
            store.write(parts, format)
        if format is not Format.TEXT:
            parts.append(b"# EOF\n")
        return b"".join(parts)


def parse_allow_list(text: str) -> dict[str, tuple[str, ...]]:
    """`pods=[app,team],nodes=[*]`, as --metric-labels-allowlist. Raises BadConfiguration."""
    allowed: dict[str, tuple[str, ...]] = {}
    rest = text.strip()
    while rest:
        name, equals, after = rest.partition("=")
        if not equals or not after.startswith("[") or "]" not in after or not name.strip():
            raise BadConfiguration(f"an allow list is resource=[key,key],..., not {text!r}")
        keys, _, rest = after[1:].partition("]")
        allowed[name.strip()] = tuple(key.strip() for key in keys.split(",") if key.strip())
        rest = rest.strip()
        if rest and not rest.startswith(","):
            raise BadConfiguration(f"a comma is missing before {rest!r}")
        rest = rest[1:].strip()
    return allowed
