"""ResourceQuota: no namespace takes more than its quotas allow, however many writers there are.

Theory: one process serves all writes, so the sums are kept here, by the store's feed, for the namespaces that have a quota. A write that
takes more of a quota is checked and its share set aside in one step, without an await between; the share is settled when the write is
(its object is then in the sums) or given back when it fails. So the sums plus the shares set aside never pass a limit, and what was deleted is
free at once. `status.used` is the quota controller's and lags; decisions never rely on it.

Invariant: for each quota, committed + set aside >= what the store holds and what is under way.
Not as upstream: a lowered limit is seen at once, not when the controller has copied it to the status.

Source: k8s.io/apiserver pkg/admission/plugin/resourcequota (controller.go: checkRequest, messages).
"""

import asyncio
from dataclasses import dataclass, field

from podium.api.admission.plugin import Hold, forbidden
from podium.api.core import Core, Object
from podium.api.request import Request
from podium.instrument.log import logger
from podium.objects import quotas
from podium.objects.quotas import Quota, Tally, Usage
from podium.objects.resources import resource
from podium.store.interface import Store
from podium.store.record import Event

log = logger("api.admission.resource_quota")
_PREFIX = resource("resourcequotas").prefix
_WITHOUT_NAMESPACE = 4
"""Parts of the key `/group/plural/name`; a namespaced one has five."""


@dataclass(slots=True)
class _Account:
    """One quota's sums: `tally` of what is stored, `aside` by write under way."""

    quota: Quota
    tally: Tally = field(default_factory=Tally)
    aside: dict["_Share", Usage] = field(default_factory=dict)
    counted: bool = False
    touched: set[str] = field(default_factory=set)
    counting: asyncio.Lock = field(default_factory=asyncio.Lock)

    def settle(self, key: str) -> None:
        """The object at `key` is in the sums from now on."""
        for share in [s for s in self.aside if s.key == key]:
            del self.aside[share]

    def used(self, name: str) -> int:
        return self.tally.used.get(name, 0) + sum(usage.get(name, 0) for usage in self.aside.values())


class _Share:
    """What one write has set aside of one or more quotas."""

    __slots__ = ("_accounts", "key")

    def __init__(self, key: str) -> None:
        self.key = key
        self._accounts: list[_Account] = []

    def take(self, account: _Account, usage: Usage) -> None:
        account.aside[self] = usage
        self._accounts.append(account)

    def undo(self) -> None:
        for account in self._accounts:
            account.aside.pop(self, None)

    keep = undo
    """The write is in the store, so its object is in the sums already."""


class Ledger:
    """The accounts of every namespace that has a quota."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._accounts: dict[str, dict[str, _Account]] = {}

    async def start(self) -> None:
        """The quotas there are; their sums are counted at the first write that concerns them."""
        self._store.feed("/", self._changed)
        for record in (await self._store.range(_PREFIX)).records:
            self._set_quota(record.value["metadata"]["namespace"], record.value["metadata"]["name"], record.value)

    def within(self, namespace: str) -> dict[str, _Account]:
        return self._accounts.get(namespace, _NONE)

    async def reserve(self, request: Request, new: Object, old: Object | None) -> Hold | None:
        """Sets aside what the write takes. Raises Forbidden."""
        namespace = request.namespace or ""
        if namespace not in self._accounts:
            return None
        group, plural = request.resource.storage_group, request.resource.plural
        while True:  # the quotas may change while their sums are counted
            concerned = [a for a in self.within(namespace).values() if a.quota.limited(group, plural)]
            uncounted = [account for account in concerned if not account.counted]
            if not uncounted:
                break
            for account in uncounted:
                await self._count(namespace, account)
        share = _Share(request.resource.key(namespace, request.name))
        asked = [(account, _asked(account.quota, request, group, plural, new, old)) for account in concerned]
        for account, usage in asked:
            if usage:
                _check(request, account, usage)
        for account, usage in asked:
            if usage and not request.dry_run:
                share.take(account, usage)
        return share

    async def _count(self, namespace: str, account: _Account) -> None:
        """Adds up what is stored; changes meanwhile are told by the feed and count instead."""
        async with account.counting:
            if account.counted:
                return
            for group, plural in quotas.resources_of(account.quota.hard):
                page = await self._store.range(f"/{group or 'core'}/{plural}/{namespace}/")
                for record in page.records:
                    if record.key not in account.touched:
                        account.tally.put(record.key, account.quota.usage(group, plural, record.value))
            account.counted = True
            account.touched.clear()

    def _changed(self, events: list[Event]) -> None:
        for event in events:
            key = event.record.key
            if key.startswith(_PREFIX):
                metadata = event.record.value["metadata"]
                self._set_quota(metadata["namespace"], metadata["name"], None if event.deleted else event.record.value)
            if not self._accounts:
                continue
            parts = key.split("/", _WITHOUT_NAMESPACE)
            if len(parts) <= _WITHOUT_NAMESPACE or (accounts := self._accounts.get(parts[3])) is None:
                continue
            group, plural = "" if parts[1] == "core" else parts[1], parts[2]
            for account in accounts.values():
                if account.quota.limited(group, plural):
                    self._follow(account, key, {} if event.deleted else account.quota.usage(group, plural, event.record.value))

    @staticmethod
    def _follow(account: _Account, key: str, usage: Usage) -> None:
        if not account.counted:
            account.touched.add(key)
        account.tally.put(key, usage)
        if account.aside:
            account.settle(key)

    def _set_quota(self, namespace: str, name: str, value: Object | None) -> None:
        accounts = dict(self._accounts.get(namespace, {}))
        before = accounts.pop(name, None)
        if value is not None:
            try:
                quota = quotas.compile_quota(value)
            except ValueError as error:
                log.error("a quota is not enforced", namespace=namespace, name=name, error=str(error))
                return
            accounts[name] = before if before is not None and before.quota == quota else _renewed(before, quota)
        if accounts:
            self._accounts[namespace] = dict(sorted(accounts.items()))
        else:
            self._accounts.pop(namespace, None)


_NONE: dict[str, _Account] = {}


def _renewed(before: _Account | None, quota: Quota) -> _Account:
    """A changed quota is counted again, but for a change of amounts alone."""
    account = _Account(quota)
    if before is not None and before.quota.scopes == quota.scopes and list(before.quota.hard) == list(quota.hard) and before.counted:
        account.tally, account.aside, account.counted = before.tally, before.aside, True
    elif before is not None:
        account.aside = before.aside
    return account


def _asked(quota: Quota, request: Request, group: str, plural: str, new: Object, old: Object | None) -> Usage:
    """How much more the namespace uses after this write."""
    if not quota.matches(group, plural, new):
        return {}
    if old is None and (missing := quotas.unspecified(quota, group, plural, new)):
        raise forbidden(request, f"failed quota: {quota.name}: must specify {missing}")
    usage = quota.usage(group, plural, new)
    if old is None:
        return usage
    before = quota.usage(group, plural, old)
    return {name: amount - before.get(name, 0) for name, amount in usage.items() if amount > before.get(name, 0)}


def _check(request: Request, account: _Account, usage: Usage) -> None:
    hard = account.quota.hard
    exceeded = [name for name, amount in usage.items() if account.used(name) + amount > hard[name].nanos]
    if not exceeded:
        return
    exceeded.sort()

    def show(amounts: Usage) -> str:
        return ",".join(f"{name}={quotas.show_amount(name, amounts.get(name, 0), hard[name])}" for name in exceeded)

    used = {name: account.used(name) for name in exceeded}
    limited = ",".join(f"{name}={hard[name]}" for name in exceeded)
    raise forbidden(request, f"exceeded quota: {account.quota.name}, requested: {show(usage)}, used: {show(used)}, limited: {limited}")


async def reserve(core: Core, request: Request, new: Object, old: Object | None) -> Hold | None:
    return await core.admission.quotas.reserve(request, new, old)
