"""Which flags of envtest's API server have an effect, and which are refused with which words."""

import pytest

from podium.envtest import ACTED_ON, ALWAYS_THERE, WITHOUT_EFFECT
from podium.envtest_flags import Flags, WrongFlag, check_features, check_modes, disabled_plugins, parse_flags, served
from podium.objects.resources import builtin

KNOWN = [*ACTED_ON, *WITHOUT_EFFECT]
PLUGINS = {"ServiceAccount", "PodSecurity", *ALWAYS_THERE}


def flags(*words: str) -> Flags:
    return parse_flags([f"--{word}" for word in words], KNOWN)


def test_values_come_behind_or_after_and_some_add_up() -> None:
    found = parse_flags(["--secure-port", "1", "--secure-port=2", "-v", "--runtime-config=a=true", "--runtime-config=b=false"], KNOWN)
    assert (found.get("secure-port"), found.get("v"), found.list("runtime-config")) == ("2", "true", ["a=true", "b=false"])


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("authorization-mode=AlwaysAllow", "Podium authorizes by Node and RBAC"),
        ("allow-privileged=false", "PodSecurity says"),
        ("service-account-issuer=https://a,https://b", "Podium has one issuer"),
        ("feature-gates=Frobnicate=true", "unrecognized feature gate: Frobnicate"),
        ("feature-gates=WatchList=false", "cannot set feature gate WatchList to false, feature is locked to true"),
        ("feature-gates=WatchList=maybe", 'strconv.ParseBool: parsing "maybe": invalid syntax'),
        ("enable-admission-plugins=AlwaysPullImages", 'Podium does not have the plugin "AlwaysPullImages"'),
        ("enable-admission-plugins=Nonsense", 'enable-admission-plugins plugin "Nonsense" is unknown'),
        ("disable-admission-plugins=Nonsense", 'disable-admission-plugins plugin "Nonsense" is unknown'),
        ("runtime-config=batch/v2alpha1=true", "runtime-config: batch/v2alpha1: Podium does not serve it"),
        ("runtime-config=api/all=true", "Podium serves stable versions only"),
        ("runtime-config=apps/v1/frobs=true", "Podium does not serve it"),
    ],
)
def test_what_would_not_be_so_is_refused(word: str, why: str) -> None:
    with pytest.raises(WrongFlag) as refused:
        given = flags(word)
        check_modes(given)
        check_features(given)
        disabled_plugins(given, PLUGINS)
        served(given, builtin())
    assert why in str(refused.value)


def test_a_plugin_cannot_be_on_and_off() -> None:
    given = flags("enable-admission-plugins=PodSecurity", "disable-admission-plugins=PodSecurity,ServiceAccount")
    with pytest.raises(WrongFlag, match="overlapped"):
        disabled_plugins(given, PLUGINS)


def test_what_is_so_already_passes() -> None:
    given = flags("feature-gates=ServerSideApply=true,AllAlpha=false", "enable-admission-plugins=PodSecurity,MutatingAdmissionWebhook",
                  "disable-admission-plugins=ServiceAccount,PodNodeSelector", "runtime-config=api/ga=true,api/beta=false,apps/v1=true",
                  "allow-privileged=true", "authorization-mode=Node,RBAC")  # fmt: skip
    check_modes(given)
    check_features(given)
    assert disabled_plugins(given, PLUGINS) == {"ServiceAccount", "PodNodeSelector"}
    assert served(given, builtin()) == list(builtin())


@pytest.mark.parametrize(
    ("word", "there", "gone"),
    [
        ("autoscaling/v1=false", {"autoscaling/v2"}, {"autoscaling/v1"}),
        ("api/all=false,v1=true,apps/v1=true", {"v1", "apps/v1"}, {"batch/v1", "storage.k8s.io/v1"}),
        ("api/ga=false,v1=true", {"v1"}, {"apps/v1"}),
    ],
)
def test_versions_are_left_out(word: str, there: set[str], gone: set[str]) -> None:
    versions = {r.api_version for r in served(flags(f"runtime-config={word}"), builtin())}
    assert there <= versions and not gone & versions


def test_a_resource_alone_is_left_out() -> None:
    found = {r.plural for r in served(flags("runtime-config=apps/v1/daemonsets=false"), builtin()) if r.group == "apps"}
    assert "daemonsets" not in found and "deployments" in found
