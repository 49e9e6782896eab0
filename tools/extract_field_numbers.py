"""Writes src/podium/objects/field_numbers.txt: the protobuf field numbers of the served kinds, as facts.

    extract_field_numbers.py DIR...     (source trees of the Go modules k8s.io/api, apimachinery, apiextensions-apiserver, kube-aggregator)

The tags of the Go types say everything: `json:"replicas,omitempty" protobuf:"varint,1,opt,name=replicas"`. Types come from the schemas; a
line here is a definition and its fields as NAME=NUMBER, with `*` for a pointer (a zero is meant) and `NUMBER>DEFINITION` for an inlined struct.
Run by hand when the served version changes; the result is committed.
"""

import re
import sys
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src/podium/objects/field_numbers.txt"
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^\s+(?:(\w+)\s+)?(\*?)([\w.\[\]*]+)\s+`(.*)`", re.MULTILINE)
VERSION = re.compile(r"^v\d+$")
META = "io.k8s.apimachinery.pkg.apis.meta.v1"


def definition_prefix(directory: Path) -> str:
    """`.../api@v0.37.0/core/v1` -> `io.k8s.api.core.v1`."""
    text = str(directory)
    if "apimachinery" in text:
        return META if text.endswith("meta/v1") else ""
    for module, prefix in (
        ("apiextensions-apiserver", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions"),
        ("kube-aggregator", "io.k8s.kube-aggregator.pkg.apis.apiregistration"),
    ):
        if module in text:
            return f"{prefix}.{directory.name}"
    return f"io.k8s.api.{directory.parent.name}.{directory.name}"


def main() -> None:
    lines = []
    for root in sys.argv[1:]:
        for directory in sorted({p.parent for p in Path(root).rglob("*types.go")}):
            prefix = definition_prefix(directory)
            if not VERSION.match(directory.name) or not prefix or "testapigroup" in str(directory) or "/vendor/" in str(directory):
                continue
            for path in sorted(directory.glob("*types.go")):
                lines += structs(path.read_text(), prefix)
    TARGET.write_text("\n".join(sorted(set(lines))) + "\n")
    print(f"{len(lines)} definitions, {TARGET.stat().st_size} bytes")


def structs(text: str, prefix: str) -> list[str]:
    found = []
    for name, body in STRUCT.findall(text):
        fields = []
        for _, pointer, kind, tag in FIELD.findall(body):
            protobuf = re.search(r'protobuf:"\w+,(\d+)', tag)
            json = re.search(r'json:"([^"]*)"', tag)
            if not protobuf or not json:
                continue
            wire_name = json.group(1).partition(",")[0]
            if wire_name:
                fields.append(f"{wire_name}={protobuf.group(1)}{pointer}")
            else:
                package, _, type_name = kind.rpartition(".")
                home = {"metav1": META, "v1": "io.k8s.api.core.v1", "corev1": "io.k8s.api.core.v1"}.get(package, prefix)
                fields.append(f"{protobuf.group(1)}>{home}.{type_name}")
        if fields:
            found.append(f"{prefix}.{name} " + " ".join(fields))
    return found


if __name__ == "__main__":
    main()
