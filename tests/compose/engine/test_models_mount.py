"""Which models folder the container sees, and the error for any other than the declared one."""

import os
import subprocess

import pytest

from tests.compose.projects import ComposeProject, docker, remove_project
from tests.onnx_models import affine, write_model
from tests.paths import PROJECT
from tritonops.compose.build_cpu import CPU_IMAGE
from tritonops.compose.engine.models_mount import refuse_leaving_links
from tritonops.errors import InputError, ServiceError

LEAVING = {
    "an absolute link to a model": ("second", "/srv/elsewhere/second"),
    "a link to a model beside the folder": ("second", "../outside/second"),
    "a version in the store": ("first/2", "../../.store/first-2"),
    "a file in the store": ("first/1/weights.bin", "../../../.store/0123"),
    "a link to nothing within the folder": ("second", "third"),
    "a file to nothing within the folder": ("first/1/model.onnx", "../2/model.onnx"),
    "a way over the folder's own name": ("second", "../triton/first"),
    "a loop": ("second", "second"),
}


@pytest.mark.parametrize("case", LEAVING)
def test_a_link_that_leaves_the_mount_is_named(tmp_path, case):
    name, target = LEAVING[case]
    folder = tmp_path / "triton"
    (folder / "first" / "1").mkdir(parents=True)
    (folder / name).symlink_to(target)
    with pytest.raises(InputError) as raised:
        refuse_leaving_links(folder)
    assert f"{name} -> {target}" in str(raised.value)
    assert "no model at all" in str(raised.value.hint)


def test_a_link_within_the_folder_works_in_the_container_too(tmp_path):
    (tmp_path / "first" / "1").mkdir(parents=True)
    (tmp_path / "alias").symlink_to("first")
    (tmp_path / "first" / "2").symlink_to("1")
    (tmp_path / "first" / "3").symlink_to("../first/1")
    refuse_leaving_links(tmp_path)


@pytest.mark.docker
def test_a_link_that_leaves_the_mount_is_refused_before_anything_is_started(project):
    (project.models_dir / "second").symlink_to("/srv/elsewhere")
    with pytest.raises(InputError, match="second -> /srv/elsewhere"):
        project.up()
    assert project.containers() == []
    assert project.lines[-1] == "serving now: nothing"


@pytest.mark.docker
def test_a_folder_that_was_replaced_under_the_mount_wants_a_restart(project):
    project.up()
    old = project.models_dir.rename(project.models_dir.with_name("old"))
    write_model(project.models_dir, "first", {1: affine(5)})
    with pytest.raises(ServiceError, match="was replaced while the container runs") as raised:
        project.up()
    assert "compose.restart" in str(raised.value.hint)
    assert project.serving() == {"first"}
    write_model(project.models_dir, "second", {1: affine(5)})
    with pytest.raises(ServiceError, match="was replaced"):
        project.up()
    project.up(recreate=True)
    assert project.serving() == {"first", "second"}
    assert old.is_dir()


@pytest.mark.docker
def test_another_machines_folder_is_told_from_an_empty_one(project, tmp_path):
    """The client sees models in the folder, in a mount namespace of its own; the engine sees none."""
    write_model(project.models_dir, "second", {1: affine(3)})
    engines = tmp_path / "engines"
    engines.mkdir()
    clients = project.models_dir.rename(tmp_path / "clients")
    project.models_dir.mkdir()
    script = f"mount --bind {clients} {project.models_dir} && exec ./inv compose.up --cpu"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script],
        cwd=PROJECT,
        env={**project.service().docker.variables, "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin", "HOME": "/root"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    expected = (
        f"/models is empty while {project.models_dir} has 2 models: first, second: the engine sees another folder"
    )
    assert expected in done.stderr


@pytest.mark.docker
def test_models_in_a_volume_are_those_that_are_expected(project, tmp_path):
    volume = f"{project.name}_models"
    docker("volume", "create", "--label", f"com.docker.compose.project={project.name}", volume)
    box = docker("create", "--volume", f"{volume}:/models", CPU_IMAGE).strip()
    write_model(tmp_path, "stored", {1: affine(3)})
    broken = write_model(tmp_path, "broken")
    (broken / "config.pbtxt").write_text("nonsense {")
    for model in ("stored", "broken"):
        docker("cp", str(tmp_path / model), f"{box}:/models/{model}")
    docker("rm", box)
    extra = tmp_path / "volume.yml"
    extra.write_text(
        "services:\n  triton:\n    volumes: ['models:/models:ro']\n"
        f"volumes:\n  models: {{external: true, name: {volume}}}\n"
    )
    rows = {row.name: row for row in project.up(extra).models}
    assert rows["stored"].state == "READY"
    assert "nonsense" in str(rows["broken"].reason)
    assert set(rows) == {"stored", "broken"}


@pytest.mark.docker
def test_models_that_were_downloaded_under_a_strict_umask_can_be_read_in_the_container(tmp_path):
    project = ComposeProject.at(tmp_path)
    source = write_model(tmp_path / "made", "first", {1: affine(3)})
    (tmp_path / "models.toml").write_text(
        f'[[models.first]]\npath = "{source / "1" / "model.onnx"}"\ntriton_version = 1\n'
    )
    config = tmp_path / "triton-config" / "first" / "cpu.pbtxt"
    config.parent.mkdir(parents=True)
    config.write_text((source / "config.pbtxt").read_text())
    project.models_dir.rmdir()
    changed = {"MODELS_TOML": str(tmp_path / "models.toml"), "TRITON_CONFIG_DIR": str(tmp_path / "triton-config")}
    old = os.umask(0o077)
    try:
        for task in (["models.download"], ["models.config", "--cpu"]):
            done = project.inv(*task, **changed)
            assert done.returncode == 0, done.stderr
        project.up()
        assert project.serving() == {"first"}
    finally:
        os.umask(old)
        remove_project(project.name)


@pytest.mark.docker
def test_an_empty_folder_is_a_warning_that_names_the_command_to_fill_it(tmp_path):
    project = ComposeProject.at(tmp_path)
    try:
        done = project.inv("compose.up", "--cpu")
    finally:
        remove_project(project.name)
    assert done.returncode == 0
    assert f"warning: Triton serves nothing, for {project.models_dir} has no models" in done.stderr
    assert "inv models.download" in done.stderr
