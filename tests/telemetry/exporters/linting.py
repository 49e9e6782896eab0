"""promtool as the judge of what exporters write."""

import shutil
import subprocess

import pytest

LINTED = 3


def lint(text: bytes) -> list[str]:
    """What promtool complains of, as `name complaint`. Fails when it cannot read the text; skips the test where there is no promtool."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs Debian's promtool")
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=60, check=False)
    complaints = done.stderr.decode().splitlines()
    assert done.returncode in (0, LINTED), complaints[:3]
    return complaints
