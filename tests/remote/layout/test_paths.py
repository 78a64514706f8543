"""The folders of a host."""

import pytest

from tritonops.errors import TritonOpsError, UnknownReleaseError
from tritonops.remote.layout.paths import Layout
from tritonops.remote.layout.records import ActivationRecord


@pytest.fixture
def layout(tmp_path):
    for name in ("r000002-b", "r000001-a", "20200101T000000Z-c", "r000003-d.partial"):
        (tmp_path / "releases" / name).mkdir(parents=True)
    return Layout(tmp_path)


def test_releases_are_listed_in_their_order_without_partial_ones(layout, tmp_path):
    assert layout.names() == ["20200101T000000Z-c", "r000001-a", "r000002-b"]
    assert Layout(tmp_path / "nowhere").names() == []
    with pytest.raises(UnknownReleaseError, match="r9"):
        layout.release("r9")


def test_the_current_release_is_switched_in_one_step(layout):
    assert layout.current is None
    layout.point_current_to(layout.release("r000001-a"))
    layout.point_current_to(layout.release("r000002-b"))
    assert layout.current == layout.release("r000002-b")
    assert not (layout.root / "current.new").exists()


def test_a_release_has_its_record_and_perhaps_an_activation(layout):
    release = layout.release("r000001-a")
    with pytest.raises(TritonOpsError, match=r"release\.json cannot be read"):
        _ = release.record
    assert release.activation is None
    release.save_activation(ActivationRecord("done", "2026"))
    assert release.activation == ActivationRecord("done", "2026")
    (release.path / "outcome.json").write_text("{")
    assert release.activation is None
