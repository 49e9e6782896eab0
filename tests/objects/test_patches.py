import copy
import json

import pytest
import yaml

from podium.objects import patches
from podium.objects.status import BadRequest, Invalid, StatusError, TooLarge

DOC = {"a": {"b": [1, 2, 3], "c~/d": True}, "z": None}
JSON_CASES = [
    ("add /a/x 9", {"a": {"b": [1, 2, 3], "c~/d": True, "x": 9}, "z": None}),
    ("add /a/b/1 9", {"a": {"b": [1, 9, 2, 3], "c~/d": True}, "z": None}),
    ("add /a/b/- 9", {"a": {"b": [1, 2, 3, 9], "c~/d": True}, "z": None}),
    ("remove /a/b/0", {"a": {"b": [2, 3], "c~/d": True}, "z": None}),
    ("remove /a/b/-1", {"a": {"b": [1, 2], "c~/d": True}, "z": None}),
    ("replace /a/c~0~1d 1", {"a": {"b": [1, 2, 3], "c~/d": 1}, "z": None}),
    ("move /y /a/b", {"a": {"c~/d": True}, "z": None, "y": [1, 2, 3]}),
    ("copy /y /a/b", {**DOC, "y": [1, 2, 3]}),
    ("test /a/b [1,2,3]", DOC),
    ("test /absent null", DOC),
    ("test /z null", DOC),
    ("copy /y /a/b; add /y/- 4; remove /a/b/0", {"a": {"b": [2, 3], "c~/d": True}, "z": None, "y": [1, 2, 3, 4]}),
    ("replace  {}", {}),
]
JSON_FAULTS = [
    ("test /a/b [1]", "testing value /a/b failed: test failed"),
    ("test /a/b/0 true", "testing value /a/b/0 failed: test failed"),
    ("test /absent/b 1", "test operation does not apply: is missing path: /absent/b: missing value"),
    ("remove /a/x", "error in remove for path: '/a/x': Unable to remove nonexistent key: x: missing value"),
    ("remove /x/y", 'remove operation does not apply: doc is missing path: "/x/y": missing value'),
    ("add /x/y 1", 'add operation does not apply: doc is missing path: "/x/y": missing value'),
    ("replace /x 1", "replace operation does not apply: doc is missing key: /x: missing value"),
    ("replace /x/y 1", "replace operation does not apply: doc is missing path: /x/y: missing value"),
    ("add /a/b/9 1", "error in add for path: '/a/b/9': Unable to access invalid index: 9: invalid index referenced"),
    ("remove /a/b/3", "error in remove for path: '/a/b/3': Unable to access invalid index: 3: invalid index referenced"),
    ("copy /y /x", "copy operation does not apply: doc is missing from path: /x: missing value"),
    ("spin /y 1", "Unexpected kind: spin"),
]


def _ops(text: str) -> list[dict]:
    ops = []
    for part in text.split("; "):
        kind, path, *rest = part.split(" ", 2)
        op = {"op": kind, "path": path}
        if rest and kind in ("move", "copy"):
            op["from"] = rest[0]
        elif rest:
            op["value"] = json.loads(rest[0])
        ops.append(op)
    return ops


@pytest.mark.parametrize(("text", "expected"), JSON_CASES, ids=[c[0] for c in JSON_CASES])
def test_json_patch(text: str, expected: dict) -> None:
    before = copy.deepcopy(DOC)
    assert patches.apply_json(DOC, _ops(text)) == expected
    assert before == DOC


@pytest.mark.parametrize(("text", "reason"), JSON_FAULTS, ids=[c[0] for c in JSON_FAULTS])
def test_a_json_patch_that_does_not_apply_says_which_operation_and_why(text: str, reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        patches.apply_json(DOC, _ops(text))
    assert refused.value.message == f"{patches.REJECTED}: {reason}"


def test_json_patch_forms_and_limits() -> None:
    with pytest.raises(TooLarge, match="The allowed maximum operations in a JSON patch is 10000, got 10001"):
        patches.apply_json({}, [{"op": "test", "path": "/a", "value": None}] * 10_001)
    with pytest.raises(BadRequest):
        patches.apply_json({}, {"op": "add"})
    with pytest.raises(Invalid):
        patches.apply_json({"a": {}}, [{"op": "copy", "path": "/a/a", "from": "/a"}] * 300)
    with pytest.raises(Invalid, match="accumulated size increase is over"):
        patches.apply_json({"a": "x" * 1_000_000}, [{"op": "copy", "path": f"/b{i}", "from": "/a"} for i in range(5)])


def test_ten_thousand_operations_on_a_large_list_are_quick() -> None:
    ops = [{"op": "add", "path": "/a/-", "value": i} for i in range(10_000)]
    assert len(patches.apply_json({"a": list(range(100_000))}, ops)["a"]) == 110_000


RFC_7386 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [1, 2]}, {"a": {"b": None, "c": 1}}, {"a": {"c": 1}}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("doc", "patch", "expected"), RFC_7386)
def test_merge_patch(doc: dict, patch: dict, expected: dict) -> None:
    before = copy.deepcopy(doc)
    assert patches.apply_merge(doc, patch) == expected
    assert doc == before


STRATEGIC = """
- name: containers merge by name
  doc: {spec: {containers: [{name: a, image: x, ports: [{containerPort: 80}]}, {name: b, image: y}]}}
  patch: {spec: {containers: [{name: b, image: z}]}}
  want: {spec: {containers: [{name: a, image: x, ports: [{containerPort: 80}]}, {name: b, image: z}]}}
- name: new items come after the live ones they follow
  doc: {spec: {containers: [{name: a}, {name: b}, {name: c}]}}
  patch: {spec: {containers: [{name: c, image: i}, {name: x, image: j}]}}
  want: {spec: {containers: [{name: a}, {name: b}, {name: c, image: i}, {name: x, image: j}]}}
- name: delete an item
  doc: {spec: {containers: [{name: a}, {name: b}]}}
  patch: {spec: {containers: [{name: a, $patch: delete}]}}
  want: {spec: {containers: [{name: b}]}}
- name: replace a list
  doc: {spec: {containers: [{name: a}, {name: b}]}}
  patch: {spec: {containers: [{$patch: replace}, {name: c}]}}
  want: {spec: {containers: [{name: c}]}}
- name: replace a map
  doc: {spec: {nodeSelector: {a: '1', b: '2'}}}
  patch: {spec: {nodeSelector: {$patch: replace, c: '3'}}}
  want: {spec: {nodeSelector: {c: '3'}}}
- name: delete a map's content
  doc: {metadata: {labels: {a: '1'}}}
  patch: {metadata: {labels: {$patch: delete}}}
  want: {metadata: {labels: {}}}
- name: null deletes, also inside what is new
  doc: {metadata: {labels: {a: '1'}}}
  patch: {metadata: {labels: {a: null, b: '2'}, annotations: {c: null}}}
  want: {metadata: {labels: {b: '2'}, annotations: {}}}
- name: primitive merge list
  doc: {metadata: {finalizers: [a/a, b/b]}}
  patch: {metadata: {finalizers: [c/c, a/a]}}
  want: {metadata: {finalizers: [c/c, a/a, b/b]}}
- name: delete from a primitive list
  doc: {metadata: {finalizers: [a/a, b/b]}}
  patch: {metadata: {$deleteFromPrimitiveList/finalizers: [a/a]}}
  want: {metadata: {finalizers: [b/b]}}
- name: delete from and add to a primitive list in an order
  doc: {metadata: {finalizers: [a/a, b/b]}}
  patch: {metadata: {$deleteFromPrimitiveList/finalizers: [a/a], $setElementOrder/finalizers: [c/c, b/b], finalizers: [c/c]}}
  want: {metadata: {finalizers: [c/c, b/b]}}
- name: set the order of items, as kubectl apply does
  doc: {spec: {containers: [{name: a, image: x}, {name: b, image: y}, {name: side, image: s}]}}
  patch: {spec: {$setElementOrder/containers: [{name: b}, {name: a}], containers: [{name: b, image: z}]}}
  want: {spec: {containers: [{name: b, image: z}, {name: a, image: x}, {name: side, image: s}]}}
- name: order alone
  doc: {spec: {containers: [{name: a}, {name: b}]}}
  patch: {spec: {$setElementOrder/containers: [{name: b}, {name: a}]}}
  want: {spec: {containers: [{name: b}, {name: a}]}}
- name: retain keys
  kind: apps/v1 Deployment
  doc: {spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}}
  patch: {spec: {strategy: {$retainKeys: [type], type: Recreate}}}
  want: {spec: {strategy: {type: Recreate}}}
- name: lists without a strategy are replaced
  doc: {spec: {containers: [{name: a, args: [x, y]}]}}
  patch: {spec: {containers: [{name: a, args: [z]}]}}
  want: {spec: {containers: [{name: a, args: [z]}]}}
- name: conditions merge by type
  doc: {status: {conditions: [{type: Ready, status: 'True'}]}}
  patch: {status: {conditions: [{type: Initialized, status: 'True'}, {type: Ready, status: 'False'}]}}
  want: {status: {conditions: [{type: Initialized, status: 'True'}, {type: Ready, status: 'False'}]}}
- name: a whole volume list for a pod without
  doc: {spec: {}}
  patch: {spec: {$setElementOrder/volumes: [{name: v}], volumes: [{name: v, emptyDir: {}}]}}
  want: {spec: {volumes: [{name: v, emptyDir: {}}]}}
- name: service ports merge by port
  kind: v1 Service
  doc: {spec: {ports: [{port: 80, targetPort: 8080}]}}
  patch: {spec: {ports: [{port: 80, name: http}, {port: 443}]}}
  want: {spec: {ports: [{port: 80, targetPort: 8080, name: http}, {port: 443}]}}
- name: an item without its key
  doc: {spec: {containers: [{name: a}]}}
  patch: {spec: {containers: [{image: x}]}}
  error: "422 map: map[image:x] does not contain declared merge key: name"
- name: an unknown directive
  doc: {spec: {containers: [{name: a}]}}
  patch: {spec: {$patch: shuffle}}
  error: "422 unknown patch type: shuffle in map: map[$patch:shuffle]"
- name: retain keys that miss a field of the patch
  doc: {spec: {}}
  patch: {spec: {$retainKeys: [a], b: 1}}
  error: "400 invalid patch format of retainKeys"
- name: an order that misses an item of the patch
  doc: {spec: {containers: [{name: a}]}}
  patch: {spec: {$setElementOrder/containers: [{name: a}], containers: [{name: b}]}}
  error: "422 The order in patch list:\\n[map[name:b]]\\n doesn't match $setElementOrder list:\\n[map[name:a]]\\n"
- name: mixed types
  doc: {metadata: {finalizers: [a/a]}}
  patch: {metadata: {finalizers: [1]}}
  error: "422 list element types are not identical: [[a/a] [1]]"
"""


@pytest.mark.parametrize("case", yaml.safe_load(STRATEGIC), ids=lambda c: c["name"])
def test_strategic_merge(case: dict) -> None:
    api_version, kind = case.get("kind", "v1 Pod").split()
    before = copy.deepcopy((case["doc"], case["patch"]))
    try:
        result = patches.apply_strategic(case["doc"], case["patch"], api_version, kind)
    except StatusError as error:
        assert f"{error.code} {error.message}" == case["error"]
    else:
        assert result == case["want"]
    assert (case["doc"], case["patch"]) == before
