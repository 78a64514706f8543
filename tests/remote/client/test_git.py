"""A checkout as people have it: what is sent is what lies there, whatever a person's git says."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.remote.sshd import wait_until
from tritonops.errors import InputError
from tritonops.remote.client.checkout import GitCheckout, read_checkout
from tritonops.remote.client.inventory import HostSettings
from tritonops.remote.client.manifest import LARGE

HERE = HostSettings("gpu-01", config="cpu", runtime="embedded")
FILES = {
    "inv": "#!/bin/sh\n",
    "models.toml": "",
    "requirements/runtime.txt": "",
    "docs/a.md": "a\n",
    "config.pbtxt": "one\n",
}
# The checkout's own settings are the machine's business, not the tests'.
IDENTITY = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]


class Repository:
    """A small project in git."""

    def __init__(self, folder: Path, files: dict[str, str] | None = None) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")
        for name, text in (FILES if files is None else files).items():
            self.write(name, text)
        if (folder / "inv").exists():
            (folder / "inv").chmod(0o755)
        self.commit("Begin")

    def git(self, *arguments: str, check: bool = True, **environment: str) -> None:
        command = ["git", *IDENTITY, "-c", "protocol.file.allow=always", *arguments]
        environment = {**os.environ, "GIT_EDITOR": "true", **environment}
        subprocess.run(command, cwd=self.folder, check=check, capture_output=True, env=environment)

    def write(self, name: str | bytes, text: str | bytes) -> Path:
        path = self.folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def commit(self, message: str = "More") -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message={message}")

    def edit_unseen(self, name: str = "config.pbtxt", text: str = "two\n") -> None:
        """Change a file so that its size and its modification time stay."""
        path = self.folder / name
        before = path.stat()
        path.write_text(text)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "checkout")


def sent(project: Path) -> dict[str, str]:
    """What a deploy of this folder would send."""
    return {entry.path: entry.target or entry.sha256 for entry in read_checkout(project).manifest.entries}


def sha256(text: str | bytes) -> str:
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


AS_COMMITTED = {name: sha256(text) for name, text in FILES.items()}


def is_changed(project: Path) -> bool:
    return read_checkout(project).head.is_changed


def test_a_clean_checkout_is_sent_as_its_commit_is(repository):
    source = read_checkout(repository.folder)
    assert sent(repository.folder) == AS_COMMITTED
    assert (source.head.subject, source.head.is_changed) == ("Begin", False)
    assert source.label == source.head.commit


# Settings and variables that make git show something else than the files, or overlook that they were edited.
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


def test_in_a_subfolder_of_a_monorepo_edits_elsewhere_are_no_difference(tmp_path):
    mono = Repository(tmp_path / "mono", {f"serving/{name}": text for name, text in FILES.items()} | {"app.py": "1\n"})
    project = mono.folder / "serving"
    before = read_checkout(project)
    mono.write("app.py", "2\n")
    mono.write("serving-too/inv", "another\n")
    after = read_checkout(project)
    assert before.manifest == after.manifest
    assert after.head == before.head
    mono.commit()
    assert read_checkout(project).fingerprint(HERE) == before.fingerprint(HERE)
    (project / "config.pbtxt").write_text("two\n")
    assert sent(project) == AS_COMMITTED | {"config.pbtxt": sha256("two\n")}
    assert is_changed(project)


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


NAMES = [
    b"not-utf-8-\xff",
    b"#comment",
    b";semicolon",
    b' "quoted" ',
    b"new\nline",
    b"back\\slash",
    b"-dash",
    b"a -> b",
    b"\xc3\xa9",
]


def test_any_file_name_is_sent(repository):
    for name in NAMES:
        repository.write(name, name)
    repository.commit("Names")
    assert not is_changed(repository.folder)
    expected = {os.fsdecode(name): sha256(name) for name in NAMES}
    assert sent(repository.folder) == AS_COMMITTED | expected
    repository.write(NAMES[4], "edited")
    assert is_changed(repository.folder)


@pytest.mark.parametrize(
    "settings", [{"core.autocrlf": "true"}, {"filter.big.clean": "echo pointer", "filter.big.smudge": "cat"}]
)
def test_the_bytes_of_the_working_tree_are_sent_not_those_of_gits_filters(repository, settings):
    for key, value in settings.items():
        repository.git("config", key, value)
    repository.write(".gitattributes", "*.bin filter=big\n")
    repository.write("weights.bin", b"weights\r\n\0")
    repository.write("docs/a.md", b"a\r\n")
    repository.commit("Filtered")
    assert sent(repository.folder)["weights.bin"] == sha256(b"weights\r\n\0")
    assert sent(repository.folder)["docs/a.md"] == sha256(b"a\r\n")
    assert not is_changed(repository.folder)


def test_a_large_file_whose_digest_is_remembered_is_read_again_once_its_bytes_are_others(repository):
    content = "1" * LARGE
    repository.write("weights.onnx", content)
    repository.commit("Large")
    remembered = repository.folder / ".store/digests.json"
    wait_until(lambda: sent(repository.folder)["weights.onnx"] == sha256(content) and remembered.exists(), "a cache")
    repository.edit_unseen("weights.onnx", "2" * LARGE)
    assert sent(repository.folder)["weights.onnx"] == sha256("2" * LARGE)
    assert is_changed(repository.folder)


def test_links_are_sent_as_links_and_what_lies_behind_a_linked_folder_is_not(repository, tmp_path):
    (repository.folder / "link").symlink_to("docs/a.md")
    repository.commit("A link")
    assert sent(repository.folder) == AS_COMMITTED | {"link": "docs/a.md"}
    assert not is_changed(repository.folder)
    (repository.folder / "docs").rename(tmp_path / "moved")
    (repository.folder / "docs").symlink_to(tmp_path / "moved")
    assert "docs/a.md" not in sent(repository.folder)


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


def test_an_executable_bit_alone_is_another_release(repository):
    before = read_checkout(repository.folder).manifest.digest
    (repository.folder / "config.pbtxt").chmod(0o755)
    assert read_checkout(repository.folder).manifest.digest != before
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
def test_a_merge_or_the_like_under_way_is_refused(repository, command, what, resolved):
    conflict(repository, *command)
    if resolved:
        repository.write("config.pbtxt", "both\n")
        repository.git("add", "config.pbtxt")
    with pytest.raises(InputError, match=f"a {what} is under way") as caught:
        read_checkout(repository.folder)
    assert f"git {what} --abort" in str(caught.value.hint)


def test_a_merge_under_way_in_another_worktree_is_none_here(repository):
    folder = worktree(repository)
    conflict(repository, "merge", "other")
    assert sent(folder) == AS_COMMITTED


def test_an_index_that_is_not_merged_is_refused_also_without_a_merge(repository):
    conflict(repository, "merge", "other")
    (repository.folder / ".git/MERGE_HEAD").unlink()
    with pytest.raises(InputError, match=r"not merged: config\.pbtxt"):
        read_checkout(repository.folder)


MARKERS = "<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> other\n"


@pytest.mark.parametrize("text", [MARKERS, f"before\n{MARKERS}after\n", MARKERS.replace("\n", "\r\n")])
def test_conflict_markers_in_a_file_that_is_sent_are_refused(repository, text):
    repository.write("docs/a.md", text)
    repository.commit("Oh no")
    with pytest.raises(InputError, match=r"docs/a\.md has conflict markers"):
        read_checkout(repository.folder)


@pytest.mark.parametrize(
    "text", ["Title\n=======\n", "    <<<<<<< HEAD\n    =======\n    >>>>>>> other\n", "<<<<<<< x\n"]
)
def test_what_only_looks_like_conflict_markers_is_sent(repository, text):
    repository.write("docs/a.md", text)
    assert sent(repository.folder)["docs/a.md"] == sha256(text)


def test_a_pointer_of_git_lfs_is_refused(repository):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    repository.write("models/model.onnx", pointer)
    repository.commit("Large")
    with pytest.raises(InputError, match=r"model\.onnx is a pointer of Git LFS") as caught:
        read_checkout(repository.folder)
    assert caught.value.hint == "git lfs pull"


def test_an_archive_unpacked_inside_another_repository_is_no_checkout(repository):
    unpacked = repository.folder / "downloads/tritonops-main"
    for name, text in FILES.items():
        repository.write(f"downloads/tritonops-main/{name}", text)
    with pytest.raises(InputError, match="inv is not tracked by git in this folder"):
        read_checkout(unpacked)


def test_a_folder_without_git_and_one_without_a_commit_are_refused(tmp_path):
    (tmp_path / "inv").touch()
    with pytest.raises(InputError, match="not a git repository") as caught:
        read_checkout(tmp_path)
    assert "files that git tracks" in str(caught.value.hint)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    with pytest.raises(InputError, match="HEAD"):
        _ = read_checkout(tmp_path).label


@pytest.mark.parametrize("name", ["inv", "models.toml", "requirements/runtime.txt"])
def test_a_checkout_without_what_a_host_needs_is_refused_by_name(repository, name):
    (repository.folder / name).unlink()
    with pytest.raises(InputError, match=f"{name} is not there"):
        read_checkout(repository.folder)


def model(repository: Repository, path: str) -> GitCheckout:
    repository.write("models.toml", f'[[models.alpha]]\npath = "{path}"\ntriton_version = 1\n')
    repository.git("add", "models.toml")
    return read_checkout(repository.folder)


def test_a_model_that_git_does_not_track_is_refused_with_both_ways_out(repository, tmp_path):
    repository.write(".gitignore", "*.onnx\n")
    repository.write("models/a.onnx", "weights")
    with pytest.raises(InputError, match=r"alpha/1: .*a\.onnx is not tracked by git") as caught:
        model(repository, "models/a.onnx").require_models(HERE)
    assert "git add models/a.onnx" in str(caught.value.hint)
    assert "--push" in str(caught.value.hint)
    repository.git("add", "--force", "models/a.onnx")
    model(repository, "models/a.onnx").require_models(HERE)
    (tmp_path / "b.onnx").write_text("weights")
    with pytest.raises(InputError, match=r"b\.onnx lies outside of the checkout"):
        model(repository, "../b.onnx").require_models(HERE)
    (repository.folder / "link.onnx").symlink_to(tmp_path / "b.onnx")
    repository.git("add", "--force", "link.onnx")
    with pytest.raises(InputError, match="lies outside of the checkout"):
        model(repository, "link.onnx").require_models(HERE)


def test_a_model_for_other_hosts_need_not_be_tracked(repository):
    repository.write("a.onnx", "weights")
    text = '[[models.alpha]]\npath = "a.onnx"\ntriton_version = 1\nhosts = ["gpu-02"]\n'
    repository.write("models.toml", text)
    read_checkout(repository.folder).require_models(HERE)
