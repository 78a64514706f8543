"""Managed fields as an API server writes them after kubectl, an autoscaler and controllers have been there."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritonops.kubernetes.cluster.managed_fields import (
    field_paths,
    foreign_fields,
    is_applied,
    sets_replicas,
    taken_over,
)

ITEM: dict[str, Any] = {".": {}, "f:name": {}, "f:value": {}}
TRITON = 'k:{"name":"triton"}'
RESTARTED = "f:kubectl.kubernetes.io/restartedAt"
OURS: dict[str, Any] = {
    "f:metadata": {
        "f:annotations": {"f:tritonops/by": {}, "f:tritonops/release": {}},
        "f:labels": {"f:app.kubernetes.io/instance": {}, "f:app.kubernetes.io/managed-by": {}},
    },
    "f:spec": {
        "f:replicas": {},
        "f:selector": {},
        "f:strategy": {"f:rollingUpdate": {"f:maxSurge": {}, "f:maxUnavailable": {}}, "f:type": {}},
        "f:template": {
            "f:metadata": {
                "f:annotations": {"f:tritonops/release": {}},
                "f:labels": {"f:app.kubernetes.io/instance": {}},
            },
            "f:spec": {
                "f:containers": {
                    TRITON: {
                        ".": {},
                        "f:args": {},
                        "f:env": {'k:{"name":"HOME"}': ITEM},
                        "f:image": {},
                        "f:name": {},
                        "f:ports": {
                            'k:{"containerPort":8001,"protocol":"TCP"}': {
                                ".": {},
                                "f:containerPort": {},
                                "f:name": {},
                                "f:protocol": {},
                            }
                        },
                    }
                },
                "f:terminationGracePeriodSeconds": {},
            },
        },
    },
}
CONTROLLER = {
    "manager": "kube-controller-manager",
    "operation": "Update",
    "apiVersion": "apps/v1",
    "time": "2026-11-30T10:00:00Z",
    "fieldsType": "FieldsV1",
    "subresource": "status",
    "fieldsV1": {
        "f:metadata": {"f:annotations": {".": {}, "f:deployment.kubernetes.io/revision": {}}},
        "f:status": {"f:conditions": {".": {}, 'k:{"type":"Available"}': {".": {}, "f:status": {}}}, "f:replicas": {}},
    },
}
IN_REPLICAS: dict[str, Any] = {"f:spec": {"f:replicas": {}}}


def entry(manager, fields, operation="Update", **more):
    return {"manager": manager, "operation": operation, "apiVersion": "apps/v1", "fieldsV1": fields, **more}


def applied(fields=OURS):
    return entry("tritonops", fields, "Apply", fieldsType="FieldsV1", time="2026-11-30T10:00:00Z")


def without_replicas():
    """What we have after somebody else set the replicas to another number."""
    ours = copy.deepcopy(OURS)
    del ours["f:spec"]["f:replicas"]
    return ours


def live(*entries):
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "production-triton", "managedFields": [*entries]},
    }


def in_pod(fields, *, annotations=None):
    metadata = {"f:metadata": {"f:annotations": annotations}} if annotations else {}
    return {"f:spec": {"f:template": {**metadata, **({"f:spec": fields} if fields else {})}}}


def in_triton(fields):
    return in_pod({"f:containers": {TRITON: fields}})


SET_ENV = entry("kubectl-set", in_triton({"f:env": {'k:{"name":"LOG"}': ITEM}}))
EDIT = entry(
    "kubectl-edit",
    in_pod(
        {
            "f:containers": {TRITON: {"f:env": {".": {}, 'k:{"name":"LOG"}': ITEM}}, 'k:{"name":"proxy"}': ITEM},
            "f:nodeSelector": {},
            "f:priorityClassName": {},
        }
    ),
)
SCALE = entry("kubectl", IN_REPLICAS, subresource="scale")
AUTOSCALER = entry("kube-controller-manager", IN_REPLICAS, subresource="scale")
RESTART = entry("kubectl-rollout", in_pod(None, annotations={".": {}, RESTARTED: {}}))
PORT = entry("kubectl-edit", in_triton({"f:ports": {'k:{"containerPort":9000,"protocol":"TCP"}': {".": {}}}}))


@pytest.mark.parametrize(
    ("ours", "other", "paths"),
    [
        (OURS, SET_ENV, ["spec.template.spec.containers[triton].env[LOG]"]),
        (
            OURS,
            EDIT,
            [
                "spec.template.spec.containers[triton].env[LOG]",
                "spec.template.spec.containers[proxy]",
                "spec.template.spec.nodeSelector",
                "spec.template.spec.priorityClassName",
            ],
        ),
        (OURS, PORT, ["spec.template.spec.containers[triton].ports[9000,TCP]"]),
        (without_replicas(), SCALE, ["spec.replicas"]),
        (without_replicas(), AUTOSCALER, ["spec.replicas"]),
        (OURS, RESTART, []),
        (OURS, CONTROLLER, []),
    ],
    ids=["set env", "edit", "a port", "scale", "an autoscaler of somebody else", "rollout restart", "the status"],
)
def test_what_somebody_else_set_is_found_with_its_path(ours, other, paths):
    found = live(CONTROLLER, applied(ours), other)
    assert field_paths(foreign_fields(found)) == paths
    assert is_applied(found)


def test_a_field_that_somebody_else_set_to_our_value_is_ours():
    assert foreign_fields(live(applied(), entry("kubectl-edit", in_triton({"f:image": {}})))) == {}


def test_the_replicas_are_the_autoscalers_where_there_is_one():
    assert foreign_fields(live(applied(without_replicas()), AUTOSCALER), is_scaled=True) == {}


def test_whether_we_set_the_replicas():
    assert sets_replicas(live(applied()))
    assert not sets_replicas(live(applied(without_replicas()), AUTOSCALER))
    assert not sets_replicas(live(SCALE))


def test_the_fields_of_a_map_of_files_are_content_and_its_labels_are_not():
    fields = {"f:data": {".": {}, "f:models.toml": {}}, "f:immutable": {}, "f:metadata": {"f:labels": {"f:team": {}}}}
    assert field_paths(foreign_fields(live(entry("kubectl", fields)))) == ["data.models.toml"]


def own_fields(entries):
    (found,) = (each["fieldsV1"] for each in entries if (each["manager"], each["operation"]) == ("tritonops", "Apply"))
    return found


def others(entries):
    return [each for each in entries if each["manager"] != "tritonops"]


def test_nothing_is_taken_over_where_all_content_is_ours():
    assert taken_over(live(CONTROLLER, applied())) is None
    assert taken_over(live(CONTROLLER, applied(), RESTART)) is None
    assert taken_over(live(CONTROLLER, applied(without_replicas()), AUTOSCALER, RESTART), is_scaled=True) is None


def test_what_others_added_becomes_ours_and_the_rest_of_what_they_have_stays_theirs():
    edit = copy.deepcopy(EDIT)
    edit["fieldsV1"]["f:metadata"] = {"f:annotations": {"f:note": {}}}
    entries = taken_over(live(CONTROLLER, applied(), edit))
    assert others(entries) == [CONTROLLER, {**edit, "fieldsV1": {"f:metadata": {"f:annotations": {"f:note": {}}}}}]
    pod = own_fields(entries)["f:spec"]["f:template"]["f:spec"]
    assert pod["f:priorityClassName"] == {}
    assert pod["f:containers"][TRITON]["f:env"].keys() >= {'k:{"name":"HOME"}', 'k:{"name":"LOG"}'}
    assert pod["f:containers"]['k:{"name":"proxy"}'] == ITEM


def test_a_restart_stays_the_persons():
    entries = taken_over(live(applied(), EDIT, RESTART)) or []
    assert RESTART in entries
    assert RESTARTED not in str(own_fields(entries))


def test_replicas_that_a_person_scaled_become_ours_again():
    entries = taken_over(live(CONTROLLER, applied(without_replicas()), SCALE))
    assert others(entries) == [CONTROLLER]
    assert own_fields(entries) == OURS


def test_our_replicas_are_given_to_an_autoscaler_that_has_not_set_them_yet():
    entries = taken_over(live(CONTROLLER, applied()), is_scaled=True) or []
    assert own_fields(entries) == without_replicas()
    (scaler,) = (each for each in others(entries) if each != CONTROLLER)
    assert (scaler["fieldsV1"], scaler["operation"]) == (IN_REPLICAS, "Update")
    assert taken_over(live(*entries), is_scaled=True) is None


@pytest.mark.parametrize(
    "other",
    [
        entry("kubectl", OURS, "Apply"),
        entry("kubectl-client-side-apply", {**OURS, "f:metadata": {"f:annotations": {".": {}, "f:note": {}}}}),
    ],
    ids=["server-side", "client-side"],
)
def test_an_object_that_was_applied_with_kubectl_becomes_ours(other):
    found = live(CONTROLLER, other)
    assert not is_applied(found)
    entries = taken_over(found) or []
    assert own_fields(entries)["f:spec"] == OURS["f:spec"]
    assert not any("f:spec" in each["fieldsV1"] for each in others(entries))
    assert taken_over(live(*entries)) is None


def test_an_object_without_content_has_nothing_to_take_over():
    account: dict[str, Any] = {
        "f:automountServiceAccountToken": {},
        "f:metadata": {"f:labels": {".": {}, "f:team": {}}},
    }
    assert taken_over(live(entry("kubectl", account, "Apply"))) is None


def test_our_annotations_that_an_undone_rollout_copied_become_ours_so_that_the_next_apply_removes_them():
    copied: dict[str, Any] = {"f:metadata": {"f:annotations": {"f:tritonops/result": {}, "f:other": {}}}}
    found = live(applied(), entry("kubectl-rollout", copied))
    assert field_paths(foreign_fields(found)) == ["metadata.annotations.tritonops/result"]
    entries = taken_over(found)
    assert [each["fieldsV1"] for each in others(entries)] == [{"f:metadata": {"f:annotations": {"f:other": {}}}}]
    assert "f:tritonops/result" in own_fields(entries)["f:metadata"]["f:annotations"]


def test_a_field_that_another_manager_has_too_becomes_ours_alone_or_it_would_outlive_our_manifests():
    entries = taken_over(live(CONTROLLER, applied(), entry("kubectl", OURS, "Apply")))
    assert own_fields(entries) == OURS
    assert not any("f:spec" in each["fieldsV1"] for each in others(entries))


SCHEMA: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.just({}),
    lambda children: st.one_of(
        st.dictionaries(st.sampled_from(["f:a", "f:b", "f:c"]), children, min_size=1, max_size=3),
        st.dictionaries(st.sampled_from(['k:{"name":"x"}', 'k:{"port":1}']), children, min_size=1).map(
            lambda items: {key: {".": {}, **value} for key, value in items.items()}
        ),
    ),
    max_leaves=12,
)


@st.composite
def fields_of(draw, schema):
    """Some of the fields of a schema."""
    if not schema:
        return {}
    names = draw(st.lists(st.sampled_from(sorted(schema)), unique=True, min_size=1))
    found = {name: draw(fields_of(schema[name])) for name in names}
    return {**found, ".": {}} if draw(st.booleans()) else found


@st.composite
def objects(draw):
    spec = draw(SCHEMA)
    schema = {"f:spec": {"f:replicas": {}, "f:a": spec}, "f:data": {"f:file": {}}, "f:metadata": {"f:labels": {}}}
    managers = draw(st.lists(st.sampled_from(["kubectl-edit", "kubectl-set", "kubectl"]), max_size=3))
    entries = [entry(name, draw(fields_of(schema))) for name in managers]
    return live(CONTROLLER, *entries, *([applied(draw(fields_of(schema)))] if draw(st.booleans()) else []))


@given(objects(), st.booleans())
def test_after_a_take_over_nothing_is_foreign_and_a_second_one_changes_nothing(found, is_scaled):
    entries = taken_over(found, is_scaled=is_scaled)
    after = found if entries is None else live(*entries)
    assert foreign_fields(after, is_scaled=is_scaled) == {}
    assert taken_over(after, is_scaled=is_scaled) is None
    assert not (is_scaled and sets_replicas(after))
