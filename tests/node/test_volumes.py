import base64
import os
import stat
from pathlib import Path

import pytest

from podium.node import atomic_files
from podium.node.atomic_files import BadPath, File
from podium.node.preparation import PreparationFailure
from podium.node.sources import Sources
from podium.node.volumes import VolumeProblem, Volumes, check_host_path, sub_path
from podium.objects.values import Object
from podium.world.real import RealWorld
from tests.fakes.fake_client import FakeClient
from tests.node.scene import container, pod


class Shelf:
    """Volumes of one pod in a temporary directory, with the fake client behind."""

    def __init__(self, directory: Path) -> None:
        self.world = RealWorld()
        self.client = FakeClient(self.world)
        self.sources = Sources(self.client, self.world, fresh_s=-1.0)
        self.volumes = Volumes(directory, self.sources, self.world, "192.168.0.5", {"cpu": "4"})
        self.directory = directory

    def put(self, kind: str, name: str, **fields: object) -> None:
        self.client.put({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, **fields})

    def pod(self, **volume: object) -> Object:
        value = pod(volumes=[{"name": "v", **volume}], containers=[container(resources={"limits": {"cpu": "2"}})])
        value["metadata"] |= {"uid": "u", "labels": {"b": "2", "a": 'one "1"'}}
        return value

    @property
    def path(self) -> Path:
        return self.directory / "u" / "volumes" / "v"

    def files(self) -> dict[str, str]:
        return {e.name: e.read_text() for e in sorted(self.path.iterdir()) if not e.name.startswith("..") and e.is_file()}

    async def show(self, **volume: object) -> dict[str, str]:
        await self.volumes.set_up(self.pod(**volume))
        return self.files()


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_a_config_map_with_all_keys_or_items(shelf: Shelf) -> None:
    shelf.put("ConfigMap", "cm", data={"a": "1", "b": "2"}, binaryData={"bin": encoded("xyz")})
    assert await shelf.show(configMap={"name": "cm"}) == {"a": "1", "b": "2", "bin": "xyz"}
    items = [{"key": "a", "path": "deep/one"}]
    await shelf.volumes.set_up(shelf.pod(configMap={"name": "cm", "items": items}))
    assert (shelf.path / "deep" / "one").read_text() == "1" and not (shelf.path / "b").exists()


async def test_modes(shelf: Shelf) -> None:
    shelf.put("Secret", "s", data={"a": encoded("1"), "b": encoded("2")})
    items = [{"key": "a", "path": "a"}, {"key": "b", "path": "b", "mode": 0o400}]
    await shelf.volumes.set_up(shelf.pod(secret={"secretName": "s", "defaultMode": 0o600, "items": items}))
    assert [stat.S_IMODE((shelf.path / n).stat().st_mode) for n in "ab"] == [0o600, 0o400]


async def test_an_update_replaces_all_files_at_once_and_an_equal_one_nothing(shelf: Shelf) -> None:
    shelf.put("ConfigMap", "cm", data={"a": "1", "old": "x"})
    value = shelf.pod(configMap={"name": "cm"})
    await shelf.volumes.set_up(value)
    first = os.readlink(shelf.path / "..data")
    await shelf.volumes.refresh(value)
    assert os.readlink(shelf.path / "..data") == first
    shelf.put("ConfigMap", "cm", data={"a": "2", "new": "y"})
    await shelf.volumes.refresh(value)
    assert shelf.files() == {"a": "2", "new": "y"}
    assert os.readlink(shelf.path / "..data") != first and not (shelf.path / first).exists()
    assert os.readlink(shelf.path / "a") == "..data/a"


async def test_downward_api(shelf: Shelf) -> None:
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "app", "resource": "limits.cpu", "divisor": "1m"}},
    ]
    assert await shelf.show(downwardAPI={"items": items}) == {"labels": 'a="one \\"1\\""\nb="2"', "cpu": "2000"}


async def test_projected_parts_come_together_with_a_token_that_is_renewed_in_time(shelf: Shelf) -> None:
    shelf.put("ConfigMap", "kube-root-ca.crt", data={"ca.crt": "CA"})
    issued: list[Object] = []

    async def create(resource: object, value: Object, namespace: str, *, subresource: str, name: str) -> Object:
        issued.append(value)
        return {"status": {"token": f"token-{len(issued)}"}}

    shelf.client.create = create  # type: ignore[method-assign,assignment]
    source = {
        "sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ]
    }
    value = shelf.pod(projected=source)
    await shelf.volumes.set_up(value)
    assert shelf.files() == {"ca.crt": "CA", "namespace": "default", "token": "token-1"}
    assert issued[0]["spec"]["boundObjectRef"]["uid"] == "u" and issued[0]["spec"]["expirationSeconds"] == 3607
    await shelf.volumes.refresh(value)
    assert len(issued) == 1
    state = shelf.volumes._pods["u"]
    state.tokens = {key: type(token)(token.value, 0.0) for key, token in state.tokens.items()}
    await shelf.volumes.refresh(value)
    assert shelf.files()["token"] == "token-2"


MISSING = [
    ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
    ({"secret": {"secretName": "none"}}, 'secret "none" not found'),
    ({"configMap": {"name": "cm", "items": [{"key": "x", "path": "x"}]}}, "references non-existent config key: x"),
    ({"configMap": {"name": "cm", "items": [{"key": "a", "path": "../x"}]}}, "invalid path: '../x' must be relative"),
    ({"persistentVolumeClaim": {"claimName": "c"}}, "Podium does not support volumes of kind persistentVolumeClaim yet"),
    ({"emptyDir": {"medium": "HugePages"}}, "Podium does not support emptyDir medium HugePages yet"),
    ({"hostPath": {"path": "/none", "type": "Directory"}}, "hostPath type check failed: /none is not a directory"),
]


@pytest.mark.parametrize(("volume", "message"), MISSING, ids=[m for _, m in MISSING])
async def test_a_volume_that_cannot_be_set_up_is_named(shelf: Shelf, volume: Object, message: str) -> None:
    shelf.put("ConfigMap", "cm", data={"a": "1"})
    with pytest.raises(PreparationFailure) as caught:
        await shelf.show(**volume)
    assert caught.value.reason == "FailedMount"
    assert caught.value.message.startswith(f'MountVolume.SetUp failed for volume "v" : {message}')


async def test_optional_ones_are_empty(shelf: Shelf) -> None:
    assert await shelf.show(configMap={"name": "none", "optional": True}) == {}


async def test_an_empty_dir_is_writable_by_all_and_measured(shelf: Shelf) -> None:
    value = shelf.pod(emptyDir={"sizeLimit": "1Ki"})
    await shelf.volumes.set_up(value)
    assert stat.S_IMODE(shelf.path.stat().st_mode) == 0o777
    assert shelf.volumes.over_limit(value) == ""
    (shelf.path / "big").write_bytes(b"x" * 2000)
    assert shelf.volumes.over_limit(value) == '"v" exceeds the limit "1Ki"'


def test_host_path_types(tmp_path: Path) -> None:
    check_host_path(tmp_path / "made", "DirectoryOrCreate")
    check_host_path(tmp_path / "file", "FileOrCreate")
    assert (tmp_path / "made").is_dir() and (tmp_path / "file").is_file()
    check_host_path(tmp_path / "none", "")
    with pytest.raises(VolumeProblem, match="is not a socket file"):
        check_host_path(tmp_path / "file", "Socket")


def test_a_sub_path_may_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "out").symlink_to("/etc")
    assert sub_path(tmp_path / "v", "a/b").is_dir()
    for bad in ("out", "out/passwd", "../x", "/etc"):
        with pytest.raises(BadPath):
            sub_path(tmp_path / "v", bad)


def test_a_crash_between_the_steps_of_an_update_is_healed(tmp_path: Path) -> None:
    atomic_files.write(tmp_path / "v", {"a": File(b"1", 0o644)}, "2026_01")
    (tmp_path / "v" / "..2026_02").mkdir()
    (tmp_path / "v" / "..data_tmp").symlink_to("..2026_02")
    assert atomic_files.write(tmp_path / "v", {"a": File(b"2", 0o644)}, "2026_03")
    assert (tmp_path / "v" / "a").read_text() == "2" and not (tmp_path / "v" / "..2026_02").exists()
