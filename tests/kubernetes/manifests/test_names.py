"""Names and labels: long enough to tell targets apart, short enough for Kubernetes."""

from tests.kubernetes.projects import target
from tritonops.kubernetes.manifests.names import (
    client_label,
    files_map,
    is_own_name,
    labels,
    main_name,
    metadata,
    pods_service,
    scripts_map,
    selector,
)
from tritonops.kubernetes.targets.rules import MAX_NAME, MAX_TARGET, OWN_SUFFIX

POD = "-0123456789-01234"
"""What the name of a pod has behind that of its Deployment; Kubernetes cuts what is before the last five at 58."""


def test_the_longest_names_fit_and_one_of_them_just_so():
    long = target("a" * MAX_TARGET)
    names = [main_name(long), pods_service(long), scripts_map(long, "f" * 64), files_map(long, "f" * 64, 99)]
    names += [client_label(long), f"keda-hpa-{main_name(long)}", main_name(long) + POD]
    assert max(map(len, names)) == MAX_NAME
    assert len(files_map(long, "f" * 64, 99)) == MAX_TARGET + OWN_SUFFIX


def test_labels_of_the_user_are_on_every_object_and_select_nothing():
    found = target(labels={"team": "vision"})
    assert metadata(found, "x")["labels"] == labels(found)
    assert labels(found)["team"] == "vision"
    assert "team" not in selector(found)
    assert selector(found).items() <= labels(found).items()
    assert "annotations" not in metadata(found, "x")


def test_the_names_that_are_rendered_are_told_from_those_that_only_begin_like_them():
    found = target()
    names = [main_name(found), pods_service(found), scripts_map(found, "f" * 64), files_map(found, "f" * 64, 12)]
    assert all(is_own_name(found, name) for name in names)
    for name in ("production-triton-lb", "production-triton-scripts-old", "production", files_map(target("a"), "f", 1)):
        assert not is_own_name(found, name)
