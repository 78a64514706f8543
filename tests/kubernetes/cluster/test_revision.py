"""A ReplicaSet as a revision of its Deployment."""

from tests.kubernetes.cluster.live_objects import RECORD, release_of, rendered, replica_set
from tritonops.kubernetes.cluster.revision import AT, RESTORED, RESULT, revision_of

RELEASE = release_of("alpha")


def test_the_record_of_a_deploy_is_in_the_annotations():
    found = revision_of(replica_set(12, RELEASE))
    assert (found.number, found.name, found.uid) == (12, "production-triton-hash12", "uid-12")
    assert (found.release, found.by, found.commit, found.at) == (
        RELEASE.digest,
        "ci@runner",
        "abc1234",
        "2026-11-30T10:00:00Z",
    )
    assert found.record == RECORD
    assert found.served


def test_a_revision_that_nobody_saw_serve_has_not_served():
    assert revision_of(replica_set(1, RELEASE, result=None)).result is None
    failed = revision_of(replica_set(1, RELEASE, result="failed: alpha is not served"))
    assert (failed.served, failed.result) == (False, "failed: alpha is not served")


def test_a_template_that_is_deployed_again_has_no_result_until_that_deploy_ends():
    again = replica_set(1, RELEASE)
    again["metadata"]["annotations"][AT] = "2026-12-24T10:00:00Z"
    assert revision_of(again).result is None


def test_a_rollback_is_noted_with_the_record():
    restored = replica_set(1, RELEASE)
    restored["metadata"]["annotations"][RESTORED] = "2026-12-01T10:00:00Z by me@desk"
    found = revision_of(restored)
    assert found.restored == "2026-12-01T10:00:00Z by me@desk"
    assert found.record == {**RECORD, RESTORED: found.restored}


def test_the_template_is_the_one_that_was_applied_and_reading_changes_nothing():
    found = replica_set(1, RELEASE)
    before = str(found)
    assert revision_of(found).template == rendered(RELEASE)[0]["spec"]["template"]
    assert str(found) == before


def test_a_replica_set_that_no_deploy_made_has_neither_release_nor_record():
    foreign = replica_set(1, RELEASE)
    del foreign["metadata"]["annotations"]
    del foreign["spec"]["template"]["metadata"]["annotations"]
    found = revision_of(foreign)
    assert (found.number, found.release, found.record, found.result) == (0, None, {}, None)
    assert RESULT not in found.record
