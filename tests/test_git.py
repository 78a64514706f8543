"""A checkout as people have it, whatever their git is set to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.remote.client.repository import (
    AS_COMMITTED,
    Repository,
    is_changed,
    sent,
    sha256,
)
from tritonops.errors import InputError
from tritonops.remote.client.checkout import read_checkout

SETTINGS = {
    "diff.external": "true",
    "diff.any.textconv": "true",
    "log.showSignature": "true",
    "core.quotePath": "true",
    "core.checkStat": "minimal",
    "core.trustctime": "false",
    "core.ignoreStat": "true",
    "core.fsmonitor": "printf",
    "core.untrackedCache": "true",
    "core.autocrlf": "input",
    "status.showUntrackedFiles": "no",
    "diff.ignoreSubmodules": "all",
    "submodule.recurse": "true",
    "i18n.logOutputEncoding": "UTF-16",
    "color.ui": "always",
    "core.pager": "false",
}


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "checkout")


@pytest.mark.parametrize(("key", "value"), SETTINGS.items(), ids=SETTINGS)
def test_no_setting_of_a_person_hides_an_edit(repository, key, value):
    repository.write(".gitattributes", "*.pbtxt diff=any\n")
    repository.commit("Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}ße")
    repository.git("config", key, value)
    repository.git("status")
    assert not is_changed(repository.folder)
    before = read_checkout(repository.folder)
    repository.edit_unseen()
    after = read_checkout(repository.folder)
    assert before.manifest.digest != after.manifest.digest
    assert sent(repository.folder)["config.pbtxt"] == sha256("two\n")
    assert (after.head.is_changed, after.head.subject) == (True, "Gr\N{LATIN SMALL LETTER U WITH DIAERESIS}ße")
    assert after.label.endswith("-changed")


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_EXTERNAL_DIFF", "GIT_PREFIX"])
def test_the_variables_of_a_hook_are_ignored_the_folder_of_inv_counts(repository, tmp_path, monkeypatch, name):
    other = Repository(tmp_path / "other", {"inv": "another\n"})
    values = {"GIT_DIR": other.folder / ".git", "GIT_INDEX_FILE": other.folder / ".git/index"}
    monkeypatch.setenv(name, str(values.get(name, other.folder)))
    repository.edit_unseen()
    assert sent(repository.folder) == AS_COMMITTED | {"config.pbtxt": sha256("two\n")}
    assert is_changed(repository.folder)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_files_that_git_was_told_to_overlook_are_sent_as_they_are_and_the_release_is_marked(repository, flag):
    repository.git("update-index", flag, "config.pbtxt")
    assert not is_changed(repository.folder)
    repository.write("config.pbtxt", "mine\n")
    assert sent(repository.folder)["config.pbtxt"] == sha256("mine\n")
    assert is_changed(repository.folder)


def detached(repository: Repository) -> Path:
    repository.git("checkout", "--quiet", "--detach")
    return repository.folder


def shallow(repository: Repository) -> Path:
    repository.commit()
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", "../shallow")
    return repository.folder.parent / "shallow"


def worktree(repository: Repository) -> Path:
    repository.git("worktree", "add", "--quiet", "../worktree")
    return repository.folder.parent / "worktree"


def bare_with_worktree(repository: Repository) -> Path:
    repository.git("clone", "--quiet", "--bare", ".", "../bare.git")
    repository.git("--git-dir=../bare.git", "worktree", "add", "--quiet", "../of-bare", "main")
    return repository.folder.parent / "of-bare"


def through_a_link(repository: Repository) -> Path:
    (repository.folder.parent / "link").symlink_to(repository.folder)
    return repository.folder.parent / "link"


@pytest.mark.parametrize("arrange", [detached, shallow, worktree, bare_with_worktree, through_a_link])
def test_any_kind_of_checkout_is_sent_whole(repository, arrange):
    folder = arrange(repository)
    assert sent(folder) == AS_COMMITTED
    assert not is_changed(folder)
    (folder / "docs/a.md").write_text("b\n")
    assert sent(folder)["docs/a.md"] == sha256("b\n")
    assert is_changed(folder)


def test_a_sparse_checkout_is_sent_as_it_is_and_is_no_change(repository):
    repository.git("sparse-checkout", "set", "--no-cone", "/*", "!/docs")
    assert "docs/a.md" not in sent(repository.folder)
    assert not is_changed(repository.folder)


@pytest.fixture
def with_submodule(repository, tmp_path):
    """The project with a submodule that has one of its own."""
    inner = Repository(tmp_path / "inner", {"deep.txt": "deep\n"})
    models = Repository(tmp_path / "models", {"model.onnx": "weights\n"})
    models.git("submodule", "--quiet", "add", str(inner.folder), "inner")
    models.commit()
    repository.git("submodule", "--quiet", "add", str(models.folder), "models")
    repository.git("submodule", "--quiet", "update", "--init", "--recursive")
    repository.commit("With models")
    return repository


def test_submodules_that_are_checked_out_are_sent_and_their_edits_too(with_submodule):
    folder = with_submodule.folder
    assert sent(folder)["models/model.onnx"] == sha256("weights\n")
    assert sent(folder)["models/inner/deep.txt"] == sha256("deep\n")
    assert not is_changed(folder)
    with_submodule.write("models/inner/deep.txt", "deeper\n")
    assert sent(folder)["models/inner/deep.txt"] == sha256("deeper\n")
    assert is_changed(folder)


def test_a_submodule_at_another_commit_marks_the_release(with_submodule):
    inside = ["-C", "models"]
    with_submodule.git(*inside, "commit", "--quiet", "--allow-empty", "--message=Another")
    assert is_changed(with_submodule.folder)


@pytest.mark.parametrize("depth", ["models", "models/inner"])
def test_a_submodule_that_is_not_checked_out_is_refused(with_submodule, depth):
    with_submodule.git("-C", str(Path(depth).parent), "submodule", "deinit", "--force", Path(depth).name)
    shutil.rmtree(with_submodule.folder / depth, ignore_errors=True)
    (with_submodule.folder / depth).mkdir(exist_ok=True)
    with pytest.raises(InputError, match=r"submodule .* is not checked out") as caught:
        read_checkout(with_submodule.folder)
    assert "git submodule update --init" in str(caught.value.hint)


def test_what_is_staged_deleted_or_only_announced_is_as_it_lies_there(repository):
    repository.write("staged.txt", "staged\n")
    repository.write("announced.txt", "announced\n")
    repository.write("untracked.txt", "untracked\n")
    repository.git("add", "staged.txt")
    repository.git("add", "--intent-to-add", "announced.txt")
    (repository.folder / "docs/a.md").unlink()
    found = sent(repository.folder)
    assert found["staged.txt"] == sha256("staged\n")
    assert found["announced.txt"] == sha256("announced\n")
    assert not {"docs/a.md", "untracked.txt"} & found.keys()
    assert is_changed(repository.folder)


def conflict(repository: Repository, *command: str) -> None:
    """Get into the middle of a merge, or of the like, that cannot go on."""
    repository.git("checkout", "--quiet", "-b", "other")
    repository.write("config.pbtxt", "theirs\n")
    repository.commit("Theirs")
    repository.git("checkout", "--quiet", "main")
    repository.write("config.pbtxt", "ours\n")
    repository.commit("Ours")
    repository.git(*command, check=False)


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (("merge", "other"), "merge"),
        (("rebase", "other"), "rebase"),
        (("cherry-pick", "other"), "cherry-pick"),
        (("revert", "--no-edit", "HEAD~1"), "revert"),
    ],
)
@pytest.mark.parametrize("resolved", [False, True], ids=["in conflict", "resolved, not committed"])
def test_an_unfinished_merge_rebase_cherry_pick_or_revert_is_refused(repository, command, what, resolved):
    conflict(repository, *command)
    if resolved:
        repository.write("config.pbtxt", "both\n")
        repository.git("add", "config.pbtxt")
    with pytest.raises(InputError, match=f"a {what} is in progress") as caught:
        read_checkout(repository.folder)
    assert f"git {what} --abort" in str(caught.value.hint)


def test_an_unfinished_merge_in_another_worktree_is_ignored(repository):
    folder = worktree(repository)
    conflict(repository, "merge", "other")
    assert sent(folder) == AS_COMMITTED


def test_an_index_that_is_not_merged_is_refused_also_without_a_merge(repository):
    conflict(repository, "merge", "other")
    (repository.folder / ".git/MERGE_HEAD").unlink()
    with pytest.raises(InputError, match=r"not merged: config\.pbtxt"):
        read_checkout(repository.folder)
