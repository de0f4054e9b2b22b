"""What may change in a service's spec, and what a service's labels mean."""

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.model.image import Image
from deployer.model.service import Manifest, State
from deployer.rollouts.ports import Change
from deployer.targets.swarm.service import read_service, revise

OLD = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/web:latest@sha256:" + "1" * 64
NEW = Image.parse(OLD.replace("1" * 64, "2" * 64))


def service(labels=None, mode=None, **container):
    template = {
        "ContainerSpec": {"Image": OLD, **container},
        "ForceUpdate": 3,
        "Placement": {"MaxReplicas": 2},
    }
    spec = {"Name": "web", "Labels": labels or {}, "TaskTemplate": template, "Mode": mode or {"Global": {}}}
    return read_service({"ID": "abc", "Version": {"Index": 7}, "Spec": spec})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), json_values, max_size=5),
    st.dictionaries(st.text(min_size=1, max_size=8).map("user.".__add__), st.text(), max_size=3),
)
def test_nothing_changes_but_image_platforms_and_our_labels(fields, labels):
    before = service(labels=dict(labels), **{f"User{k}": v for k, v in fields.items()})
    read = deepcopy(before.native)
    manifest = Manifest(NEW.digest, [{"architecture": "amd64", "os": "linux"}])
    spec = revise(before.native, Change(State(image=str(NEW), task="t"), NEW, manifest))
    assert before.native == read
    assert spec["TaskTemplate"]["ContainerSpec"].pop("Image") == str(NEW)
    assert spec["TaskTemplate"]["Placement"].pop("Platforms") == [{"Architecture": "amd64", "OS": "linux"}]
    ours = {k: spec["Labels"].pop(k) for k in list(spec["Labels"]) if k.startswith("deployer.state.")}
    assert len(ours.pop("deployer.state.template")) == 16
    assert ours == {"deployer.state.image": str(NEW), "deployer.state.task": "t"}
    read["Spec"]["TaskTemplate"]["ContainerSpec"].pop("Image")
    assert spec == read["Spec"]


def test_a_null_placement_and_null_labels_are_taken():
    raw = service().native
    raw["Spec"]["TaskTemplate"]["Placement"] = None
    raw["Spec"]["Labels"] = None
    spec = revise(raw, Change(State(task="t"), NEW, Manifest("d", [{"os": "linux"}])))
    assert spec["TaskTemplate"]["Placement"] == {"Platforms": [{"OS": "linux"}]}


def test_an_arm_image_is_placed_on_any_arm_node():
    manifest = Manifest("d", [{"architecture": "arm", "os": "linux", "variant": "v7"}])
    spec = revise(service().native, Change(State(), NEW, manifest))
    assert spec["TaskTemplate"]["Placement"]["Platforms"] == [{"OS": "linux"}]


def test_force_moves_the_counter():
    assert revise(service().native, Change(State(), force=True))["TaskTemplate"]["ForceUpdate"] == 4
    assert revise(service().native, Change(State()))["TaskTemplate"]["ForceUpdate"] == 3


def test_state_survives_the_labels_and_old_state_does_not():
    state = State(image="a:1", previous=f"a:1@{NEW.digest}", pushed_at="2026-01-01T00:00:00Z")
    before = service({"deployer.state.failed": "sha256:x", "k": "v"})
    labels = revise(before.native, Change(state))["Labels"]
    assert replace(State.of(labels), template=None) == state
    assert labels["k"] == "v"


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("at", ["2026-01-01T00:00:00.123+00:00", "2026-01-01T00:00:00Z"], ["", "now", "2026-01-01T00:00:00"]),
        ("credentials-at", ["2026-01-01T00:00:00+01:00"], ["0", "2026-13-01T00:00:00Z"]),
        ("image", ["web:1", str(NEW)], ["Web", "a b"]),
        ("previous", [str(NEW)], ["web:1", "x@sha256:1"]),
        ("failed", [NEW.digest, f"{NEW.digest},{NEW.digest}"], ["sha256:x", ",", f"{NEW.digest},"]),
        ("reason", ["any text"], [""]),
    ],
)
def test_a_state_that_we_cannot_have_written_is_none(field, good, bad):
    def read(text):
        return getattr(State.of({f"deployer.state.{field}": text}), field.replace("-", "_"))

    assert [read(text) for text in good] == good
    assert {read(text) for text in bad} == {None}


@pytest.mark.parametrize(
    ("mode", "wanted", "job"),
    [
        ({"Replicated": {"Replicas": 3}}, 3, False),
        ({"Replicated": {"Replicas": 0}}, 0, False),
        ({"Replicated": {}}, 1, False),
        ({"Global": {}}, None, False),
        ({"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 4}}, 4, True),
        ({"GlobalJob": {}}, None, True),
    ],
)
def test_modes(mode, wanted, job):
    assert (service(mode=mode).desired, service(mode=mode).is_job) == (wanted, job)


@pytest.mark.parametrize(
    "template", [{"PluginSpec": {}}, {"NetworkAttachmentSpec": {"ContainerID": "x"}}, {}]
)
def test_a_service_without_an_image_has_none(template):
    raw = {"ID": "x", "Version": {"Index": 1}, "Spec": {"Name": "p", "TaskTemplate": template, "Mode": {}}}
    assert read_service(raw).image is None


def test_an_image_that_is_no_reference_is_none():
    assert service(Image="repo:no tag").image is None
