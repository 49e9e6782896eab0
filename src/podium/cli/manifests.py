"""`podium up --manifests DIR`: creates what the directory's YAML files say, and merges it into what is there already.

Files are taken in the order of their names, and the documents of each in order. An object that exists gets a merge patch of the whole
document: fields that the document names are set, others stay, and nothing is ever deleted. What is refused is said, and the rest goes on.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from podium.cli.cluster import Cluster
from podium.cli.progress import Progress
from podium.cli.refusal import Refusal

Object = dict[str, Any]
FILES_MAX = 1_000
Fingerprint = tuple[tuple[str, int, int], ...]


def files(directory: Path) -> list[Path]:
    found = sorted(path for path in directory.rglob("*") if path.suffix in (".yaml", ".yml", ".json") and path.is_file())
    if len(found) > FILES_MAX:
        raise Refusal(f"{directory} holds more than {FILES_MAX} manifests: give a smaller directory")
    return found


def fingerprint(directory: Path) -> Fingerprint:
    """Changes when a file does."""
    return tuple((str(path), state.st_mtime_ns, state.st_size) for path in files(directory) for state in [path.stat()])


def documents(path: Path) -> Iterator[Object]:
    """The objects of a file, Lists opened. Raises ValueError when it is not YAML or holds something else."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for value in yaml.load_all(path.read_text(), Loader=loader):
            if value is None:
                continue
            if not isinstance(value, dict) or "kind" not in value or "apiVersion" not in value:
                raise ValueError("a document without apiVersion and kind")
            yield from value.get("items") or [] if value["kind"] == "List" else [value]
    except yaml.YAMLError as error:
        raise ValueError(str(error).replace("\n", " ")) from error


def apply_directory(cluster: Cluster, directory: Path, progress: Progress) -> None:
    with progress.step(f"manifests of {directory}"):
        lines, problems = asyncio.run(_apply_all(cluster, directory))
    for line in lines:
        progress.note(f"    {line}")
    for problem in problems:
        progress.say(f"not applied: {problem}")


async def _apply_all(cluster: Cluster, directory: Path) -> tuple[list[str], list[str]]:
    from podium.client.https import Endpoint, HttpsClient
    from podium.objects.status import StatusError

    endpoint = Endpoint(cluster.api_url, cluster.pki_dir / "ca.crt", cluster.pki_dir / "admin.crt", cluster.pki_dir / "admin.key")
    client = HttpsClient(endpoint, user_agent="podium-up")
    lines, problems = [], []
    try:
        for path in files(directory):
            try:
                for value in documents(path):
                    try:
                        lines.append(await _apply(client, value))
                    except StatusError as error:
                        problems.append(f"{path}: {error.message}")
            except (ValueError, OSError) as error:
                problems.append(f"{path}: {error}")
    finally:
        await client.aclose()
    return lines, problems


async def _apply(client: Any, value: Object) -> str:
    """One object; what was done to it."""
    from podium.objects.resources import builtin
    from podium.objects.status import AlreadyExists

    resource = builtin().by_kind(value["apiVersion"], value["kind"])
    if resource is None:
        raise ValueError(f"no kind {value['kind']} in {value['apiVersion']}")
    metadata = value.get("metadata") or {}
    namespace = (metadata.get("namespace") or "default") if resource.namespaced else None
    shown = f"{resource.singular}/{metadata.get('name') or metadata.get('generateName', '')}"
    try:
        await client.create(resource, value, namespace)
    except AlreadyExists:
        before = await client.get(resource, metadata["name"], namespace)
        after = await client.patch(resource, metadata["name"], value, namespace, type="merge")
        same = before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
        return f"{shown} {'unchanged' if same else 'configured'}"
    return f"{shown} created"
