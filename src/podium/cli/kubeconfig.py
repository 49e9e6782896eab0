"""The kubeconfig of a cluster, and its place in the user's own.

D/kubeconfig is whole by itself: server, authority, admin certificate embedded. `up` merges its cluster, user and context into the user's
kubeconfig ($KUBECONFIG's first writable file, else ~/.kube/config) and makes it current; `down` takes out exactly what `up` put in.

Invariants: entries of other names, and unknown fields anywhere, stay as they were; the file is replaced atomically under kubectl's own
lock (PATH.lock) and is 0600; a file that is not a kubeconfig is refused, not replaced. Comments are not kept.
The name is `podium`, or `podium-ID` when another cluster that still exists (its authority is not ours) holds that name.
Source: k8s.io/client-go tools/clientcmd (api/v1 types, loader precedence, lock file).
"""

import base64
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from podium.cli.cluster import Cluster, home, write_atomically
from podium.cli.refusal import Refusal

Config = dict[str, Any]
NAME = "podium"
LOCK_PATIENCE_S = 2.0
_SECTIONS = ("clusters", "users", "contexts")
_ENTRY = {"clusters": "cluster", "users": "user", "contexts": "context"}


def build(name: str, server: str, ca: bytes, certificate: bytes, key: bytes, data_dir: Path) -> Config:
    """A whole kubeconfig. The extension says whose entry it is, so that another data directory's is told apart."""
    extension = [{"name": "podium.dev", "extension": {"dataDir": str(data_dir)}}]
    text = {part: base64.b64encode(data).decode() for part, data in (("ca", ca), ("certificate", certificate), ("key", key))}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": text["ca"], "extensions": extension}}],
        "users": [{"name": name, "user": {"client-certificate-data": text["certificate"], "client-key-data": text["key"]}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def merge(existing: Config, added: Config) -> Config:
    """`existing` with the entries of `added`, replacing those of the same name where they stand; `added`'s context is current."""
    merged = dict(existing)
    merged.setdefault("apiVersion", "v1")
    merged.setdefault("kind", "Config")
    for section in _SECTIONS:
        entries = list(merged.get(section) or [])
        for entry in added[section]:
            at = next((i for i, e in enumerate(entries) if e["name"] == entry["name"]), None)
            if at is None:
                entries.append(entry)
            else:
                entries[at] = entry
        merged[section] = entries
    merged["current-context"] = added["current-context"]
    return merged


def without(existing: Config, name: str, previous_context: str = "") -> Config:
    """`existing` less the three entries of that name; if its context was current, `previous_context` is again, if it is still there."""
    reduced = dict(existing)
    for section in _SECTIONS:
        if section in reduced:
            reduced[section] = [e for e in reduced[section] or [] if e["name"] != name]
    if reduced.get("current-context") == name:
        contexts = {e["name"] for e in reduced.get("contexts") or []}
        reduced["current-context"] = previous_context if previous_context in contexts else ""
    return reduced


def owner(existing: Config, name: str) -> str | None:
    """The data directory that put the cluster of that name there; "" when someone else did; None when there is none."""
    for section in _SECTIONS:
        for entry in existing.get(section) or []:
            if entry["name"] == name:
                return _data_dir(existing, name)
    return None


def _data_dir(existing: Config, name: str) -> str:
    for entry in existing.get("clusters") or []:
        if entry["name"] == name:
            for extension in (entry.get("cluster") or {}).get("extensions") or []:
                if extension.get("name") == "podium.dev":
                    return str(extension["extension"]["dataDir"])
    return ""


def choose_name(existing: Config, cluster: Cluster) -> str:
    held_by = owner(existing, NAME)
    if held_by is None or held_by == str(cluster.data_dir):
        return NAME
    gone = bool(held_by) and not (Path(held_by) / "cluster.json").exists()
    return NAME if gone else f"{NAME}-{cluster.cluster_id}"


def target() -> Path:
    """The user's kubeconfig: the first file of $KUBECONFIG that can be written, else ~/.kube/config. A link is followed: it stays a link."""
    listed = [Path(p).expanduser() for p in os.environ.get("KUBECONFIG", "").split(os.pathsep) if p]
    for path in listed:
        if _can_be_written(path.resolve()):
            return path.resolve()
    if listed:
        raise Refusal(f"no file of KUBECONFIG={os.environ['KUBECONFIG']} can be written: correct KUBECONFIG, or unset it")
    return (home() / ".kube" / "config").resolve()


def _can_be_written(path: Path) -> bool:
    """The file is replaced, so its directory counts as well; directories that are missing are made."""
    directory = next(p for p in path.parents if p.exists())
    return directory.is_dir() and os.access(directory, os.W_OK) and (not path.exists() or (path.is_file() and os.access(path, os.W_OK)))


def check() -> None:
    """That `install` will succeed. Raises Refusal with what is wrong: before a cluster is started rather than after."""
    path = target()
    with _locked(path):
        _load(path)


def write_own(cluster: Cluster) -> None:
    """D/kubeconfig, from the cluster's authority; does nothing when it is there and fits."""
    from podium.cli import identity

    authority = identity.authority(cluster)
    common_name, organizations = identity.ADMIN
    certificate, key = authority.issue_files("admin", common_name, organizations)
    config = build(NAME, cluster.api_url, authority.ca_pem, certificate.read_bytes(), key.read_bytes(), cluster.data_dir)
    text = _dump(config)
    with contextlib.suppress(FileNotFoundError):
        if cluster.kubeconfig_path.read_text() == text:
            return
    write_atomically(cluster.kubeconfig_path, text)


def install(cluster: Cluster) -> tuple[str, Path]:
    """Merges D/kubeconfig into the user's; returns the context's name and the file."""
    path = target()
    with _locked(path):
        existing = _load(path)
        name = choose_name(existing, cluster)
        _remember(cluster, path, name, str(existing.get("current-context") or ""))
        own = _load(cluster.kubeconfig_path)
        merged = merge(existing, _renamed(own, name))
        if merged != existing:
            write_atomically(path, _dump(merged))
    return name, path


def remove(cluster: Cluster) -> None:
    """Undoes `install`: in the files it was done to. Entries that are another's by now stay; a file that `up` made and that is empty goes."""
    import json

    note = cluster.data_dir / "kubeconfig.installed"
    try:
        installed: dict[str, Any] = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):
        return
    for place, was in sorted(installed.items()):
        path = Path(place)
        with contextlib.suppress(FileNotFoundError, Refusal), _locked(path):
            existing = _load(path)
            if owner(existing, was["name"]) != str(cluster.data_dir):
                continue
            reduced = without(existing, was["name"], was["previous"])
            if was["made"] and not any(reduced.get(section) for section in _SECTIONS):
                path.unlink()
            else:
                write_atomically(path, _dump(reduced))
    note.unlink(missing_ok=True)


def _remember(cluster: Cluster, path: Path, name: str, previous: str) -> None:
    import json

    note = cluster.data_dir / "kubeconfig.installed"
    try:
        installed = json.loads(note.read_text())
    except (FileNotFoundError, ValueError):
        installed = {}
    before = installed.get(str(path), {})
    if previous == name:
        previous = before.get("previous", "")
    installed[str(path)] = {"name": name, "previous": previous, "made": before.get("made", not path.exists())}
    write_atomically(note, json.dumps(installed, indent=2) + "\n")


def _renamed(config: Config, name: str) -> Config:
    return {
        **config,
        **{section: [{**entry, "name": name} for entry in config[section]] for section in ("clusters", "users")},
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def _load(path: Path) -> Config:
    import yaml

    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"kubeconfig {path} cannot be read ({error}): correct it, or set KUBECONFIG to another file") from None
    try:
        loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        value = yaml.load(text, Loader=loader)
    except yaml.YAMLError:
        raise Refusal(f"kubeconfig {path} is not valid YAML: correct it, or set KUBECONFIG to another file") from None
    if value is None:
        return {}
    if not _is_config(value):
        raise Refusal(f"{path} is not a kubeconfig: correct it, or set KUBECONFIG to another file")
    return dict(value)


def _is_config(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    for section in _SECTIONS:
        entries = value.get(section) or []
        if not isinstance(entries, list) or not all(isinstance(e, dict) and isinstance(e.get("name"), str) for e in entries):
            return False
    return True


def _dump(config: Config) -> str:
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(config, Dumper=dumper, sort_keys=False, default_flow_style=False, width=1 << 20))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """kubectl's lock: PATH.lock, made exclusively. One that a killed process left is taken over after the patience.
    Raises Refusal when the file cannot be written."""
    lock = path.with_name(path.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
        _take(lock)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
    except OSError as error:
        where = f" ({error.filename})" if error.filename not in (None, str(path)) else ""
        raise Refusal(
            f"kubeconfig {path} cannot be written: {error.strerror}{where}: make room for it, or set KUBECONFIG to another file"
        ) from None


def _take(lock: Path) -> None:
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
            return
        except FileExistsError:
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
