from collections.abc import Callable

import pytest

from podium.objects import names

LABEL = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start"
LABEL += " and end with an alphanumeric character"
FAULTS: list[tuple[Callable[[str], list[str]], str, list[str]]] = [
    (names.dns_label, "web-0", []),
    (names.dns_label, "a.b", ["must not contain dots"]),
    (names.dns_label, "Web", [LABEL + " (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]),
    (names.dns_label, "a" * 64, ["must be no more than 63 bytes"]),
    (names.dns_subdomain, "a.b-c.d", []),
    (names.label_key, "example.com/role", []),
    (names.label_key, "/role", ["prefix part must be non-empty"]),
    (names.label_key, "a" * 64, ["name part must be no more than 63 bytes"]),
    (names.label_value, "", []),
    (names.label_value, "é" * 32, ["must be no more than 63 bytes", names.label_value("é")[0]]),
    (names.data_key, "..", ["must not be '..'"]),
    (names.data_key, "..a", ["must not start with '..'"]),
    (names.environment_name, "a b", []),
    (names.environment_name, "a=b", ["a valid environment variable name must consist only of printable ASCII characters other than '='"]),
    (names.port_name, "a--b", ["must not contain consecutive hyphens"]),
    (names.port_name, "80", ["must contain at least one letter (a-z)"]),
    (names.path_segment, "system:admin", []),
    (names.path_segment, "a/b", ["may not contain '/'"]),
    (names.percent, "25%", []),
]


@pytest.mark.parametrize(("check", "text", "faults"), FAULTS, ids=lambda v: getattr(v, "__name__", str(v))[:20])
def test_faults(check: Callable[[str], list[str]], text: str, faults: list[str]) -> None:
    assert check(text) == faults


def test_generated_names_fit_a_label() -> None:
    assert names.generated("web-", "x7k2p") == "web-x7k2p"
    assert len(names.generated("a" * 80, "x7k2p")) == names.LABEL_LENGTH_MAX
    assert names.dns_label(names.generate_name_base("web-")) == []


def test_equal_templates_have_equal_hashes_whatever_the_order_of_fields() -> None:
    one = {"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
    two = {"spec": {"containers": [{"image": "b", "name": "a"}]}, "metadata": {"labels": {"a": "1"}}}
    assert names.pod_template_hash(one) == names.pod_template_hash(two) == "74cc4f4775"
    assert names.pod_template_hash({**one, "spec": {}}) != names.pod_template_hash(one)
    assert set(names.pod_template_hash(one)) <= set(names.SAFE_ALPHABET)
