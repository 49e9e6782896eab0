"""Extracts the field numbers of the Kubernetes protobuf messages into src/podium/objects/protobuf_fields.txt.

    python tools/extract_protobuf.py MODULES

No Python package carries them, so this runs by hand, once for each minor version, and its result is committed: facts only (numbers, names,
and which zero values mean "absent"). MODULES is the folder the Go client downloaded to (`go mod download k8s.io/api@v0.37.0`, and the same
for apimachinery, apiextensions-apiserver, kube-aggregator): `$(go env GOMODCACHE)/k8s.io`.

One line a message: its OpenAPI name, a tab, its fields as NUMBER:NAME, with `?` when the zero value is left out of the JSON, or NUMBER>NAME
for a message whose fields are the enclosing object's own (a Volume's source). Types are not here: the schemas have them.
"""

import re
import sys
from pathlib import Path

VERSION = "v0.37.0"
TARGET = Path(__file__).parent.parent / "src/podium/objects/protobuf_fields.txt"
SCHEMAS = TARGET.parent / "generated/schemas.lines"

_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.M | re.S)
_FIELD = re.compile(r"^\t(?:(\w+)\s+)?(\S+)\s+`([^`]*)`", re.M)
_TAG = re.compile(r'(\w+):"([^"]*)"')
_SCALARS = re.compile(r"(string|bool|u?int\d*|float\d+|byte)")


def packages(modules: Path) -> dict[str, list[Path]]:
    """OpenAPI prefix -> the Go files of the package."""
    found = {"io.k8s.apimachinery.pkg.apis.meta.v1": modules / f"apimachinery@{VERSION}/pkg/apis/meta/v1",
             "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1": modules / f"apiextensions-apiserver@{VERSION}/pkg/apis/apiextensions/v1",
             "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1": modules / f"kube-aggregator@{VERSION}/pkg/apis/apiregistration/v1"}  # fmt: skip
    for folder in sorted((modules / f"api@{VERSION}").glob("*/v[0-9]*")):
        found[f"io.k8s.api.{folder.parent.name}.{folder.name}"] = folder
    return {prefix: [*sorted(folder.glob("*types*.go")), *folder.glob("group_version.go")] for prefix, folder in found.items()}


def scalars(source: str) -> set[str]:
    """Named types that are scalars: `type PodPhase string`."""
    return {m[1] for m in re.finditer(r"^type (\w+) (string|bool|u?int\d*|float\d+)$", source, re.M)}


def messages(prefix: str, source: str, named: set[str]) -> dict[str, str]:
    found = {}
    for struct in _STRUCT.finditer(source):
        entries = []
        for name, kind, tag_text in _FIELD.findall(struct[2]):
            tags = dict(_TAG.findall(tag_text))
            parts = tags.get("protobuf", "").split(",")
            if len(parts) < 2 or not parts[1].isdigit():
                continue
            json_name, *options = tags.get("json", "").split(",")
            if not json_name and not name:
                entries.append((int(parts[1]), f">{kind.lstrip('*').rpartition('.')[2]}"))
                continue
            scalar = _SCALARS.fullmatch(kind) or kind in named or kind.rpartition(".")[2] in named
            absent = "?" if scalar and "omitempty" in options else ""
            entries.append((int(parts[1]), f":{json_name or name}{absent}"))
        if entries:
            found[f"{prefix}.{struct[1]}"] = " ".join(f"{number}{text}" for number, text in sorted(entries))
    return found


def wanted(found: dict[str, str]) -> list[str]:
    """The messages of the extracted schemas, and those laid into them."""
    names = [line.split("\t")[0] for line in SCHEMAS.read_text().splitlines()]
    waiting = [name for name in names if name in found]
    kept: dict[str, None] = {}
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept[name] = None
            waiting += [f"{name.rpartition('.')[0]}.{inner}" for inner in re.findall(r">(\w+)", found[name])]
    return sorted(kept)


def main(modules: Path) -> None:
    sources = {prefix: "\n".join(p.read_text() for p in paths) for prefix, paths in packages(modules).items()}
    named = {"UID", "NodeName"}
    for source in sources.values():
        named |= scalars(source)
    found: dict[str, str] = {}
    for prefix, source in sources.items():
        found |= messages(prefix, source, named)
    TARGET.write_text("".join(f"{name}\t{found[name]}\n" for name in wanted(found)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
