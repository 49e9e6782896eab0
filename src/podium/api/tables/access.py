"""Access: who may do what, and certificates asked for. Roles themselves have the default table."""

from datetime import datetime
from typing import Any

from podium.api.tables import ages
from podium.api.tables.columns import AGE, NAME, NONE, WIDE, Column, Table, age, name, spec, status
from podium.objects.values import Object


def _binding(value: Object, now: datetime) -> list[Any]:
    role, subjects = value.get("roleRef") or {}, value.get("subjects") or ()
    accounts = (f"{s.get('namespace', '')}/{s['name']}" for s in subjects if s.get("kind") == "ServiceAccount")
    users, groups = (", ".join(s["name"] for s in subjects if s.get("kind") == kind) for kind in ("User", "Group"))
    return [name(value), f"{role.get('kind', '')}/{role.get('name', '')}", age(value, now), users, groups, ", ".join(accounts)]


def _signing_request(value: Object, now: datetime) -> list[Any]:
    wanted = spec(value)
    lifetime = wanted.get("expirationSeconds")
    return [
        name(value), age(value, now), wanted.get("signerName") or NONE, wanted.get("username", ""),
        NONE if lifetime is None else ages.human(lifetime), _signing_status(status(value)),
    ]  # fmt: skip


def _signing_status(found: Object) -> str:
    kinds = [c.get("type") for c in found.get("conditions") or ()]
    word = "Denied" if "Denied" in kinds else "Approved" if "Approved" in kinds else "Pending"
    return word + (",Failed" if "Failed" in kinds else "") + (",Issued" if found.get("certificate") else "")


def _bindings(kind: str) -> Table:
    shown = kind[:1].lower() + kind[1:]
    columns = tuple(Column(what, text=f"{what} in the {shown}", priority=WIDE) for what in ("Users", "Groups", "ServiceAccounts"))
    return Table((NAME, Column("Role", field=f"rbac.v1.{kind}.roleRef"), AGE, *columns), _binding)


_REQUEST = "certificates.v1.CertificateSigningRequest"
_GROUP = "certificates.k8s.io"

TABLES = {
    ("rbac.authorization.k8s.io", "rolebindings"): _bindings("RoleBinding"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"): _bindings("ClusterRoleBinding"),
    (_GROUP, "certificatesigningrequests"): Table(
        (
            NAME,
            AGE,
            Column("SignerName", field=f"{_REQUEST}Spec.signerName"),
            Column("Requestor", field=f"{_REQUEST}Spec.request"),
            Column("RequestedDuration", field=f"{_REQUEST}Spec.expirationSeconds"),
            Column("Condition", field=f"{_REQUEST}Status.conditions"),
        ),
        _signing_request,
    ),
    (_GROUP, "clustertrustbundles"): Table(
        (NAME, Column("SignerName", field="certificates.v1beta1.ClusterTrustBundleSpec.signerName")),
        lambda value, now: [name(value), spec(value).get("signerName") or NONE],
    ),
}
