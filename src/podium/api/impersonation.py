"""Acting as somebody else: the Impersonate-* headers.

Every part asked for (user, each group, uid, each extra value) needs the verb `impersonate` on it. Who becomes a service account also gets
its groups, unless others are asked for; everybody ends in system:authenticated or system:unauthenticated.

Source: k8s.io/apiserver pkg/endpoints/filters/impersonation.
"""

from collections.abc import Mapping
from urllib.parse import unquote

from podium.api.attributes import Attributes
from podium.api.authorization import Authorizer
from podium.api.request import User
from podium.objects.status import BadRequest

_AUTHENTICATION = "authentication.k8s.io"
_EXTRA = "impersonate-extra-"
_ACCOUNT = "system:serviceaccount:"
_AUTHENTICATED, _UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"


def impersonated(authorizer: Authorizer, user: User, headers: Mapping[str, str]) -> User:
    """The user that the headers ask for; `user` itself without any. Raises Forbidden, and BadRequest for headers without a user."""
    name = headers.get("impersonate-user", "")
    groups = _values(headers.get("impersonate-group", ""))
    uid = headers.get("impersonate-uid", "")
    extra = [(unquote(k[len(_EXTRA) :]).lower(), _values(v)) for k, v in headers.items() if k.startswith(_EXTRA)]
    if not name:
        if groups or uid or extra:
            raise BadRequest("requested groups, a uid or extra without impersonating a user")
        return user
    _check(authorizer, user, name, groups, uid, extra)
    return User(name, _all_groups(name, groups), uid, tuple(extra))


def _values(text: str) -> tuple[str, ...]:
    """The transport joins a repeated header with commas."""
    return tuple(part for part in (p.strip() for p in text.split(",")) if part)


def _check(
    authorizer: Authorizer, user: User, name: str, groups: tuple[str, ...], uid: str, extra: list[tuple[str, tuple[str, ...]]]
) -> None:
    namespace, account = account_of(name)
    if account:
        authorizer.require(Attributes(user, "impersonate", "", "serviceaccounts", "", namespace, account))
    else:
        authorizer.require(Attributes(user, "impersonate", "", "users", name=name))
    for group in groups:
        authorizer.require(Attributes(user, "impersonate", "", "groups", name=group))
    for key, values in extra:
        for value in values:
            authorizer.require(Attributes(user, "impersonate", _AUTHENTICATION, "userextras", key, name=value))
    if uid:
        authorizer.require(Attributes(user, "impersonate", _AUTHENTICATION, "uids", name=uid))


def account_of(name: str) -> tuple[str, str]:
    """(namespace, name) of the service account that a user name stands for; empty ones for others."""
    if not name.startswith(_ACCOUNT):
        return "", ""
    namespace, _, account = name[len(_ACCOUNT) :].partition(":")
    return (namespace, account) if namespace and account and ":" not in account else ("", "")


def account_groups(namespace: str) -> tuple[str, ...]:
    return ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")


def _all_groups(name: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    namespace, account = account_of(name)
    if account and not groups:
        groups = account_groups(namespace)
    if name == "system:anonymous":
        return groups if _UNAUTHENTICATED in groups else (*groups, _UNAUTHENTICATED)
    return groups if _AUTHENTICATED in groups or _UNAUTHENTICATED in groups else (*groups, _AUTHENTICATED)
