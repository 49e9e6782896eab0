"""Extracts what Podium serves from the two packages that carry it.

`resources.json`: one entry per resource, from lightkube-models (names, scope, verbs, subresources).
"""

import ast
import importlib.util
import json
from pathlib import Path
from typing import Any

_VERBS = {"post": "create", "put": "update"}


def extract(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    (target / "resources.json").write_text(json.dumps(_resources(), indent=0, sort_keys=True))


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
            ((pgroup, pversion, pkind), {"name": ast.literal_eval(info["action"]), "group": group, "version": version, "kind": kind, "verbs": verbs})
        )
        return
    resources[(group, version, kind)] = {
        "group": group, "version": version, "kind": kind, "plural": plural, "namespaced": base.startswith("Namespaced"),
        "verbs": verbs, "subresources": [],
    }  # fmt: skip


if __name__ == "__main__":
    extract(Path(__file__).parent.parent / "src/podium/objects/generated")
