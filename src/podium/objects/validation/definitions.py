"""CustomResourceDefinitions: what may be defined. Worded as upstream, whose paths are those of its internal form: what all versions share
is at the top (`spec.validation.openAPIV3Schema`), what differs at each version.

Source: apiextensions-apiserver pkg/apis/apiextensions/validation/validation.go, pkg/apis/apiextensions/v1/conversion.go.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from podium.objects import names
from podium.objects.custom.approval import approval_fault
from podium.objects.custom.json_paths import compile_path
from podium.objects.custom.validity import RULES
from podium.objects.validation.faults import Faults
from podium.objects.validation.structural import check_schema
from podium.objects.values import Object

_NAMES = ("plural", "singular", "kind", "listKind")
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_REVIEW_VERSIONS = ("v1", "v1beta1")
_DEPRECATION_CHARS_MAX = 256
_SELECTABLE_MAX = 8
_PRESERVE = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
_AT_ROOT = (
    "description", "type", "format", "title", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength",
    "pattern", "maxItems", "minItems", "uniqueItems", "multipleOf", "required", "items", "properties", "externalDocs", "example",
    "x-kubernetes-preserve-unknown-fields", RULES,
)  # fmt: skip
"""What a schema may say at its root when the status has a door of its own."""
_AT_ROOT_TEXT = (
    "Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems "
    "UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations"
)


def check_definition(faults: Faults, value: Object) -> None:
    spec = value.get("spec") or {}
    named = spec.get("names") or {}
    if value["metadata"].get("name") != f"{named.get('plural', '')}.{spec.get('group', '')}":
        faults.invalid("metadata.name", value["metadata"].get("name", ""), 'must be spec.names.plural+"."+spec.group')
    _check_spec(faults, spec)
    if fault := approval_fault(value):
        faults.append(fault)
    if spec.get("preserveUnknownFields"):
        faults.invalid("spec.preserveUnknownFields", True, _PRESERVE)


def check_definition_update(faults: Faults, new: Object, old: Object) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    if spec != before:
        _check_spec(faults, spec)
        if spec.get("preserveUnknownFields") and not before.get("preserveUnknownFields"):
            faults.invalid("spec.preserveUnknownFields", True, _PRESERVE)
    conditions = (old.get("status") or {}).get("conditions") or ()
    if any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions):
        faults.unchanged("spec.scope", spec.get("scope"), before.get("scope"))
        faults.unchanged("spec.names.kind", (spec.get("names") or {}).get("kind"), (before.get("names") or {}).get("kind"))
    faults.unchanged("spec.group", spec.get("group"), before.get("group"))
    faults.unchanged("spec.names.plural", (spec.get("names") or {}).get("plural"), (before.get("names") or {}).get("plural"))
    _check_stored_versions(faults, new)
    if (fault := approval_fault(new)) and not approval_fault(old):
        faults.append(fault)


def check_definition_status(faults: Faults, new: Object, old: Object) -> None:
    _check_names(faults, (new.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")
    _check_stored_versions(faults, new)


def _check_stored_versions(faults: Faults, value: Object) -> None:
    stored, path = (value.get("status") or {}).get("storedVersions") or [], "status.storedVersions"
    if not stored:
        faults.invalid(path, stored, "must have at least one stored version")
        return
    versions = (value.get("spec") or {}).get("versions") or ()
    for row in versions:
        if row.get("storage") and row.get("name") not in stored:
            faults.invalid(path, stored, f"must have the storage version {row.get('name')}")
    for index, name in enumerate(stored):
        if name not in [row.get("name") for row in versions]:
            why = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration "
                f"ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            )
            faults.invalid(f"{path}[{index}]", name, why)


def _check_spec(faults: Faults, spec: Object) -> None:
    group, versions = spec.get("group", ""), spec.get("versions") or []
    if not group:
        faults.required("spec.group")
    elif wrong := names.dns_subdomain(group):
        faults.invalid("spec.group", group, ",".join(wrong))
    elif "." not in group:
        faults.invalid("spec.group", group, "should be a domain with at least one dot")
    if not spec.get("scope"):
        faults.required("spec.scope")
    faults.one_of("spec.scope", spec.get("scope") or None, ("Cluster", "Namespaced"))
    for index, row in enumerate(versions):
        if not (row.get("schema") or {}).get("openAPIV3Schema"):
            faults.required(f"spec.versions[{index}].schema.openAPIV3Schema")
    for index, row in enumerate(versions):
        if wrong := names.dns_1035_label(row.get("name", "")):
            faults.invalid(f"spec.versions[{index}].name", row.get("name", ""), ",".join(wrong))
        for why in _deprecation_faults(row):
            faults.invalid(f"spec.versions[{index}].deprecationWarning", row.get("deprecationWarning"), why)
    shown = [{k: row[k] for k in ("name", "served", "storage") if k in row} for row in versions]
    if len({row.get("name") for row in versions}) != len(versions):
        faults.invalid("spec.versions", shown, "must contain unique version names")
    if sum(bool(row.get("storage")) for row in versions) != 1:
        faults.invalid("spec.versions", shown, "must have exactly one version marked as storage version")
    named = spec.get("names") or {}
    for name in _NAMES:
        if not named.get(name):
            faults.required(f"spec.names.{name}")
    _check_names(faults, named, "spec.names")
    _check_versions(faults, versions)
    _check_conversion(faults, spec.get("conversion") or {})


def _check_versions(faults: Faults, versions: list[Object]) -> None:
    """Each aspect at the top when all versions agree in it, else at each version."""
    aspects = (
        ("schema", "validation", _check_version_schema),
        ("subresources", "subresources", _check_subresources),
        ("additionalPrinterColumns", "additionalPrinterColumns", _check_columns),
        ("selectableFields", "selectableFields", _check_selectable),
    )
    for name, top, check in aspects:
        given = [row.get(name) for row in versions]
        if not given or not any(given):
            continue
        if all(g == given[0] for g in given):
            check(faults, versions[0], f"spec.{top}")
        else:
            for index, row in enumerate(versions):
                if row.get(name):
                    check(faults, row, f"spec.versions[{index}].{name}")


def _deprecation_faults(row: Object) -> list[str]:
    text = row.get("deprecationWarning")
    if text is None:
        return []
    if not row.get("deprecated"):
        return ["can only be set for deprecated versions"]
    found = [f"must be <= {_DEPRECATION_CHARS_MAX} characters long"] if len(text) > _DEPRECATION_CHARS_MAX else []
    if not text:
        found.append("must not be an empty string")
    strange = next((i for i, c in enumerate(text) if not c.isprintable()), None)
    if strange is not None:
        found.append(f"must only contain printable UTF-8 characters; non-printable character found at index {strange}")
    return found


def _check_names(faults: Faults, named: Object, path: str) -> None:
    for name in ("plural", "singular"):
        if named.get(name) and (wrong := names.dns_1035_label(named[name])):
            faults.invalid(f"{path}.{name}", named[name], ",".join(wrong))
    for name in ("kind", "listKind"):
        if named.get(name) and (wrong := names.dns_1035_label(named[name].lower())):
            faults.invalid(f"{path}.{name}", named[name], "may have mixed case, but should otherwise match: " + ",".join(wrong))
    for name in ("shortNames", "categories"):
        for index, text in enumerate(named.get(name) or ()):
            if wrong := names.dns_1035_label(text):
                faults.invalid(f"{path}.{name}[{index}]", text, ",".join(wrong))
    if named.get("kind") and named["kind"] == named.get("listKind"):
        faults.invalid(f"{path}.listKind", named["listKind"], "kind and listKind may not be the same")


def _check_version_schema(faults: Faults, row: Object, path: str) -> None:
    schema, path = (row.get("schema") or {}).get("openAPIV3Schema") or {}, f"{path}.openAPIV3Schema"
    if "status" in (row.get("subresources") or {}):
        if schema.get("type") and schema["type"] != "object":
            text = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
            faults.invalid(f"{path}.type", schema["type"], text)
        if strange := next((k for k, v in schema.items() if k not in _AT_ROOT and v not in (None, "", False, [], {})), ""):
            text = f"only [{_AT_ROOT_TEXT}] fields are allowed at the root of the schema if the status subresource is enabled"
            faults.invalid(path, strange, text)
    check_schema(faults, schema, path)


def _check_simple_path(faults: Faults, text: str, path: str, *, below: tuple[str, ...] = ()) -> None:
    if not text.startswith("."):
        faults.invalid(path, text, "must be a simple json path starting with .")
    elif below and not text.startswith(below):
        allowed = f"under {below[0][:-1]}" if len(below) == 1 else "under either .spec or .status"
        faults.invalid(path, text, f"should be a json path {allowed}")
    else:
        try:
            compile_path(text)
        except ValueError as error:
            faults.invalid(path, text, f"must be a json path in the dot notation: {error}")


def _check_subresources(faults: Faults, row: Object, path: str) -> None:
    scale = (row.get("subresources") or {}).get("scale")
    if scale is None:
        return
    for name, root in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        if not scale.get(name):
            faults.required(f"{path}.scale.{name}")
        else:
            _check_simple_path(faults, scale[name], f"{path}.scale.{name}", below=(root,))
    if scale.get("labelSelectorPath"):
        _check_simple_path(faults, scale["labelSelectorPath"], f"{path}.scale.labelSelectorPath", below=(".spec.", ".status."))


def _check_columns(faults: Faults, row: Object, path: str) -> None:
    for index, column in enumerate(row.get("additionalPrinterColumns") or ()):
        here = f"{path}[{index}]"
        if not column.get("name"):
            faults.required(f"{here}.name")
        types = f"must be one of {','.join(_COLUMN_TYPES)}"
        if not column.get("type"):
            faults.required(f"{here}.type", types)
        elif column["type"] not in _COLUMN_TYPES:
            faults.invalid(f"{here}.type", column["type"], types)
        if column.get("format") and column["format"] not in _COLUMN_FORMATS:
            faults.invalid(f"{here}.format", column["format"], f"must be one of {','.join(_COLUMN_FORMATS)}")
        if not column.get("jsonPath"):
            faults.required(f"{here}.JSONPath")
        else:
            _check_simple_path(faults, column["jsonPath"], f"{here}.JSONPath")


def _check_selectable(faults: Faults, row: Object, path: str) -> None:
    schema = (row.get("schema") or {}).get("openAPIV3Schema") or {}
    seen: set[str] = set()
    for index, field in enumerate(row.get("selectableFields") or ()):
        text, here = field.get("jsonPath", ""), f"{path}[{index}].jsonPath"
        if not text:
            faults.required(here)
            continue
        found = _field_at(schema, text)
        if found is None:
            why = "array notation is not allowed" if "[" in text else "does not refer to a valid field"
            faults.invalid(here, text, f"is an invalid path: {why}")
            continue
        if text.startswith(".metadata"):
            faults.invalid(here, text, "must not point to fields in metadata")
        if found.get("type") not in ("string", "boolean", "integer") or found.get("nullable"):
            allowed = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
            faults.invalid(here, text, allowed)
        faults.unique(here, text, seen)
    if len(seen) > _SELECTABLE_MAX:
        faults.too_many(path, len(seen), _SELECTABLE_MAX)


def _field_at(schema: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    """The schema of the field that a path of plain names points to."""
    if not path.startswith(".") or "[" in path:
        return None
    for name in path[1:].split("."):
        found = (schema.get("properties") or {}).get(name)
        if not isinstance(found, Mapping):
            return None
        schema = found
    return schema


def _check_conversion(faults: Faults, conversion: Object) -> None:
    strategy, path = conversion.get("strategy", ""), "spec.conversion"
    faults.one_of(f"{path}.strategy", strategy, ("None", "Webhook"))
    webhook = conversion.get("webhook")
    if strategy != "Webhook":
        if webhook is not None:
            faults.forbidden(f"{path}.webhookClientConfig", "should not be set when strategy is not set to Webhook")
        return
    config = (webhook or {}).get("clientConfig")
    if config is None:
        faults.required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook")
    elif ("url" in config) == ("service" in config):
        faults.required(f"{path}.webhookClientConfig", "exactly one of url or service is required")
    elif "url" in config:
        _check_url(faults, config["url"], f"{path}.webhookClientConfig.url")
    else:
        _check_service(faults, config["service"], f"{path}.webhookClientConfig.service")
    _check_review_versions(faults, (webhook or {}).get("conversionReviewVersions") or [], f"{path}.conversionReviewVersions")


_URL_FORM = "; desired format: https://host[:port]/path"


def _check_url(faults: Faults, url: str, path: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        faults.required(path, f"url must be a valid URL: {error}{_URL_FORM}")
        return
    if parts.scheme != "https":
        faults.invalid(path, parts.scheme, "'https' is the only allowed URL scheme" + _URL_FORM)
    if not parts.hostname:
        faults.invalid(path, parts.netloc, "host must be specified" + _URL_FORM)
    if parts.username is not None:
        faults.invalid(path, parts.username, "user information is not permitted in the URL")
    if parts.fragment:
        faults.invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        faults.invalid(path, parts.query, "query parameters are not permitted in the URL")


def _check_service(faults: Faults, service: Object, path: str) -> None:
    for name in ("name", "namespace"):
        if not service.get(name):
            faults.required(f"{path}.{name}", f"service {name} is required")
    if not 0 < service.get("port", 443) < 1 << 16:
        faults.invalid(f"{path}.port", service["port"], "port is not valid: must be between 1 and 65535, inclusive")
    if (text := service.get("path")) is not None and not text.startswith("/"):
        faults.invalid(f"{path}.path", text, "must start with a '/'")


def _check_review_versions(faults: Faults, versions: list[str], path: str) -> None:
    if not versions:
        faults.required(path)
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            faults.invalid(f"{path}[{index}]", version, "duplicate version")
        else:
            faults.each(f"{path}[{index}]", version, names.dns_1035_label(version))
    if not any(v in _REVIEW_VERSIONS for v in versions):
        faults.invalid(path, versions, f"must include at least one of {', '.join(_REVIEW_VERSIONS)}")
