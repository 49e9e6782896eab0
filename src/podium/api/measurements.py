"""What the API server counts, under upstream's names.

Source: k8s.io/apiserver endpoints/metrics (apiserver_request_total and its companions), storage/etcd3/metrics.
"""

from podium import __version__
from podium.api.core import Core
from podium.api.request import Request
from podium.api.watching import Hubs
from podium.instrument.metrics import Distribution, Registry, Value

_LABELS = ("verb", "group", "version", "resource", "subresource", "scope")
_LONG_RUNNING = ("WATCH", "CONNECT")


class Measurements:
    def __init__(self, core: Core, hubs: Hubs) -> None:
        self.registry = registry = Registry()
        self.components: dict[str, Registry] = {}
        """Registries of other components of this process, by name: each is served at /metrics/NAME."""
        registry.constant("kubernetes_build_info", "The version of this component; always 1.", {"git_version": f"v{__version__}"})
        self._requests = registry.counter(
            "apiserver_request_total",
            "Counter of apiserver requests broken out for each verb, API resource and HTTP response code.",
            (*_LABELS, "code"),
        )
        self._durations = registry.histogram(
            "apiserver_request_duration_seconds", "Response latency distribution in seconds for each verb and API resource.", _LABELS
        )
        self._long_running = registry.gauge(
            "apiserver_longrunning_requests",
            "Gauge of all active long-running apiserver requests broken out by verb and API resource.",
            _LABELS,
        )
        inflight = registry.gauge(
            "apiserver_current_inflight_requests", "Maximal number of currently used inflight request limit.", ("request_kind",)
        )
        self._reading, self._mutating = inflight.labels("readOnly"), inflight.labels("mutating")
        self._objects = registry.gauge(
            "apiserver_storage_objects", "Number of stored objects at the time of last check split by kind.", ("resource",)
        )
        self._events = registry.counter(
            "apiserver_watch_events_total", "Number of events sent in watch clients.", ("group", "version", "resource")
        )
        self._known: dict[tuple[str, ...], tuple[Distribution | None, dict[int, Value]]] = {}
        registry.on_collect(lambda: self._collect(core, hubs))

    def started(self, labels: tuple[str, ...]) -> Value:
        """The gauge of running requests that this one is part of, already raised; the caller lowers it at the end."""
        if labels[0] in _LONG_RUNNING:
            gauge = self._long_running.labels(*labels)
        else:
            gauge = self._reading if labels[0] in ("GET", "LIST") else self._mutating
        gauge.value += 1
        return gauge

    def finished(self, labels: tuple[str, ...], code: int, seconds: float | None) -> None:
        """`seconds` None: counted, not timed; so it is with clients in this process, whose histograms would outnumber all else."""
        duration, counts = self._known.get(labels) or self._known.setdefault(labels, (None, {}))
        if seconds is not None and duration is None:
            duration = self._durations.labels(*labels)
            self._known[labels] = (duration, counts)
        if duration is not None and seconds is not None and labels[0] not in _LONG_RUNNING:
            duration.observe(seconds)
        count = counts.get(code)
        if count is None:
            count = counts[code] = self._requests.labels(*labels, str(code))
        count.value += 1

    def _collect(self, core: Core, hubs: Hubs) -> None:
        for resource in core.catalog:
            if not resource.storage_api_version:
                name = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
                self._objects.labels(name).set(core.store.count(resource.prefix))
        for resource, sent in hubs.events_sent():
            self._events.labels(resource.group, resource.version, resource.kind).set(sent)


_VERBS = {"create": "POST", "update": "PUT", "patch": "PATCH", "deletecollection": "DELETECOLLECTION"}


def labels_of(request: Request) -> tuple[str, ...]:
    """verb, group, version, resource, subresource, scope: as upstream writes them."""
    resource = request.resource
    verb = "APPLY" if request.patch_type == "apply" else _VERBS.get(request.verb) or request.verb.upper()
    scope = "resource" if request.name else "namespace" if request.namespace else "cluster"
    return verb, resource.group, resource.version, resource.plural, request.subresource, scope
