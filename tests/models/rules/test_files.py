"""A config against the files of its model."""

import pytest

from tests.models.rules.subjects import codes, model_folder, subject
from tritonops.models.rules.files import absent, files_problems, graph_file, layout_problems, model_file


def test_a_complete_model_has_no_problem(tmp_path):
    home = model_folder(tmp_path)
    found = subject(home=home)
    assert codes(files_problems(found)) == []
    assert model_file(found, 1) == graph_file(found, 1) == home / "1/model.onnx"


def test_a_missing_model_file_is_named_with_what_is_there(tmp_path):
    home = model_folder(tmp_path)
    (home / "1/model.onnx").rename(home / "1/weights.onnx")
    (problem,) = files_problems(subject(home=home))
    assert "model.onnx" in problem.what
    assert "weights.onnx" in problem.what


def test_labels_that_are_not_there_are_found(tmp_path):
    edit = ('name: "y"', 'name: "y" label_filename: "labels.txt"')
    home = model_folder(tmp_path)
    assert codes(files_problems(subject(edit, home=home)))
    (home / "labels.txt").write_text("a\n")
    assert codes(files_problems(subject(edit, home=home))) == []


def test_a_policy_that_serves_no_version_on_disk_is_found(tmp_path):
    home = model_folder(tmp_path)
    assert codes(files_problems(subject(append="version_policy { specific { versions: [ 7 ] } }", home=home)))


@pytest.mark.parametrize(("target", "output"), [(None, "is not there"), ("nowhere", "is a link to")])
def test_an_absent_file_is_told_from_a_dangling_link(tmp_path, target, output):
    path = tmp_path / "file"
    if target:
        path.symlink_to(target)
    assert output in absent(path) or "no" in absent(path)
    assert str(path) in absent(path) or path.name in absent(path)


def test_folders_that_look_like_versions_and_are_none_are_found(tmp_path):
    home = model_folder(tmp_path)
    assert codes(layout_problems(home, (1,))) == []
    (home / "01").mkdir()
    assert codes(layout_problems(home, (1,)))


def test_folders_that_a_config_names_are_none_of_them(tmp_path):
    home = model_folder(tmp_path)
    (home / "labels").mkdir()
    assert codes(layout_problems(home, (1,))) == ["version-name"]
    edit = ('name: "y"', 'name: "y" label_filename: "labels/a.txt"')
    assert codes(layout_problems(home, (1,), [subject(edit).config])) == []


def test_a_python_model_may_use_any_folder_that_is_not_like_a_version(tmp_path):
    home = model_folder(tmp_path)
    (home / "tokenizer").mkdir()
    python = [subject(('"onnxruntime"', '"python"')).config]
    assert codes(layout_problems(home, (1,), python)) == []
    (home / "v2").mkdir()
    assert codes(layout_problems(home, (1,), python)) == ["version-name"]


@pytest.mark.parametrize(("image", "severity"), [("24.10", "warning"), ("26.05", "error"), ("own:1", "warning")])
def test_labels_outside_of_the_folder_are_refused_by_later_releases(tmp_path, image, severity):
    home = model_folder(tmp_path)
    (tmp_path / "labels.txt").write_text("a")
    (home / "labels.txt").symlink_to("../labels.txt")
    edit = ('name: "y"', 'name: "y" label_filename: "labels.txt"')
    (problem,) = files_problems(subject(edit, home=home, image=image))
    assert (problem.code, problem.severity) == ("label-file-outside", severity)


def test_an_absolute_path_of_labels_goes_below_the_folder(tmp_path):
    home = model_folder(tmp_path)
    edit = ('name: "y"', f'name: "y" label_filename: "{tmp_path}/labels.txt"')
    (tmp_path / "labels.txt").write_text("a")
    assert codes(files_problems(subject(edit, home=home))) == ["label-file-missing"]


def test_a_python_model_is_a_py_file(tmp_path):
    home = model_folder(tmp_path)
    edit = ('"onnxruntime"', '"python" default_model_filename: "model.onnx"')
    assert codes(files_problems(subject(edit, home=home))) == ["python-file-name"]
