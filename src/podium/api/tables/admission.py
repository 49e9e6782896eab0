"""Admission and flow control: rules about requests."""

from datetime import datetime
from typing import Any

from podium.api.tables.columns import AGE, NAME, NONE, UNSET, Column, Table, age, at, name, spec, status
from podium.objects.values import Object


def _webhooks(value: Object, now: datetime) -> list[Any]:
    return [name(value), len(value.get("webhooks") or ()), age(value, now)]


def _policy(rules: str) -> Any:
    def cells(value: Object, now: datetime) -> list[Any]:
        kind = spec(value).get("paramKind")
        shown = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET
        return [name(value), len(spec(value).get(rules) or ()), shown, age(value, now)]

    return cells


def _policy_binding(value: Object, now: datetime) -> list[Any]:
    given = spec(value).get("paramRef")
    shown = f"{given.get('namespace') or '*'}/{given['name']}" if given and given.get("name") else UNSET
    return [name(value), spec(value).get("policyName", ""), shown, age(value, now)]


def _flow_schema(value: Object, now: datetime) -> list[Any]:
    wanted = spec(value)
    dangling = next((c["status"] for c in status(value).get("conditions") or () if c.get("type") == "Dangling"), "?")
    return [
        name(value), at(wanted, "priorityLevelConfiguration", "name", default=""), wanted.get("matchingPrecedence", 0),
        at(wanted, "distinguisherMethod", "type", default=NONE), age(value, now), dangling,
    ]  # fmt: skip


def _priority_level(value: Object, now: datetime) -> list[Any]:
    wanted = spec(value)
    shares = at(wanted, "limited", "nominalConcurrencyShares", default=NONE)
    queues = [at(wanted, "limited", "limitResponse", "queuing", f, default=NONE) for f in ("queues", "handSize", "queueLengthLimit")]
    return [name(value), wanted.get("type", ""), shares, *queues, age(value, now)]


_GROUP, _FLOW = "admissionregistration.k8s.io", "flowcontrol.apiserver.k8s.io"
_WEBHOOKS = Table(
    (NAME, Column("Webhooks", "integer", text="Webhooks indicates the number of webhooks registered in this configuration"), AGE),
    _webhooks,
)
_PARAMETERS = Column("ParamKind", text="ParamKind specifies the kind of resources used to parameterize this policy")
_BINDING = Table(
    (
        NAME,
        Column("PolicyName", text="PolicyName indicates the policy definition which the policy binding binded to"),
        Column("ParamRef", text="ParamRef indicates the param resource which sets the configration param"),
        AGE,
    ),
    _policy_binding,
)
_VALIDATIONS = "Validations indicates the number of validation rules defined in this configuration"
_MUTATIONS = "Mutation indicates the number of mutations rules defined in this configuration"
_SCHEMA, _LEVEL, _QUEUE = (
    "flowcontrol.v1.FlowSchemaSpec",
    "flowcontrol.v1.PriorityLevelConfigurationSpec",
    "flowcontrol.v1.QueuingConfiguration",
)

TABLES = {
    (_GROUP, "mutatingwebhookconfigurations"): _WEBHOOKS,
    (_GROUP, "validatingwebhookconfigurations"): _WEBHOOKS,
    (_GROUP, "validatingadmissionpolicies"): Table(
        (NAME, Column("Validations", "integer", text=_VALIDATIONS), _PARAMETERS, AGE), _policy("validations")
    ),
    (_GROUP, "mutatingadmissionpolicies"): Table(
        (NAME, Column("Mutations", "integer", text=_MUTATIONS), _PARAMETERS, AGE), _policy("mutations")
    ),
    (_GROUP, "validatingadmissionpolicybindings"): _BINDING,
    (_GROUP, "mutatingadmissionpolicybindings"): _BINDING,
    (_FLOW, "flowschemas"): Table(
        (
            NAME,
            Column("PriorityLevel", field="flowcontrol.v1.PriorityLevelConfigurationReference.name"),
            Column("MatchingPrecedence", field=f"{_SCHEMA}.matchingPrecedence"),
            Column("DistinguisherMethod", field=f"{_SCHEMA}.distinguisherMethod"),
            AGE,
            Column("MissingPL", text="references a broken or non-existent PriorityLevelConfiguration"),
        ),
        _flow_schema,
    ),
    (_FLOW, "prioritylevelconfigurations"): Table(
        (
            NAME,
            Column("Type", field=f"{_LEVEL}.type"),
            Column("NominalConcurrencyShares", field="flowcontrol.v1.LimitedPriorityLevelConfiguration.nominalConcurrencyShares"),
            Column("Queues", field=f"{_QUEUE}.queues"),
            Column("HandSize", field=f"{_QUEUE}.handSize"),
            Column("QueueLengthLimit", field=f"{_QUEUE}.queueLengthLimit"),
            AGE,
        ),
        _priority_level,
    ),
}
