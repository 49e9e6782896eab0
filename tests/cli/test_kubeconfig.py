"""The user's kubeconfig: what was there stays, what `up` adds `down` takes away."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from podium.cli import kubeconfig
from podium.cli.cluster import write_atomically
from podium.cli.refusal import Refusal
from tests.cli.clusters import make_cluster

NAMES = st.text("abc-", min_size=1, max_size=4)
EXTRA = st.dictionaries(st.sampled_from(["server", "token", "namespace", "colour"]), st.text("xyz", max_size=3), max_size=3)


def entries(kind: str) -> st.SearchStrategy[list[dict[str, Any]]]:
    entry = st.builds(lambda name, value: {"name": name, kind: value}, NAMES, EXTRA)
    return st.lists(entry, max_size=4, unique_by=lambda e: e["name"])


CONFIGS = st.fixed_dictionaries(
    {"apiVersion": st.just("v1"), "kind": st.just("Config")},
    optional={
        "clusters": entries("cluster"),
        "users": entries("user"),
        "contexts": entries("context"),
        "current-context": NAMES,
        "preferences": EXTRA,
    },
)
OURS = kubeconfig.build("podium", "https://127.0.0.1:6443", b"ca", b"certificate", b"key", Path("/data"))


def named(config: dict[str, Any], section: str) -> dict[str, Any]:
    return {e["name"]: e for e in config.get(section) or []}


@given(CONFIGS)
def test_merge_keeps_every_other_entry_and_field(existing: dict[str, Any]) -> None:
    merged = kubeconfig.merge(existing, OURS)
    for section in ("clusters", "users", "contexts"):
        assert named(merged, section) == {**named(existing, section), **named(OURS, section)}
    assert merged["current-context"] == "podium"
    assert merged.get("preferences") == existing.get("preferences")
    assert kubeconfig.merge(merged, OURS) == merged


@given(CONFIGS)
def test_without_undoes_merge(existing: dict[str, Any]) -> None:
    back = kubeconfig.without(kubeconfig.merge(existing, OURS), "podium", existing.get("current-context", ""))
    for section in ("clusters", "users", "contexts"):
        assert named(back, section) == named(existing, section)
    if existing.get("current-context") in named(existing, "contexts"):
        assert back["current-context"] == existing["current-context"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A cluster with its own kubeconfig written, and KUBECONFIG set to a file that is not there."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    return started(tmp_path / "one", "abc123")


def started(data_dir: Path, cluster_id: str) -> Any:
    cluster = make_cluster(data_dir, cluster_id=cluster_id)
    config = kubeconfig.build("podium", cluster.api_url, b"ca", b"certificate", b"key", data_dir)
    write_atomically(cluster.kubeconfig_path, yaml.safe_dump(config))
    return cluster


def test_file_that_up_made_is_private_and_goes_with_down(own: Any, tmp_path: Path) -> None:
    name, path = kubeconfig.install(own)
    assert (name, path) == ("podium", tmp_path / "config")
    assert path.stat().st_mode & 0o777 == 0o600
    kubeconfig.remove(own)
    assert not path.exists()
    assert not list(tmp_path.glob("config*"))


def test_existing_file_comes_back_as_it_was(own: Any, tmp_path: Path) -> None:
    before = {"apiVersion": "v1", "kind": "Config", "contexts": [{"name": "work", "context": {}}], "current-context": "work", "x": 1}
    (tmp_path / "config").write_text(yaml.safe_dump(before))
    kubeconfig.install(own)
    kubeconfig.install(own)
    kubeconfig.remove(own)
    after = yaml.safe_load((tmp_path / "config").read_text())
    assert {k: v for k, v in after.items() if v} == before


def test_name_of_a_living_cluster_is_not_taken(own: Any, tmp_path: Path) -> None:
    other = started(tmp_path / "two", "def456")
    assert kubeconfig.install(own)[0] == "podium"
    assert kubeconfig.install(other)[0] == "podium-def456"
    own.path.unlink()
    assert kubeconfig.install(other)[0] == "podium"


def test_entry_of_someone_else_named_podium_is_kept(own: Any, tmp_path: Path) -> None:
    theirs = {"clusters": [{"name": "podium", "cluster": {"server": "https://theirs"}}], "users": [], "contexts": []}
    (tmp_path / "config").write_text(yaml.safe_dump(theirs))
    assert kubeconfig.install(own)[0] == "podium-abc123"
    kubeconfig.remove(own)
    assert named(yaml.safe_load((tmp_path / "config").read_text()), "clusters") == named(theirs, "clusters")


@pytest.mark.parametrize("text", ["- a list", "clusters: 3", "a: [", "users: [{noname: 1}]"])
def test_file_that_is_no_kubeconfig_is_refused_and_left(own: Any, tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(Refusal):
        kubeconfig.install(own)
    assert (tmp_path / "config").read_text() == text


def test_first_writable_file_of_the_list_is_used(own: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", f"/proc/nowhere/config:{tmp_path / 'second'}")
    if kubeconfig.target() != tmp_path / "second":
        pytest.skip("root may write everywhere")
    assert kubeconfig.install(own)[1] == tmp_path / "second"


def test_link_stays_a_link(own: Any, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    (tmp_path / "config").symlink_to(tmp_path / "real")
    kubeconfig.install(own)
    assert (tmp_path / "config").is_symlink()
    assert named(yaml.safe_load((tmp_path / "real").read_text()), "contexts").keys() == {"podium"}
