"""Packed objects against a dictionary."""

import copy

from hypothesis import given, settings
from hypothesis import strategies as st

from podium.client.packed_objects import PackedObjects

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda of: st.lists(of) | st.dictionaries(st.text(max_size=5), of),
)
STEPS = st.lists(st.tuples(st.sampled_from("abcd"), st.none() | st.dictionaries(st.text(max_size=5), VALUES)), max_size=12)


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_it_holds_what_a_dictionary_would(steps):
    packed, plain = PackedObjects(), {}
    for key, value in steps:
        if value is None:
            assert packed.pop(key, None) == plain.pop(key, None)
        else:
            packed[key] = plain[key] = copy.deepcopy(value)
        assert list(packed.items()) == list(plain.items())
        assert (len(packed), "a" in packed, packed.get("b")) == (len(plain), "a" in plain, plain.get("b"))


def pod(number):
    metadata = {"name": f"web-{number}", "namespace": "default", "uid": f"{number * 7919:032x}", "labels": {"app": "web"}}
    mounts = [{"mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "name": f"token-{number}", "readOnly": True}]
    spec = {
        "nodeName": f"node-{number % 40}",
        "containers": [{"name": "c", "image": "app:1", "volumeMounts": mounts}],
        "tolerations": [{"key": "k"}] * 9,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": {"phase": "Running", "podIP": f"10.0.0.{number % 256}"},
    }


def test_objects_of_a_kind_take_little():
    packed = PackedObjects()
    for number in range(200):
        packed[str(number)] = pod(number)
    assert packed.bytes / 200 < 180


def test_what_was_read_may_be_changed():
    packed = PackedObjects()
    packed["a"] = {"labels": {"x": "1"}}
    packed["a"]["labels"]["x"] = "2"
    assert packed["a"] == {"labels": {"x": "1"}}
