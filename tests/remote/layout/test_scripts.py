"""Shell programs: variables in front, and each script run by the sh of this machine."""

import base64
import fcntl
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.paths import PROJECT
from tritonops.remote.client.host_state import digests, parse_inspection
from tritonops.remote.layout.scripts import script

SCRIPTS = sorted((PROJECT / "tritonops/remote/scripts").glob("*.sh"))
INSPECTION = ("answer", "read_env", "free_space", "inspect_host")
WHOLE = ("bin/python", ".requirements.txt")
HOSTILE = """it's "$HOME" `id` $(id) \\ ; # é"""


def sh(program, *, home=Path("/"), check=True, data=b""):
    """Run a program as a host would, with this home."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    return subprocess.run(
        ["sh", "-c", f"{{\n{program}\n}}"], cwd=home, env=environment, input=data, capture_output=True, check=check
    )


def answers(program, **options):
    """Read keys, tabs and values."""
    lines = sh(program, **options).stdout.decode().splitlines()
    return [tuple(line.split("\t", 1)) for line in lines]


@pytest.fixture
def home(tmp_path):
    (tmp_path / "tritonops").mkdir()
    return tmp_path


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_is_posix_shell_with_and_without_its_comments(path):
    for program in (path.read_text(), script(path.stem)):
        done = subprocess.run(["sh", "-n"], input=program, capture_output=True, text=True, check=False)
        assert done.stderr == ""


def test_shellcheck_has_no_complaint():
    shellcheck = PROJECT / ".venv/bin/shellcheck"
    if not shellcheck.exists():
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([shellcheck, *SCRIPTS], capture_output=True, text=True, check=False)
    assert done.stdout == ""


def test_values_and_arguments_arrive_as_they_are():
    program = script(value=HOSTILE, number=7, flag=True, other=False, arguments=[HOSTILE, "", "-n"])
    done = sh(program + r'printf "%s|" "$value" "$number" "$flag" "$other" "$@"')
    assert done.stdout.decode() == f"{HOSTILE}|7|yes|no|{HOSTILE}||-n|"


def test_comments_do_not_travel():
    assert "#!/bin/sh" not in script("digests")
    assert "# " not in script("inspect_host")


def inspection(home, *, before="", **options):
    """Run inspect_host.sh as a client does."""
    program = before + script(*INSPECTION, root="tritonops", measure_free=False, **options)
    return parse_inspection(sh(program, home=home).stdout.decode(errors="surrogateescape"))


def test_the_script_of_a_deploy_with_nothing_to_do_is_short():
    assert len(script(*INSPECTION, root="tritonops", measure_free=False)) <= 2700


def test_a_host_without_the_folder_says_where_it_would_be(home):
    (home / "tritonops").rmdir()
    found = inspection(home)
    assert (found.answers, found.files, found.env) == ({"home": [str(home)]}, (), b"")


def test_the_state_of_a_host_is_read_in_one_go(home):
    root = home / "tritonops"
    (root / "releases/r1").mkdir(parents=True)
    (root / "shared/triton/by_hand").mkdir(parents=True)
    (root / "shared/.server").mkdir()
    (root / "current").symlink_to("releases/r1")
    (root / "releases/r1/release.json").write_text('{"id": "r1"}')
    (root / "releases/r1/outcome.json").write_text('{"result": "done"}\n')
    (root / "releases/r1/listed").write_text("alpha\n")
    (root / "env").write_text("KEY='two\nlines'\n")
    found = inspection(home)
    answers = {key: value for key, [value] in found.answers.items()}
    assert (answers["root"], answers["current"], answers["model"]) == (str(root), "releases/r1", "by_hand")
    assert (answers["is_listed"], answers["listed"]) == ("yes", "alpha")
    assert answers["release"] == '{"id": "r1"}'
    assert found.activation == '{"result": "done"}'
    assert found.env == b"KEY='two\nlines'\n"
    assert (found.files, found.records("shared/triton")) == ((), [])
    assert {"served_env", "free"}.isdisjoint(answers)


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_first_deploy_in_progress_has_a_lock_and_envs_and_no_current_release(home, shell):
    for name in ("envs", "shared"):
        (home / "tritonops" / name).mkdir()
    (home / "tritonops/lock").write_text('{"who": "ann"}\n')
    program = script(*INSPECTION, root="tritonops", measure_free=False)
    done = subprocess.run(
        [shell, "-c", f"{{\n{program}\n}}"],
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        capture_output=True,
        timeout=20,
        check=True,
    )
    found = parse_inspection(done.stdout.decode())
    assert (found.answers["owner"], found.answers["current"]) == (['{"who": "ann"}'], [""])
    assert "served_env" not in found.answers


@pytest.mark.parametrize("wrong", ["a folder", "no find"])
def test_what_cannot_be_read_is_not_taken_for_nothing(home, wrong):
    root = home / "tritonops"
    for folder in ("releases/r1", "shared/triton/alpha/1", "bin"):
        (root / folder).mkdir(parents=True)
    (root / "shared/triton/alpha/1/model.onnx").write_text("x")
    (root / "current").symlink_to("releases/r1")
    (root / "releases/r1/listed").write_text("alpha\n")
    if wrong == "a folder":
        (root / "releases/r1/outcome.json").mkdir()
        assert inspection(home).activation == ""
        return
    find = root / "bin/find"
    find.write_text("#!/bin/sh\necho unrecognized: -printf >&2\nexit 1\n")
    find.chmod(0o755)
    assert digests(inspection(home, before=f"PATH={root}/bin:$PATH\n"))[2] == "no files"


def test_free_space_is_measured_where_it_is_asked_for(home):
    program = script(*INSPECTION, root="tritonops", measure_free=True)
    [free] = parse_inspection(sh(program, home=home).stdout.decode()).answers["free"]
    assert int(free) == pytest.approx(shutil.disk_usage(home).free / 1024, rel=0.01)


def test_the_state_of_a_host_takes_two_programs(home):
    root = home / "tritonops"
    for folder in ("releases/r1", "shared/triton/alpha/1", "shared/.server", "envs", "bin"):
        (root / folder).mkdir(parents=True)
    (root / "current").symlink_to("releases/r1")
    for name in ("current/release.json", "current/outcome.json", "current/listed", "env", "envs/r1", "lock"):
        (root / name).write_text("x\n")
    for name in ("find", "cat"):
        (root / "bin" / name).symlink_to(str(shutil.which(name)))
    program = script(*INSPECTION, root="tritonops", measure_free=False)
    assert sh(f"PATH={root}/bin\n{program}", home=home).stdout.endswith(b"\0x\n\0env:\nx\n")


def test_a_seal_changes_with_a_file_and_not_with_an_exclude_file(home):
    root = home / "tritonops"
    model = root / "shared/triton/alpha/1/model.onnx"
    model.parent.mkdir(parents=True)
    model.write_text("one")
    program = script("digests") + "cd tritonops && digests"
    before = sh(program, home=home).stdout
    (root / "shared/triton/.exclude").write_text("x")
    assert sh(program, home=home).stdout == before
    model.write_text("two")
    assert sh(program, home=home).stdout.split()[2] != before.split()[2]


def test_a_seal_sees_the_files_behind_a_linked_models_folder(home, tmp_path):
    model = tmp_path / "big-disk/alpha/1/model.onnx"
    model.parent.mkdir(parents=True)
    model.write_text("one")
    (home / "tritonops/shared").mkdir()
    (home / "tritonops/shared/triton").symlink_to(tmp_path / "big-disk")
    program = script("digests") + "cd tritonops && digests"
    before = sh(program, home=home).stdout.split()
    model.write_text("another")
    after = sh(program, home=home).stdout.split()
    assert (before[0] != after[0], before[2] != after[2]) == (True, True)


NAMES = ["alpha", "be ta", "gämma", "we\\ird", "extra"]


@pytest.mark.parametrize("record", ['{"seal": "0123456789abcdef"}', "{}"], ids=["sealed", "of an earlier version"])
@pytest.mark.parametrize("listed", [None, "", "alpha\nbe ta\ngämma\n", "alpha\nbe ta\ngämma\nwe\\ird\nextra\n"])
def test_the_client_digests_the_files_as_the_host_does(home, listed, record):
    root = home / "tritonops"
    release = root / "releases/r1"
    release.mkdir(parents=True)
    (root / "current").symlink_to("releases/r1")
    (release / "outcome.json").write_text(record)
    if listed is not None:
        (release / "listed").write_text(listed)
    for number, name in enumerate(NAMES):
        folder = root / ("shared/triton-disabled" if number == 2 else "shared/triton") / name
        (folder / "1/__pycache__").mkdir(parents=True)
        for path in ("1/model.onnx", "1/__pycache__/x.pyc", "1/\udcff", "config.pbtxt", ".exclude", "a\nb"):
            (folder / path).write_text(name)
    (root / "shared/triton/a-file").write_text("x")
    (root / "env").write_text("A='1\n2'\n")
    by_host = sh(script("digests") + "cd tritonops && digests", home=home).stdout.decode().split()
    found = inspection(home)
    assert [*digests(found)][by_host[0] == "-" :] == by_host[by_host[0] == "-" :]


LOADS = """\
I1129 13:34:34.1 7 model_lifecycle.cc:839] "successfully loaded 'begun'"
I1129 13:34:35.4 7 model_lifecycle.cc:472] "loading: beta.large:1"
I1129 13:34:35.5 7 python_be.cc:2249] "TRITONBACKEND_ModelInstanceInitialize: beta.large_0_0 (CPU device 0)"
I1129 13:34:35.7 7 model_lifecycle.cc:839] "successfully loaded 'beta.large'"
I1129 13:34:36.1 7 model_lifecycle.cc:472] "loading: alpha:1"
I1129 13:34:36.2 7 model_lifecycle.cc:839] "successfully loaded 'alpha'"
I1129 13:34:36.3 7 model_lifecycle.cc:472] "loading: gamma:1"
E1129 13:34:36.4 7 model_lifecycle.cc:654] "failed to load 'gamma' version 1: Internal: no"
"""


@pytest.fixture
def logged(home):
    """A host with a log; gives what is reported to be loaded since its end was recorded."""
    root = home / "tritonops"
    log = root / "shared/.server/triton.log"
    log.parent.mkdir(parents=True)
    log.write_text("I1 successfully loaded 'alpha'\n")
    (root / "current").mkdir()
    (root / "current/listed").write_text("alpha\nbeta.large\n")
    (root / "shared/.server/triton.pid").write_text(f'{{"pid": {os.getpid()}}}')
    program = script("loads_since", "server_process") + "cd tritonops && "
    end = sh(f"{program} log_end", home=home).stdout.decode().strip()
    server = sh(f"{program} server_process embedded", home=home).stdout.decode().strip()
    assert end == f"{log.stat().st_ino}:{log.stat().st_size}"

    def since(server=server):
        return sh(f'{program} loads_since embedded "{end}" 2026-01-01T00:00:00Z "{server}"', home=home).stdout.decode()

    return log, since


def test_the_loads_since_an_activation_are_those_after_the_end_of_its_log(logged):
    log, since = logged
    assert since() == ""
    with log.open("a") as file:
        file.write(LOADS)
    assert since() == "begun\nbeta.large\n"
    log.rename(log.with_name("moved"))
    log.symlink_to("moved")
    assert since() == "begun\nbeta.large\n"


EVERY = "alpha\nbeta.large\n"


def cut(log):
    log.write_text("cut by logrotate\n")


def cut_and_grown_again(log):
    log.write_text("I9 loaded by nobody\n" * 99)


def rotated(log):
    log.rename(log.with_name("before"))
    log.write_text("")


@pytest.mark.parametrize("lose", [cut, cut_and_grown_again, rotated, Path.unlink])
def test_a_log_of_the_same_server_that_is_not_whole_may_have_lost_a_load_of_every_model(logged, lose):
    log, since = logged
    lose(log)
    assert since() == EVERY
    (log.parents[2] / "current/listed").unlink()
    for name in ("of an", "earlier.version"):
        (log.parents[1] / "triton" / name).mkdir(parents=True)
    assert since() == "earlier.version\nof an\n"


LOADED = "I5 successfully loaded '{}'\n"
FAILED = "E5 failed to load '{}' version 1: Internal: no\n"


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ((LOADED.format("alpha"), LOADED.format("beta.large")), ""),
        ((LOADED.format("alpha"), LOADED.format("beta.large"), LOADED.format("alpha")), "alpha\n"),
        ((FAILED.format("alpha"), LOADED.format("beta.large"), LOADED.format("alpha")), "alpha\n"),
        ((LOADS, *LOADS.splitlines(keepends=True)[-2:]), "gamma\n"),
    ],
    ids=["the start alone", "a second load", "a load of what the start did not load", "a second failure"],
)
def test_the_start_of_another_server_loads_each_model_once_and_further_loads_count(logged, lines, found):
    log, since = logged
    log.rename(log.with_name("before"))
    log.write_text("".join(lines))
    assert since(server="pid 1, started 1") == found


def test_an_engine_that_does_not_answer_may_have_loaded_every_model(home):
    (home / "tritonops/current").mkdir()
    (home / "tritonops/current/listed").write_text("alpha\nbeta.large\n")
    program = script("loads_since") + "cd tritonops && DOCKER_HOST=unix:///nowhere && export DOCKER_HOST && "
    assert sh(f"{program} loads_since compose '' 2026-01-01T00:00:00Z ''", home=home).stdout == b"alpha\nbeta.large\n"
    assert sh(f"{program} loads_since compose '' '' ''", home=home).stdout == b""  # by a version that kept no time


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize("name", ["inspect_host", "show_env", "replace_env"])
def test_an_env_file_that_cannot_be_read_is_not_taken_for_an_empty_one(tmp_path_factory, name):
    home = tmp_path_factory.mktemp("home")
    for folder in (home, *home.parents[:-2]):
        folder.chmod(0o755)
    root = home / "tritonops"
    root.mkdir(mode=0o777)
    root.chmod(0o777)
    (root / "env").write_text("TRITON_TOKEN=secret\n")
    (root / "env").chmod(0o600)
    names = ("answer", "read_env", "loads_since", name)
    program = script(*names, root="tritonops", content="", before=hashlib.sha256(b"").hexdigest(), changed=45)
    done = subprocess.run(
        ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "sh", "-c", f"{{\n{program}\n}}"],
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "belongs to root" in done.stderr
    assert (root / "env").read_text() == "TRITON_TOKEN=secret\n"


@pytest.mark.parametrize(
    ("names", "tool"), [(INSPECTION, "cat"), (("read_env", "show_env"), "base64")], ids=["inspect_host", "show_env"]
)
def test_an_env_file_that_cannot_be_printed_is_not_taken_for_an_empty_one(home, names, tool):
    (home / "tritonops/env").write_text("TRITON_TOKEN=secret\n")
    of_another_system = home / "bin" / tool
    of_another_system.parent.mkdir()
    of_another_system.write_text("#!/bin/sh\necho unknown option -- w >&2\nexit 1\n")
    of_another_system.chmod(0o755)
    program = script(*names, root="tritonops", measure_free=False)
    done = sh(f'PATH="$HOME/bin:$PATH"\n{program}', home=home, check=False)
    assert done.returncode == 1
    assert b"unknown option" in done.stderr


def replace_env(home, before, content):
    program = script(
        "read_env",
        "replace_env",
        root="tritonops",
        content=base64.b64encode(content).decode(),
        before=hashlib.sha256(before).hexdigest(),
        changed=45,
    )
    return sh(program, home=home, check=False)


def test_the_env_file_is_replaced_whole_unless_it_changed_meanwhile(home):
    done = replace_env(home, b"", b"A=1\n")
    assert base64.b64decode(done.stdout) == b"A=1\n"
    env = home / "tritonops/env"
    assert env.stat().st_mode & 0o777 == 0o600
    assert base64.b64decode(sh(script("read_env", "show_env", root="tritonops"), home=home).stdout) == b"A=1\n"
    assert replace_env(home, b"another", b"A=2\n").returncode == 45
    assert env.read_text() == "A=1\n"
    assert [path.name for path in env.parent.iterdir()] == ["env"]


def begin(home, label="abc", sizes=""):
    program = script("begin_release", "missing_files", root="tritonops", label=label, sizes=sizes)
    return answers(program, home=home)


def test_releases_are_numbered_and_large_files_that_are_missing_are_named(home):
    assert dict(begin(home))["id"] == "r000001-abc"
    store = home / "tritonops/shared/.store"
    (store / "there").write_text("12")
    found = begin(home, sizes="there 2\nhalf 3\n")
    assert dict(found)["id"] == "r000002-abc"
    assert [value for key, value in found if key == "missing"] == ["half"]
    (home / "tritonops/number").unlink()
    assert dict(begin(home))["id"] == "r000003-abc"


def test_a_lock_that_is_taken_is_answered_with_its_owner(home):
    begin(home)
    (home / "tritonops/lock").write_text('{"who": "ann"}')
    with (home / "tritonops/lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert begin(home) == [("locked", '{"who": "ann"}')]


def receive(root, files, *, large=(), record="{}", models_toml=None):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    program = script(
        "listing",
        "receive_release",
        "complete_release",
        arguments=[word for words in large for word in words],
        root=str(root),
        id="r1",
        different=45,
        record=record,
        wrapper="#!/bin/sh\necho it works\n",
        has_own_models=models_toml is not None,
        models_toml=models_toml or "",
    )
    # As Host.run sends it: head takes the script alone.
    text = f"{{\n{program}\n}}".encode()
    command = ["sh", "-c", f"exec sh -c 'eval \"$(head -c {len(text)})\"'"]
    return subprocess.run(command, input=text + buffer.getvalue(), capture_output=True, check=False)


def line(path, content):
    return f"{hashlib.sha256(content).hexdigest()}  ./{path}\0".encode()


@pytest.fixture
def partial(home):
    folder = home / "tritonops/releases/r1.partial"
    (folder / "project").mkdir(parents=True)
    (home / "tritonops/shared/.store/incoming").mkdir(parents=True)
    return folder


def test_a_release_is_completed_when_every_file_is_the_one_that_was_sent(home, partial):
    root, name, big = home / "tritonops", "a 'large' $file", b"x" * 100
    digest = hashlib.sha256(big).hexdigest()
    (root / "shared/.store/incoming" / digest).write_bytes(big)
    manifest = line(name, big) + line("models.toml", b"all")
    files = {"manifest": manifest, "project/models.toml": b"all"}
    record = json.dumps({"subject": HOSTILE})
    done = receive(root, files, large=[(digest, "-", name)], record=record, models_toml=HOSTILE)
    assert (done.returncode, done.stderr) == (0, b"")
    release = root / "releases/r1"
    assert (release / "project" / name).read_bytes() == big
    assert json.loads((release / "release.json").read_text()) == {"subject": HOSTILE}
    assert (release / "project/models.toml").read_text() == f"{HOSTILE}\n"
    assert (release / "project/.env").readlink() == Path("../../../envs/r1")
    assert subprocess.check_output([release / "inv"]) == b"it works\n"
    assert not partial.exists()


def test_a_release_with_another_file_than_was_sent_is_refused_and_the_damaged_one_moved_away(home, partial):
    root, digest = home / "tritonops", hashlib.sha256(b"sent").hexdigest()
    (root / "shared/.store" / digest).write_bytes(b"other")
    done = receive(root, {"manifest": line("large", b"sent")}, large=[(digest, "-", "large")])
    assert done.returncode == 45
    assert digest in done.stderr.decode()
    assert partial.exists()
    assert (root / "shared/.store/replaced" / digest).read_bytes() == b"other"


@pytest.mark.parametrize(
    ("files", "asked"), [((), True), (("bin/python",), True), ((".requirements.txt",), True), (WHOLE, False)]
)
def test_a_host_is_asked_for_a_python_unless_its_environment_is_whole(home, files, asked):
    for name in files:
        path = home / "tritonops/shared/venvs/abc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o755)
    noted = home / "bin/python3.12"
    noted.parent.mkdir()
    noted.write_text("#!/bin/sh\nexit 0\n")
    noted.chmod(0o755)
    names = ("enter_folder", "answer", "preflight")
    program = script(*names, root="tritonops", venv="abc", image="x", compose=False, gpu_in_container=False)
    found = dict(answers(f"PATH={noted.parent}:$PATH\n{program}", home=home))
    assert found["python"] == ("python3.12" if asked else "abc")


def test_preflight_answers_what_it_is_asked(home):
    names = ("enter_folder", "answer", "preflight", "examine")
    program = script(*names, root="tritonops", venv="abc", image="", compose=False, gpu_in_container=False)
    (home / "tritonops/shared/venvs/abc").mkdir(parents=True)
    (home / "tritonops/current/project").mkdir(parents=True)
    (home / "tritonops/current/project/ml.yml").write_text("  image: ${TRITON_IMAGE:-example/triton:1}\n")
    found = dict(answers(program, home=home))
    assert (found["venv"], found["image"]) == ("yes", "example/triton:1")
    assert int(found["now"]) > 0
    assert "engine" not in found


@pytest.mark.parametrize(
    ("command", "completes"),
    [("- tritonserver", None), ("- --disable-auto-complete-config", "no"), ("# --disable-auto-complete-config", None)],
)
def test_a_verdict_depends_on_the_options_of_the_current_release_and_on_the_gpus(home, tmp_path, command, completes):
    (home / "tritonops/current/project").mkdir(parents=True)
    (home / "tritonops/current/project/ml.yml").write_text(f"services:\n  {command}\n")
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text("#!/bin/sh\necho 'GPU 0: H200'; echo 'GPU 1: H200'\n")
    smi.chmod(0o755)
    program = f"PATH={smi.parent}:$PATH\n" + script("answer", "judge", root="tritonops")
    found = dict(answers(program, home=home))
    assert (found["gpus"], found.get("completes")) == ("2", completes)


def activation(home, body):
    """Start an activation by an inv with this body, and follow it."""
    release = home / "tritonops/releases/r1"
    (release / "project").mkdir(parents=True, exist_ok=True)
    (release / "project/inv").touch(mode=0o755)
    (release / "inv").write_text(f"#!/bin/sh\n{body}\n")
    (release / "inv").chmod(0o755)
    values = {"root": str(home / "tritonops"), "id": "r1", "run": "0", "not_started": "44"}
    start = script("start_activation", **values, runner="gone", by="me & you", kind="deploy", prune_models=False)
    return sh(start + script("follow_activation", **values), home=home, check=False)


def test_an_activation_is_started_with_its_words_and_followed_to_its_end(home):
    done = activation(home, 'sleep 0.1; printf "%s|" "$@"; echo; echo last')
    assert done.stdout.decode().splitlines() == ["remote.activate|r1|--by|me & you|--kind|deploy|", "last"]
    shown = sh(script("newest_activation_log", root="tritonops"), home=home)
    assert shown.stdout.decode().splitlines()[-1] == "last"


def test_an_activation_that_did_not_start_cannot_be_followed(home):
    program = script("follow_activation", root="tritonops", id="r1", run="0", not_started=44)
    assert sh(program, home=home, check=False).returncode == 44


def test_releases_pins_and_audit_log_are_listed(home):
    root = home / "tritonops"
    for name in ("r1", "r2.partial"):
        (root / "releases" / name).mkdir(parents=True)
        (root / "releases" / name / "release.json").write_text(f'{{"id": "{name}"}}')
    (root / "current").symlink_to("releases/r1")
    (root / "audit.log").write_text("{}\n")
    (root / "releases/r1/project").mkdir()
    (root / "releases/r1/project/models.lock").write_text("pins")
    found = answers(script("answer", "list_releases", root="tritonops"), home=home)
    assert found == [("current", "releases/r1"), ("release", '{"id": "r1"}'), ("activation", "")]
    assert sh(script("audit_log", root="tritonops"), home=home).stdout == b"{}\n"
    assert sh(script("current_pins", root="tritonops"), home=home).stdout == b"pins"
    (root / "releases/r1/project/file").write_text("x")
    listed = base64.b64decode(sh(script("listing", "current_files", root="tritonops"), home=home).stdout)
    assert line("file", b"x") in listed


def test_a_host_is_locked_and_unlocked_by_hand(home):
    sh(script("lock_host", root="tritonops", owner='"who": "ann", "what": "disks", "pid": null}'), home=home)
    lock = home / "tritonops/lock"
    assert json.loads(lock.read_text())["who"] == "ann"
    sh(script("unlock_host", root="tritonops", pid=""), home=home)
    assert lock.read_text() == ""


def test_unlocking_ends_the_process_of_a_deploy(home):
    with subprocess.Popen(["sleep", "20"]) as process:
        sh(script("unlock_host", root="tritonops", pid=process.pid), home=home)
        assert process.wait() < 0


@pytest.mark.parametrize("name", ["run_task", "ask_task"])
def test_a_task_gets_its_words_and_gives_its_exit_code(home, name):
    inv = home / "tritonops/current/inv"
    inv.parent.mkdir()
    inv.write_text('#!/bin/sh\nprintf "%s|" "$@"; exit 3\n')
    inv.chmod(0o755)
    done = sh(script(name, root="tritonops", arguments=["triton.load", HOSTILE]), home=home, check=False)
    assert (done.returncode, done.stdout.decode()) == (3, f"triton.load|{HOSTILE}|")


def test_the_process_that_serves_is_named_by_its_id_and_its_start(home):
    pid_file = home / "tritonops/shared/.server/triton.pid"
    pid_file.parent.mkdir(parents=True)
    pid_file.write_text(json.dumps({"pid": os.getpid()}))
    program = script("answer", "server_process", "prove_release", root="tritonops", runtime="embedded", port=8001)
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    assert dict(answers(program, home=home))["server"] == f"pid {os.getpid()}, started {started}"
    pid_file.unlink()
    assert dict(answers(program, home=home))["server"] == ""
