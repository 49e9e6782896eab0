"""ARCHITECTURE.md speaks of things that exist."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
NAMES = sorted(set(re.findall(r"`(podium(?:\.\w+)+)`", TEXT)))
PATHS = sorted(
    set(re.findall(r"`((?:tools|tests|docs|src|bench|examples)/[\w./-]+)`", TEXT)) | set(re.findall(r"\]\((docs/[\w./-]+)\)", TEXT))
)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_the_architecture_exists(name: str) -> None:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            found = getattr(found, attribute)
        return
    pytest.fail(f"no module of {name}")


@pytest.mark.parametrize("path", PATHS)
def test_a_path_in_the_architecture_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_package_is_described() -> None:
    packages = sorted(p.name for p in (ROOT / "src/podium").iterdir() if (p / "__init__.py").exists())
    assert [p for p in packages if f"### `podium.{p}`" not in TEXT] == []
