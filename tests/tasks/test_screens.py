"""Screens as a person sees them: tmux draws real terminals of 80 × 24 and 40 × 24."""

import json
import os
import shlex
import subprocess
import sys

import pytest

from tests.hub.server import Link
from tests.onnx_models import affine, write_model
from tests.screens import INV

LONG = [f"a-model-of-a-team-that-likes-long-names-{number:02}" for number in range(26)]


@pytest.mark.parametrize("columns", [80, 40])
def test_the_shipped_catalogue_is_listed_with_every_name_whole(screen, columns, tmp_path):
    shown = screen(columns, TRITON_MODELS_DIR=str(tmp_path / "triton")).run(f"{INV} models.list")
    listed = json.loads(subprocess.check_output([*shlex.split(INV), "models.list", "--json"], text=True))
    assert {row["name"] for row in listed} <= set(shown.split())
    rows = [line for line in shown.splitlines() if line.split()[-1:] in (["no"], ["gpu"], ["-"])]
    assert max(map(len, rows), default=0) <= max(columns, 66)
    assert f"0 of {len(listed)} model versions" in " ".join(shown.split())


@pytest.mark.parametrize("columns", [80, 40])
def test_a_download_of_many_models_has_a_fixed_height_and_its_total(screen, columns, tmp_path, hub):
    for name in LONG:
        hub.push(f"team/{name}", {"model.onnx": name.encode() * 60_000})
    entry = '[[models.{0}]]\nrepo_id = "team/{0}"\nmodel_path = "model.onnx"\ntriton_version = 1\n'
    entries = [entry.format(name) for name in LONG]
    (tmp_path / "models.toml").write_text("\n".join(entries))
    hub.link = Link(bytes_per_second=400_000, latency=0.05)
    settings = {"MODELS_TOML": str(tmp_path / "models.toml"), "TRITON_MODELS_DIR": str(tmp_path / "triton")}
    terminal = screen(columns, HF_ENDPOINT=hub.endpoint, HF_HOME=str(tmp_path), **settings)
    terminal.start(f"{INV} models.download --jobs 4")
    drawn = terminal.wait(" left", "%", "complete")
    lines = [line for line in drawn.splitlines() if line.strip()]
    assert len(lines) <= 12
    assert max(map(len, lines)) <= columns, drawn
    assert sum("%" in line for line in lines) >= 2
    terminal._tmux("send-keys", "-t", "screen", "C-c")
    ended = terminal.wait("ended-1-130")
    assert "kept; run it again to resume" in " ".join(ended.split())


def test_a_plan_of_many_models_is_a_line_each_and_their_count(screen, tmp_path, triton):
    (tmp_path / "model.onnx").write_bytes(affine(2, 1).SerializeToString())
    entries = [f'[[models.{name}]]\npath = "model.onnx"\ntriton_version = 1\n' for name in LONG]
    (tmp_path / "models.toml").write_text("\n".join(entries))
    settings = {"MODELS_TOML": str(tmp_path / "models.toml"), "TRITON_MODELS_DIR": str(tmp_path / "triton")}
    terminal = screen(80, TRITON_URL=triton.grpc_url, TRITON_CONFIG_DIR=str(tmp_path), **settings)
    shown = terminal.run(f"{INV} triton.plan --cpu {' '.join(LONG)}")
    assert all(f"{name}/1" in shown.split() or name in shown.split() for name in LONG)
    assert "26 models: " in shown
    assert "… and 16 more" in " ".join(shown.split())
    assert max(len(line) for line in shown.splitlines() if line.startswith(("!", "+"))) <= 80


def test_a_slow_model_is_named_while_the_server_starts(screen, tmp_path, free_server, project_of_two):
    models = tmp_path / "triton"
    write_model(models, "quick")
    slow = models / "slow"
    (slow / "1").mkdir(parents=True)
    (slow / "config.pbtxt").write_text('name: "slow"\nbackend: "python"\n')
    (slow / "1/model.py").write_text(
        "import time\nclass TritonPythonModel:\n    def initialize(self, args): time.sleep(4)\n"
        "    def execute(self, requests): return []\n"
    )
    free_server()
    kept = ("TRITON_EXPOSE_HTTP", "TRITON_EXPOSE_GRPC", "TRITON_EXPOSE_METRICS", "TRITON_MODELS_DIR", "MODELS_TOML")
    terminal = screen(80, **{name: os.environ[name] for name in kept})
    terminal.start(f"{INV} server.up")
    drawn = terminal.wait("slow: loading", " s\n")
    assert "Triton loads its models, " in drawn
    done = terminal.wait(terminal.ended)
    assert "slow: loading" not in done
    assert "READY" in done


def test_statistics_fit_the_terminal(screen, triton, tmp_path):
    write_model(triton.models_dir, "a_model_with_a_long_name_for_a_screen")
    settings = {"TRITON_URL": triton.grpc_url, "TRITON_MODELS_DIR": str(triton.models_dir)}
    terminal = screen(80, **settings)
    terminal.run(f"{INV} triton.load a_model_with_a_long_name_for_a_screen")
    shown = terminal.run(f"{INV} triton.stats a_model_with_a_long_name_for_a_screen")
    assert "a_model_with_a_long_name_for_a_screen" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_picture_falls_back_where_stdout_is_ascii(monkeypatch, capfd):
    from tasks.output.terminal import drawable

    monkeypatch.setattr(sys, "stdout", open(os.devnull, "w", encoding="ascii"))  # noqa: SIM115
    try:
        assert drawable("░▒▓█") == ".+*#"
    finally:
        sys.stdout.close()


def test_a_slow_load_of_an_apply_is_shown_with_its_seconds(screen, project_of_two, free_server, inv):
    (project_of_two / "model.py").write_text(
        "import time\nclass TritonPythonModel:\n    def initialize(self, args): time.sleep(4)\n"
        "    def execute(self, requests): return []\n"
    )
    with (project_of_two / "models.toml").open("a") as catalog:
        catalog.write('[[models.slow]]\npath = "model.py"\nlocal_name = "model.py"\ntriton_version = 1\n')
    (project_of_two / "configs/slow").mkdir()
    (project_of_two / "configs/slow/cpu.pbtxt").write_text('name: "slow"\nbackend: "python"\n')
    free_server()
    assert inv("models.download", "--include", "clip")[0] == 0
    assert inv("models.config", "--cpu", "--include", "clip")[0] == 0
    code, _, err = inv("server.up")
    assert code == 0, err
    terminal = screen(
        80, **{name: value for name, value in os.environ.items() if name.startswith(("TRITON", "MODELS"))}
    )
    terminal.start(f"{INV} triton.apply --cpu slow")
    drawn = terminal.wait("now: load slow", " s\n")
    assert "Triton, " in drawn
    done = terminal.wait(terminal.ended)
    assert "now: load slow" not in done
    assert "slow" in done
