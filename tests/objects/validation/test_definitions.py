"""CustomResourceDefinitions: what may be defined, and what is said of the others."""

from typing import Any

import pytest

from podium.objects.validation.definitions import check_definition, check_definition_update
from podium.objects.validation.faults import Faults
from podium.objects.values import copy

TEXT = {"type": "string"}
ROOT = "spec.validation.openAPIV3Schema"


def names(**more: Any) -> dict[str, Any]:
    return {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList", **more}


def definition(schema: Any = None, *, versions: list[Any] | None = None, **spec: Any) -> dict[str, Any]:
    schema = {"type": "object", **(schema or {})}
    row = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    whole = {
        "group": "example.com", "scope": "Namespaced", "names": names(),
        "versions": versions if versions is not None else [row], "conversion": {"strategy": "None"}, **spec,
    }  # fmt: skip
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": whole,
        "metadata": {"name": f"{whole['names'].get('plural', '')}.{whole['group']}"}, "status": {"storedVersions": ["v1"]},
    }  # fmt: skip


def faults(value: dict[str, Any]) -> list[str]:
    found = Faults()
    check_definition(found, value)
    return [str(c) for c in found]


def row(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "served": True, "storage": False, "schema": {"openAPIV3Schema": {"type": "object"}}, **more}


SPECS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("plain", definition(), []),
    ("no dot in the group", definition(group="example"), ['spec.group: Invalid value: "example": should be a domain with at least one dot']),
    ("scope", definition(scope="Galaxy"), ['spec.scope: Unsupported value: "Galaxy": supported values: "Cluster", "Namespaced"']),
    ("two storage versions", definition(versions=[row("v1", storage=True), row("v2", storage=True)]), [
        'spec.versions: Invalid value: [{"name":"v1","served":true,"storage":true},{"name":"v2","served":true,"storage":true}]: '
        "must have exactly one version marked as storage version"]),
    ("no schema", definition(versions=[row("v1", storage=True, schema=None)]),
     ["spec.versions[0].schema.openAPIV3Schema: Required value"]),
    ("kind as list kind", definition(names=names(listKind="Widget")),
     ['spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same']),
    ("column type", definition(versions=[row("v1", storage=True, additionalPrinterColumns=[{"name": "A", "type": "text", "jsonPath": ".spec.a"}])]),
     ['spec.additionalPrinterColumns[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string']),
    ("column path", definition(versions=[row("v1", storage=True, additionalPrinterColumns=[{"name": "A", "type": "string", "jsonPath": "spec.a"}])]),
     ['spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec.a": must be a simple json path starting with .']),
    ("scale path", definition(versions=[
        row("v1", storage=True, subresources={"scale": {"specReplicasPath": ".replicas", "statusReplicasPath": ".status.n"}})]),
     ['spec.subresources.scale.specReplicasPath: Invalid value: ".replicas": should be a json path under .spec']),
    ("deprecation", definition(versions=[row("v1", storage=True, deprecationWarning="x")]),
     ['spec.versions[0].deprecationWarning: Invalid value: "x": can only be set for deprecated versions']),
    ("selectable field", definition(versions=[row("v1", storage=True, selectableFields=[{"jsonPath": ".spec.color"}])]),
     ['spec.selectableFields[0].jsonPath: Invalid value: ".spec.color": is an invalid path: does not refer to a valid field']),
    ("webhook without a place", definition(conversion={"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"]}}),
     ["spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook"]),
    ("webhook by http", definition(
        conversion={"strategy": "Webhook", "webhook": {"clientConfig": {"url": "http://x/y"}, "conversionReviewVersions": ["v9"]}}
     ),
     ["spec.conversion.webhookClientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[:port]/path",
      'spec.conversion.conversionReviewVersions: Invalid value: ["v9"]: must include at least one of v1, v1beta1']),
    ("protected group", definition(group="x.k8s.io"), [
        "metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "
        '"api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111']),
    ("preserveUnknownFields", definition(preserveUnknownFields=True), ["spec.preserveUnknownFields: Invalid value: true: "
     "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"]),
]  # fmt: skip


@pytest.mark.parametrize(("value", "told"), [c[1:] for c in SPECS], ids=[c[0] for c in SPECS])
def test_a_definition_is_fine_or_told_why(value: dict[str, Any], told: list[str]) -> None:
    assert faults(value) == told


def test_the_name_is_that_of_the_resource() -> None:
    value = definition()
    value["metadata"]["name"] = "other.example.com"
    assert faults(value) == ['metadata.name: Invalid value: "other.example.com": must be spec.names.plural+"."+spec.group']


SCHEMAS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("no type of a field", {"properties": {"a": {}}}, [f"{ROOT}.properties[a].type: Required value: must not be empty for specified object fields"]),
    ("no type of items", {"properties": {"a": {"type": "array", "items": {}}}},
     [f"{ROOT}.properties[a].items.type: Required value: must not be empty for specified array items"]),
    ("no items", {"properties": {"a": {"type": "array"}}}, [f"{ROOT}.properties[a].items: Required value: must be specified"]),
    ("not an object", {"type": "array", "items": TEXT}, [f'{ROOT}.type: Invalid value: "array": must be object at the root']),
    ("open root", {"additionalProperties": TEXT}, [f"{ROOT}.additionalProperties: Forbidden: must not be used at the root"]),
    ("both kinds of properties", {"properties": {"a": {"type": "object", "properties": {"b": TEXT}, "additionalProperties": TEXT}}},
     [f"{ROOT}.properties[a].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"]),
    ("type in a combination", {"anyOf": [{"type": "object"}]}, [f"{ROOT}.anyOf[0].type: Forbidden: must be empty to be structural"]),
    ("int or string", {"properties": {"a": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]}}}, []),
    ("incomplete", {"anyOf": [{"properties": {"a": {"minLength": 1}}}]},
     [f"{ROOT}.properties[a]: Required value: because it is defined in {ROOT}.anyOf[0].properties[a]"]),
    ("metadata", {"properties": {"metadata": {"type": "object", "properties": {"labels": {"type": "object"}}}}},
     [f"{ROOT}.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified"]),
    ("restricted name", {"properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "pattern": "^a"}}}}}, []),
    ("pattern", {"properties": {"a": {**TEXT, "pattern": "("}}},
     [f'{ROOT}.properties[a].pattern: Invalid value: "(": must be a valid regular expression, but isn\'t: error parsing regexp: missing ): (']),
    ("unknown type", {"properties": {"a": {"type": "text"}}},
     [f'{ROOT}.properties[a].type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string"']),
    ("reference", {"properties": {"a": {"$ref": "#/x", **TEXT}}}, [f"{ROOT}.properties[a].$ref: Forbidden: $ref is not supported"]),
    ("uniqueItems", {"properties": {"a": {"type": "array", "items": TEXT, "uniqueItems": True}}},
     [f"{ROOT}.properties[a].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"]),
    ("map without keys", {"properties": {"a": {"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}}},
     [f"{ROOT}.properties[a].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"]),
    ("optional key", {"properties": {"a": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
                                           "items": {"type": "object", "properties": {"n": TEXT}}}}},
     [f"{ROOT}.properties[a].items.properties[n].default: Required value: this property is in x-kubernetes-list-map-keys, "
      "so it must have a default or be a required property"]),
    ("set of objects", {"properties": {"a": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}}}},
     [f"{ROOT}.properties[a].items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set"]),
    ("wrong default", {"properties": {"a": {"type": "integer", "default": "x"}}},
     [f'{ROOT}.properties[a].default: Invalid value: "string":  in body must be of type integer: "string"']),
    ("default with unknown fields", {"properties": {"a": {"type": "object", "default": {"b": 1}}}},
     [f'{ROOT}.properties[a].default: Invalid value: {{"b":1}}: must not have unknown fields']),
    ("default of metadata", {"properties": {"kind": {**TEXT, "default": "A"}}},
     [f"{ROOT}.properties[kind].default: Forbidden: must not be set in top-level kind"]),
    ("embedded without fields", {"properties": {"a": {"type": "object", "x-kubernetes-embedded-resource": True}}},
     [f"{ROOT}.properties[a].properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without "
      "x-kubernetes-preserve-unknown-fields"]),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "told"), [c[1:] for c in SCHEMAS], ids=[c[0] for c in SCHEMAS])
def test_a_schema_is_structural_or_told_why(schema: dict[str, Any], told: list[str]) -> None:
    assert faults(definition(schema)) == told


def test_with_a_status_subresource_little_may_be_said_at_the_root() -> None:
    schema = {"type": "object", "properties": {"a": TEXT}, "anyOf": [{"required": ["a"]}]}
    told = faults(definition(versions=[row("v1", storage=True, schema={"openAPIV3Schema": schema}, subresources={"status": {}})]))
    assert len(told) == 1
    assert told[0].startswith(f'{ROOT}: Invalid value: "anyOf": only [Description Type Format')


def test_what_versions_do_not_share_is_told_at_the_version() -> None:
    versions = [row("v1", storage=True), row("v2", schema={"openAPIV3Schema": {"type": "object", "properties": {"a": {}}}})]
    path = "spec.versions[1].schema.openAPIV3Schema.properties[a].type"
    assert faults(definition(versions=versions)) == [f"{path}: Required value: must not be empty for specified object fields"]


RULES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("fine", {"rule": "self.n > 1"}, []),
    ("empty", {"rule": " "}, ["rule: Required value: rule is not specified"]),
    ("no such field", {"rule": "self.m > 1"}, [
        'rule: Invalid value: {"rule":"self.m > 1"}: compilation failed: ERROR: <input>:1:5: undefined field \'m\'\n | self.m > 1\n | ....^']),
    ("no truth", {"rule": "self.n"}, ['rule: Invalid value: {"rule":"self.n"}: cel expression must evaluate to a bool']),
    ("line breaks", {"rule": "self.n\n> 1"}, ["message: Required value: message must be specified if rule contains line breaks"]),
    ("reason", {"rule": "self.n > 1", "reason": "X"}, [
        'reason: Unsupported value: "X": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"']),
    ("field path", {"rule": "self.n > 1", "fieldPath": ".z"},
     ['fieldPath: Invalid value: ".z": must be a valid path']),
    ("optional old self of no use", {"rule": "self.n > 1", "optionalOldSelf": True}, [
        "optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"]),
    ("too dear", {"rule": "self.l.all(x, self.l.all(y, x == y))"}, [
        "rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, "
        "maxProperties, and maxLength where arrays, maps, and strings are declared)",
        "rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "told"), [c[1:] for c in RULES], ids=[c[0] for c in RULES])
def test_a_rule_is_fine_or_told_why(rule: dict[str, Any], told: list[str]) -> None:
    node = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "l": {"type": "array", "items": TEXT}},
        "x-kubernetes-validations": [rule],
    }
    found = faults(definition({"properties": {"spec": node}}))
    head = f"{ROOT}.properties[spec].x-kubernetes-validations[0]."
    assert [f.removeprefix(head) for f in found if f.startswith(head)] == told


def test_a_transition_rule_needs_items_with_keys() -> None:
    rule = {"rule": "self == oldSelf"}
    items = {"type": "array", "maxItems": 3, "items": {**TEXT, "maxLength": 3, "x-kubernetes-validations": [rule]}}
    path = f"{ROOT}.properties[l]"
    assert faults(definition({"properties": {"l": items}})) == [
        f'{path}.items.x-kubernetes-validations[0].rule: Invalid value: "self == oldSelf": '
        f"oldSelf cannot be used on the uncorrelatable portion of the schema within {path}.items"
    ]


def test_what_names_the_stored_objects_stays() -> None:
    old = definition()
    old["status"]["conditions"] = [{"type": "Established", "status": "True"}]
    new = copy(old)
    new["spec"]["scope"] = "Cluster"
    new["spec"]["names"]["kind"] = "Other"
    found = Faults()
    check_definition_update(found, new, old)
    assert [str(c) for c in found] == [
        'spec.scope: Invalid value: "Cluster": field is immutable',
        'spec.names.kind: Invalid value: "Other": field is immutable',
    ]


def test_a_version_with_stored_objects_stays() -> None:
    old = definition(versions=[row("v1", storage=True), row("v2")])
    new = definition(versions=[row("v2", storage=True)])
    new["status"]["storedVersions"] = ["v1", "v2"]
    found = Faults()
    check_definition_update(found, new, old)
    assert [str(c) for c in found] == [
        'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was previously a storage version, and must remain in '
        "spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions"
    ]
