"""Extracts what Podium serves from the two packages that carry it.

`resources.json`: one entry per resource, from lightkube-models (names, scope, verbs, subresources).
`schemas.lines`, `descriptions.lines.xz`: the OpenAPI v2 definitions that the served kinds reach, from kubernetes-validate, with that
package's changes undone (null added to types, `oneOf` for the string-or-number scalars, `enum` on apiVersion and kind, absolute
references). One definition a line, name TAB JSON, so that a reader decodes only those it needs; the texts apart, since only `explain`
and the OpenAPI documents want them: definition name TAB {"": its own text, field: the field's text}.
"""

import ast
import importlib.util
import json
import lzma
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

KUBERNETES = "1.37"

_VERBS = {"post": "create", "put": "update"}

_STABLE = re.compile(r"v\d+")

_SCALARS = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "string", "format": "int-or-string"},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string"},
}
"""What upstream publishes where the package has a `oneOf`."""

_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_ALWAYS = [
    *(_META + name for name in ("Status", "DeleteOptions", "WatchEvent", "Patch", "LabelSelector")),
    *(_META + name for name in ("APIGroup", "APIGroupList", "APIResourceList", "APIVersions")),
    "io.k8s.apimachinery.pkg.version.Info",
    "io.k8s.api.autoscaling.v1.Scale",
]
"""Definitions no resource reaches, but the OpenAPI documents and subresources do."""


def extract(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    resources = _resources()
    (target / "resources.json").write_text(json.dumps(resources, indent=0, sort_keys=True))
    schemas, descriptions = _split(_definitions(resources))
    (target / "schemas.lines").write_bytes(_lines(schemas))
    (target / "descriptions.lines.xz").write_bytes(lzma.compress(_lines(descriptions), preset=9))


def _lines(definitions: dict[str, Any]) -> bytes:
    return "".join(f"{n}\t{json.dumps(d, separators=(',', ':'), ensure_ascii=False)}\n" for n, d in sorted(definitions.items())).encode()


def _definitions(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """The definitions that the stable kinds among `resources` reach, as upstream publishes them."""
    path = _package_dir("kubernetes_validate") / "kubernetes-json-schema" / f"v{KUBERNETES}.0-local" / "_definitions.json"
    every = json.loads(path.read_text())["$defs"]
    wanted = set()
    for row in resources:
        if _STABLE.fullmatch(row["version"]):
            wanted |= {(row["group"], row["version"], row["kind"]), (row["group"], row["version"], row["kind"] + "List")}
            wanted |= {(sub["group"], sub["version"], sub["kind"]) for sub in row["subresources"]}
    roots = [n for n, d in every.items() if any((g["group"], g["version"], g["kind"]) in wanted for g in _kinds(d))]
    restored = {name: _SCALARS.get(name) or _restore(every[name]) for name in _reachable(every, [*roots, *_ALWAYS])}
    for name, definition in restored.items():
        if name in _SCALARS and "description" in every[name]:
            restored[name] = {**definition, "description": every[name]["description"]}
    return restored


def _kinds(definition: dict[str, Any]) -> list[dict[str, str]]:
    return definition.get("x-kubernetes-group-version-kind", [])  # type: ignore[no-any-return]


def _reachable(definitions: dict[str, Any], roots: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += re.findall(r'"#/\$defs/([^"]+)"', json.dumps(definitions[name]))
    return sorted(seen)


def _restore(schema: Any) -> Any:
    """`schema` without the package's changes."""
    if not isinstance(schema, dict):
        return schema
    restored: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, list):
            (restored[key],) = [t for t in value if t != "null"]
        elif key == "$ref":
            restored[key] = "#/definitions/" + value.rpartition("/")[2]
        elif key == "properties":
            restored[key] = {name: _restore(field) for name, field in value.items()}
            for name in ("apiVersion", "kind"):
                restored[key].get(name, {}).pop("enum", None)
        else:
            restored[key] = _restore(value)
    return restored


def _split(definitions: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(structure, texts)."""
    schemas, descriptions = {}, {}
    for name, definition in definitions.items():
        texts = {"": definition.get("description", "")}
        schema = {key: value for key, value in definition.items() if key != "description"}
        if "properties" in schema:
            texts |= {field: node.get("description", "") for field, node in schema["properties"].items()}
            schema["properties"] = {
                field: {k: v for k, v in node.items() if k != "description"} for field, node in schema["properties"].items()
            }
        schemas[name] = schema
        descriptions[name] = {field: text for field, text in texts.items() if text}
    return schemas, descriptions


def _package_dir(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None and spec.submodule_search_locations, f"{name} is not installed"
    return Path(next(iter(spec.submodule_search_locations)))


def _resources() -> list[dict[str, Any]]:
    resources: dict[tuple[str, str, str], dict[str, Any]] = {}
    subresources: list[tuple[tuple[str, str, str], dict[str, Any]]] = []
    for path in sorted(_package_dir("lightkube.resources").glob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                _read_class(node, resources, subresources)
    for key, sub in subresources:
        resources[key]["subresources"].append(sub)
    return [resources[key] for key in sorted(resources)]


def _read_class(node: ast.ClassDef, resources: dict[Any, dict[str, Any]], subresources: list[Any]) -> None:
    base = node.bases[0].attr if node.bases and isinstance(node.bases[0], ast.Attribute) else ""
    call = next((s.value for s in node.body if isinstance(s, ast.Assign) and getattr(s.targets[0], "id", "") == "_api_info"), None)
    if not isinstance(call, ast.Call):
        return
    info = {k.arg: k.value for k in call.keywords}
    group, version, kind = (ast.literal_eval(a) for a in info["resource"].args)  # type: ignore[attr-defined]
    plural = ast.literal_eval(info["plural"])
    verbs = sorted({_VERBS.get(v, v) for v in ast.literal_eval(info["verbs"]) if not v.startswith("global_")})
    if "action" in info:
        parent = info.get("parent", info["resource"])
        pgroup, pversion, pkind = (ast.literal_eval(a) for a in parent.args)  # type: ignore[attr-defined]
        subresources.append(
            (
                (pgroup, pversion, pkind),
                {"name": ast.literal_eval(info["action"]), "group": group, "version": version, "kind": kind, "verbs": verbs},
            )
        )
        return
    resources[(group, version, kind)] = {
        "group": group, "version": version, "kind": kind, "plural": plural, "namespaced": base.startswith("Namespaced"),
        "verbs": verbs, "subresources": [],
    }  # fmt: skip


if __name__ == "__main__":
    extract(Path(__file__).parent.parent / "src/podium/objects/generated")
