"""Certificates that are made ahead for a role."""

import subprocess
import sys

from podium.api.authority import Authority
from podium.cli import identity
from podium.telemetry.monitoring import admission

READ = """
import sys
from pathlib import Path
from podium.api.authority import Authority
from podium.cli import identity

print([[str(path) for path in files] for files in identity.issue_telemetry(Authority(Path(sys.argv[1])))])
assert not [name for name in sys.modules if name.startswith("cryptography")]
"""


def test_a_role_whose_certificates_are_there_does_not_load_what_makes_them(tmp_path):
    made = identity.issue_telemetry(Authority.load_or_create(tmp_path))
    told = subprocess.run([sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True, check=True).stdout
    assert eval(told) == [[str(path) for path in files] for files in made]


def test_the_certificate_is_for_where_webhooks_are_served():
    assert identity.TELEMETRY_HOST == admission.HOST
