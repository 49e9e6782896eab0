"""An APIService for each group version that this server itself serves: `v1.apps`, `v1.` and so on, always available.

Those of built-in groups are made at the start (automanaged "onstart"); those of custom resources come and go with them ("true").

Source: k8s.io/kubernetes pkg/controlplane/apiserver/aggregator.go (priorities), k8s.io/kube-aggregator pkg/controllers/autoregister.
"""

import asyncio

from podium.api import deleting, writing
from podium.api.aggregation import APISERVICES
from podium.api.aggregation_checks import LOCAL, condition
from podium.api.bootstrap import API_SERVER
from podium.api.core import Core, Object
from podium.api.discovery import PRIORITIES, PRIORITY_OTHERS
from podium.api.request import Request
from podium.instrument.log import logger
from podium.objects.resources import builtin
from podium.objects.status import StatusError

AUTOMANAGED = "kube-aggregator.kubernetes.io/automanaged"
_PRIORITY_CUSTOM = 100
_VERSION_PRIORITIES = {"v1.": 1, "v2.autoscaling": 30, "v1.apiregistration.k8s.io": 18, "v1.flowcontrol.apiserver.k8s.io": 21}
_VERSION_PRIORITY = 15

log = logger("api.aggregation")


def name_of(group: str, version: str) -> str:
    return f"{version}.{group}"


def plan(versions: list[tuple[str, str]], built_in: frozenset[tuple[str, str]], timestamp: str) -> list[Object]:
    """The APIServices that there should be, by name."""
    return [_local(group, version, (group, version) in built_in, timestamp) for group, version in sorted(versions)]


def _local(group: str, version: str, built_in: bool, timestamp: str) -> Object:
    name = name_of(group, version)
    value: Object = {
        "apiVersion": APISERVICES.api_version,
        "kind": APISERVICES.kind,
        "metadata": {"name": name, "labels": {AUTOMANAGED: "onstart" if built_in else "true"}},
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": PRIORITIES.get(group, PRIORITY_OTHERS),
            "versionPriority": _VERSION_PRIORITIES.get(name, _VERSION_PRIORITY) if built_in else _PRIORITY_CUSTOM,
        },
    }
    if not group:
        del value["spec"]["group"]
    value["status"] = condition(value, LOCAL, timestamp)
    return value


class LocalServices:
    """Keeps the local APIServices in step with the catalogue."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._built_in = frozenset((r.group, r.version) for r in builtin())
        self._wake = asyncio.Event()
        self._made_built_in = False

    def soon(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            await self._sync()
            await self._wake.wait()

    async def _sync(self) -> None:
        core = self._core
        versions = list(dict.fromkeys((r.group, r.version) for r in core.catalog))
        if self._made_built_in:
            versions = [v for v in versions if v not in self._built_in]
        wanted = {v["metadata"]["name"]: v for v in plan(versions, self._built_in, core.world.clock.timestamp())}
        present = {r.value["metadata"]["name"]: r.value for r in (await core.store.range(APISERVICES.prefix)).records}
        for name, value in wanted.items():
            if name not in present:
                await self._create(name, value)
        for name, value in present.items():
            if name not in wanted and (value["metadata"].get("labels") or {}).get(AUTOMANAGED) == "true":
                await self._delete(name)
        self._made_built_in = True

    async def _create(self, name: str, value: Object) -> None:
        try:
            status = value.pop("status")
            created = await writing.create(self._core, Request("create", APISERVICES, API_SERVER, None, name, value=value))
            value = {**created.to_value(), "status": status}
            await writing.update(self._core, Request("update", APISERVICES, API_SERVER, None, name, "status", value=value))
        except StatusError as error:
            log.warning("no APIService for a group version of this server", name=name, error=error.message)

    async def _delete(self, name: str) -> None:
        try:
            await deleting.delete(self._core, Request("delete", APISERVICES, API_SERVER, None, name))
        except StatusError as error:
            log.info("an APIService was not removed", name=name, error=error.message)
