"""Services' names in pods' hosts files."""

import json
from pathlib import Path

from podium.network.hosts_file import MARK, HostsFiles
from podium.network.services import Forward

OWN = "127.0.0.1\tlocalhost\n127.160.0.2\tpod-a\n"


def sandbox(root: Path, name: str, namespace: str) -> Path:
    directory = root / name
    directory.mkdir(parents=True)
    (directory / "sandbox.json").write_text(json.dumps({"namespace": namespace}))
    (directory / "hosts").write_text(OWN)
    return directory / "hosts"


def forward(namespace: str, name: str, address: str) -> Forward:
    return Forward(namespace, name, "", "TCP", 80, (address,), ())


def test_services_are_added_in_place_and_follow_changes(tmp_path: Path) -> None:
    here, there = sandbox(tmp_path, "1", "shop"), sandbox(tmp_path, "2", "other")
    inode = here.stat().st_ino
    files = HostsFiles(tmp_path, "cluster.local")
    files.update([], [forward("shop", "auth", "127.96.0.20"), forward("shop", "pay", "127.96.0.21")])
    files.update([], [forward("shop", "auth", "127.96.0.20")])
    line = "auth.shop\tauth.shop.svc\tauth.shop.svc.cluster.local\n"
    assert here.read_text() == f"{OWN}{MARK}\n127.96.0.20\tauth\t{line}"
    assert there.read_text() == f"{OWN}{MARK}\n127.96.0.20\t{line}"
    assert here.stat().st_ino == inode


def test_new_pod_gets_them_too_and_broken_sandboxes_are_passed_over(tmp_path: Path) -> None:
    files = HostsFiles(tmp_path, "cluster.local")
    files.update([], [forward("shop", "auth", "127.96.0.20")])
    (tmp_path / "0").mkdir()
    hosts = sandbox(tmp_path, "1", "shop")
    files.write_all()
    assert "auth.shop" in hosts.read_text()
