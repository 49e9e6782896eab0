"""The cluster's own certificate authority."""

import stat
import subprocess
import sys
from pathlib import Path

from podium.api.authority import Authority


def test_private_keys_are_for_the_owner_alone(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path / "pki")
    authority.issue_files("a", "someone")
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "pki").iterdir() if p.suffix == ".key"}
    assert modes == {"ca.key": 0o600, "sa.key": 0o600, "a.key": 0o600}


def test_files_are_issued_once_and_again_when_the_hosts_change(tmp_path: Path) -> None:
    authority = Authority.load_or_create(tmp_path / "pki")
    certificate, _ = authority.issue_files("server", "s", hosts=["127.0.0.1"])
    first = certificate.read_bytes()
    authority.issue_files("server", "s", hosts=["127.0.0.1"])
    assert certificate.read_bytes() == first
    authority.issue_files("server", "s", hosts=["127.0.0.1", "example.org"])
    assert certificate.read_bytes() != first


def test_processes_that_start_at_once_share_one_authority(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from podium.api.authority import Authority as A; print(A.load_or_create(Path(sys.argv[1])).ca_pem)"
    command = [sys.executable, "-c", code, str(tmp_path / "pki")]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    assert len({p.communicate()[0] for p in started}) == 1
