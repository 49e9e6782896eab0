"""docs/conformance.md is what the marks say, and every mark names a behaviour."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import conformance  # noqa: E402 -- a script, not a package


def test_the_table_is_not_stale() -> None:
    done = subprocess.run([sys.executable, "tools/conformance.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_name_that_no_behaviour_has_is_refused() -> None:
    with pytest.raises(SystemExit, match="no such behaviour"):
        conformance.table({"a": ["one"]}, {"two": ["tests/test_x.py::test_x"]})


SOURCE = """
import pytest
shows = pytest.mark.conformance
ROWS = [pytest.param(1, id="a", marks=shows("one [Conformance]")), pytest.param(2, id="b")]
@pytest.mark.parametrize("row", ROWS)
def test_rows(row): ...
SUITE = "th"
@pytest.mark.conformance("two", SUITE + "ree")
async def test_plain(): ...
"""


def test_marks_are_found_on_functions_and_in_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "ROOT", tmp_path)
    (tmp_path / "test_x.py").write_text(SOURCE)
    assert conformance.collect(tmp_path) == {
        "one": ["test_x.py::test_rows[a]"], "two": ["test_x.py::test_plain"], "three": ["test_x.py::test_plain"],
    }  # fmt: skip
