"""Completion in real shells, as a user presses Tab: the words before the cursor, and an empty last word too."""

import os
import subprocess
from pathlib import Path

import pytest

from tests import programs
from tests.paths import PROJECT

CASES = [
    # before the cursor, the word at the cursor, some of what is offered, and what is not
    ([], "", {"models.list", "triton.load", "quickstart"}, {"clip"}),
    ([], "models.d", {"models.disable", "models.download"}, {"models.list"}),
    (["models.download"], "", {"clip", "siglip"}, {"models.list"}),
    (["models.download"], "s", {"siglip"}, {"clip"}),
    (["models.download", "clip"], "", {"siglip"}, {"clip"}),
    (["models.download"], "--", {"--include", "--jobs", "--json", "--help"}, {"--url"}),
    (["models.download", "--include"], "", {"clip", "siglip"}, {"--json"}),
    (["models.download", "--json"], "--", {"--include"}, {"--json"}),
    (["triton.infer"], "", {"clip", "siglip"}, set()),
    (["triton.infer", "clip", "--version"], "", {"1"}, {"clip"}),
    (["remote.plan", "--host"], "", {"gpu-01", "gpu-02"}, {"*.lan"}),
    (["remote.plan", "--host"], "gpu-01,", {"gpu-01,gpu-02"}, {"gpu-01,gpu-01"}),
    (["remote.plan", "--group"], "", {"canary"}, {"gpu-01"}),
    (["remote.rollback", "--host", "gpu-01", "--to"], "", {"r7-abc"}, set()),
    (["compose.up", "--service"], "", {"triton"}, set()),
    (["completion"], "", {"bash", "fish", "zsh"}, set()),
    (["models.list"], "server.", {"server.up", "server.down"}, {"models.list"}),
    (["triton.infer", "clip", "--input"], "exa", {"example.json"}, {"other.txt"}),
]


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A folder with models, hosts, a release that was seen, and files; and its environment."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "models.toml").write_text(
        "".join(f'[[models.{name}]]\npath = "{name}.onnx"\ntriton_version = 1\n' for name in ("clip", "siglip"))
    )
    (folder / "ssh_config").write_text("Host gpu-01 gpu-02 *.lan\n  User me\n")
    for name in ("example.json", "other.txt"):
        (folder / name).touch()
    releases = folder / "cache/tritonops/releases"
    releases.mkdir(parents=True)
    (releases / "gpu-01.json").write_text('["r7-abc"]')
    environment = {
        "PATH": f"{PROJECT}:{os.environ['PATH']}",
        "HOME": str(folder),
        "MODELS_TOML": str(folder / "models.toml"),
        "TRITON_MODELS_DIR": str(folder / "triton"),
        "TRITON_SSH_CONFIG": str(folder / "ssh_config"),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "LANG": "C.UTF-8",
    }
    return folder, environment


def candidates(clone, words, shell="zsh"):
    """Ask the program itself, as the scripts do."""
    folder, environment = clone
    command = [str(PROJECT / "inv"), "--complete-words", shell, "inv", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return [line.partition("\t")[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(("before", "current", "offered", "others"), CASES)
def test_the_word_at_the_cursor_has_candidates(clone, before, current, offered, others):
    if "--group" in before:
        offered = set()  # the groups are those of this project's hosts.toml
    found = set(candidates(clone, [*before, current]))
    if current == "exa":
        assert found == {":files"}
    else:
        assert offered <= found
    assert not others & found


def test_a_value_behind_an_equals_sign_is_completed_as_the_shell_takes_words_apart(clone):
    assert candidates(clone, ["models.download", "--include=cl"]) == ["--include=clip"]
    assert candidates(clone, ["models.download", "--include", "=", "cl"], shell="bash") == ["clip"]


def test_the_services_are_those_of_compose_file_with_its_separator(clone):
    folder, environment = clone
    (folder / "app.yml").write_text("name: shop\nservices:\n  web:\n    image: web\n  # a comment\n  triton: {}\n")
    (folder / "more.yml").write_text("services:\n    db:\n        image: db\nvolumes:\n    data: {}\n")
    files = {"COMPOSE_FILE": "app.yml;more.yml", "COMPOSE_PATH_SEPARATOR": ";"}
    found = candidates((folder, {**environment, **files}), ["compose.up", "--service", ""])
    assert found == ["db", "triton", "web"]


def test_an_error_offers_nothing(clone):
    folder, environment = clone
    broken = {**environment, "MODELS_TOML": str(folder / "other.txt/x")}
    assert candidates((folder, broken), ["models.download", "--include", ""]) == []


@pytest.mark.parametrize("called", ["inv", "./inv", "through a link"])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_real_shell_completes_tasks_and_values(clone, tmp_path, shell, called):
    program = programs.find(shell)
    if not program:
        programs.unavailable(f"no {shell}, install {shell}")
    folder, environment = clone
    for name in ("inv",):
        link = tmp_path / name
        link.symlink_to(PROJECT / "inv")
    command = {
        "inv": "inv",
        "./inv": os.path.relpath(PROJECT / "inv", folder),
        "through a link": str(tmp_path / "inv"),
    }[called]
    script = subprocess.check_output([str(PROJECT / "inv"), "completion", shell], env=environment, text=True)
    (tmp_path / "script").write_text(script)
    for before, current, offered, others in CASES if called == "inv" else CASES[2:5]:
        if "--group" in before:
            continue
        found = _COMPLETE[shell](program, tmp_path / "script", folder, environment, command, before, current)
        assert offered <= found, (shell, command, before, current, found)
        assert not others & found, (shell, command, before, current, found)


def _bash(program, script, folder, environment, command, before, current):
    words = [command, *before, current]
    body = (
        'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
        f"function=$(complete -p {Path(command).name} | sed 's/.*-F \\([^ ]*\\).*/\\1/'); "
        '"$function"; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        [program, "--norc", "-c", body, "bash", str(script), *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split("\n"))


def _fish(program, script, folder, environment, command, before, current):
    line = " ".join([command, *before, current])
    body = f"source {script}; complete --do-complete '{line}'"
    done = subprocess.run(
        [program, "--no-config", "-c", body], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return {found.partition("\t")[0] for found in done.stdout.splitlines()}


def _zsh(program, script, folder, environment, command, before, current):
    """Call the function as zsh does; compadd, which works in a widget only, writes down what it is given."""
    body = f"""
autoload -Uz compinit && compinit -u -D
source {script}
compadd() {{ print -rl -- "${{(@P)argv[-1]}}" >> $OUT }}
_files() {{ print -rl -- *(N) >> $OUT }}
words=("$@"); CURRENT=$#
compset() {{ return 1 }}
_tritonops_inv
"""
    out = folder / f"zsh.{os.getpid()}"
    out.unlink(missing_ok=True)
    words = [command, *before, current]
    subprocess.run(
        [program, "-f", "-c", body, "zsh", *words],
        cwd=folder,
        env={**environment, "OUT": str(out)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = set(out.read_text().split("\n")) if out.exists() else set()
    if current == "exa":
        found = {name for name in found if name.startswith("exa")}
    return found


_COMPLETE = {"bash": _bash, "zsh": _zsh, "fish": _fish}
