"""Which env files count, in which order, and where each setting comes from: as plain Compose has it in that folder."""

import json
import os
import shutil

import pytest

from tests.compose_env import missing
from tritonops.compose.engine.docker import Docker
from tritonops.compose.service import Service
from tritonops.environment import KNOWN
from tritonops.errors import EnvFileError, SettingsError
from tritonops.project import Project
from tritonops.settings import load_settings

SERVICE = "services:\n  triton:\n    image: none\n    environment: [TRITON_MEMORY, TRITON_GPU, COMPOSE_PROFILES]\n"
PLAIN = ["docker", "compose", "config", "--format", "json"]
ROBOTOFF = "COMPOSE_PATH_SEPARATOR=;\nCOMPOSE_FILE=docker-compose.yml;docker/dev.yml;docker/ml.yml\n"


@pytest.fixture
def project(tmp_path):
    return folder(tmp_path / "tritonops", {"docker-compose.yml": SERVICE})


@pytest.fixture
def application(tmp_path):
    return folder(tmp_path / "shop", {"compose.yml": SERVICE})


def folder(path, files):
    for name, text in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    return path


def load(project, cwd=None, **environ):
    return load_settings(project, environ=environ, cwd=cwd or project)


def origin(settings, name):
    given = settings.environment.get(name)
    return given and (given.value, given.origin)


def config(command, cwd, **environ):
    """What `docker compose config` says, run in a folder with nothing else in the environment."""
    if reason := missing():
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return json.loads(Docker(cwd, environ).output(command))


def test_each_setting_knows_where_it_comes_from(project):
    folder(project, {".env": "\nTRITON_MEMORY=4g\nTRITON_GPU=1\n"})
    settings = load(project, TRITON_GPU="2")
    assert origin(settings, "TRITON_MEMORY") == ("4g", f"{project}/.env:2")
    assert origin(settings, "TRITON_GPU") == ("2", "the environment")
    assert origin(settings, "TRITON_USER") is None


def test_an_empty_variable_of_the_environment_hides_the_file_as_in_compose(project):
    folder(project, {".env": "TRITON_EXPOSE_GRPC=9001\n"})
    assert load(project, TRITON_EXPOSE_GRPC="").grpc_port == 8001
    assert load(project).grpc_port == 9001


def test_a_wrong_value_names_file_and_line(project):
    folder(project, {".env": "# c\nTRITON_EXPOSE_GRPC=many\n"})
    with pytest.raises(SettingsError, match=rf"TRITON_EXPOSE_GRPC='many' in {project}/.env:2: "):
        load(project)


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("TRITON_TOKNE=1", "TRITON_TOKEN"),
        ("HF_TOKNE=1", "HF_TOKEN"),
        ("HF_ENDPOIND=1", "HF_ENDPOINT"),
        ("TRITON_MODEL_DIR=1", "TRITON_MODELS_DIR"),
        ("triton_token=1", "TRITON_TOKEN"),
        ("TRITN_TOKEN=1", "TRITON_TOKEN"),
        ("COMPOSE_PROFILE=1", "COMPOSE_PROFILES"),
    ],
)
def test_a_misspelt_name_is_named_with_what_was_meant(project, line, near):
    folder(project, {".env": f"A=1\n{line}\n"})
    name = line.partition("=")[0]
    assert list(load(project).environment.warnings) == [
        f"{project}/.env:2: {name} is not a setting; did you mean {near}?"
    ]


def test_what_is_set_and_right_warns_of_nothing(project):
    names = (*KNOWN, "HF_HOME", "HF_HUB_OFFLINE", "PATH_TO_DATA", "POSTGRES_USER", "DOMAIN")
    folder(project, {".env": "".join(f"{name}=\n" for name in names)})
    assert list(load(project).environment.warnings) == []


def test_a_token_with_a_dollar_is_not_cut_in_silence(project):
    folder(project, {".env": "A=$NO\nTRITON_TOKEN=abc$def\n"})
    (warning,) = load(project).environment.warnings
    assert warning == f"{project}/.env:2: TRITON_TOKEN: not set, so empty: def. A literal dollar is $$."


def test_a_warning_and_an_error_are_printed_once(project, inv, monkeypatch):
    monkeypatch.setenv("COMPOSE_ENV_FILES", str(project / "my.env"))
    folder(project, {"my.env": "TRITON_TOKNE=1\n"})
    _, _, stderr = inv("models.list")
    assert stderr.count("did you mean TRITON_TOKEN?") == 1
    folder(project, {"my.env": "A=1\nTRITON_TOKEN='s3cret\n"})
    code, stdout, stderr = inv("models.list")
    assert (code, stdout) == (2, "")
    assert stderr.count("my.env:2: TRITON_TOKEN: the quote ' is not closed") == 1
    assert "s3cret" not in stderr


def test_a_folder_named_env_is_none(project):
    (project / ".env").mkdir()
    assert load(project).grpc_port == 8001


def test_named_env_files_replace_the_default_one_and_the_later_wins(project, tmp_path):
    folder(project, {".env": "TRITON_USER=1:1\n"})
    folder(tmp_path, {"one.env": "TRITON_MEMORY=1g\nTRITON_GPU=1\n", "two.env": "TRITON_MEMORY=${TRITON_MEMORY}2\n"})
    settings = load(project, tmp_path, COMPOSE_ENV_FILES="one.env,two.env")
    assert origin(settings, "TRITON_MEMORY") == ("1g2", f"{tmp_path}/two.env:1")
    assert origin(settings, "TRITON_GPU") == ("1", f"{tmp_path}/one.env:2")
    assert origin(settings, "TRITON_USER") is None
    named = f"{tmp_path}/one.env,{tmp_path}/two.env"
    assert Service.of(Project(settings)).docker.variables["COMPOSE_ENV_FILES"] == named
    with pytest.raises(EnvFileError, match=r"cannot read the env file .*no\.env: no such file"):
        load(project, tmp_path, COMPOSE_ENV_FILES="one.env,no.env")


@pytest.mark.parametrize(
    ("value", "counts"), [("1", False), ("true", False), ("T", False), ("0", True), ("false", True)]
)
def test_env_files_can_be_turned_off(project, value, counts):
    folder(project, {".env": "TRITON_MEMORY=4g\n"})
    assert bool(load(project, COMPOSE_DISABLE_ENV_FILE=value).environment.get("TRITON_MEMORY")) == counts


@pytest.mark.parametrize("value", ["yes", "", "TrUe"])
def test_a_switch_that_compose_does_not_understand_is_refused(project, value):
    with pytest.raises(SettingsError, match="COMPOSE_DISABLE_ENV_FILE"):
        load(project, COMPOSE_DISABLE_ENV_FILE=value)


def test_the_application_that_inv_was_called_in_wins_over_the_project(project, application):
    folder(project, {".env": "TRITON_MEMORY=1g\nTRITON_GPU=1\nHF_ENDPOINT=https://ours\n"})
    folder(application, {".env": "TRITON_MEMORY=2g\nTRITON_MODELS_DIR=models\nHF_ENDPOINT=https://theirs\n"})
    settings = load(project, application)
    assert origin(settings, "TRITON_MEMORY") == ("2g", f"{application}/.env:1")
    assert origin(settings, "TRITON_GPU") == ("1", f"{project}/.env:2")
    assert settings.models_dir == application / "models"
    assert settings.hf_endpoint == "https://ours"
    (application / "sub").mkdir()
    assert origin(load(project, application / "sub"), "TRITON_MEMORY") == ("2g", f"{application}/.env:1")


def test_an_env_file_that_says_nothing_of_triton_or_compose_is_not_judged(project, tmp_path):
    folder(tmp_path / "other", {".env": "what 'ever this is\n"})
    assert load(project, tmp_path / "other").grpc_port == 8001


@pytest.mark.parametrize("place", ["environment", "project", "application"])
def test_robotoffs_two_lines_drive_three_files(project, application, place):
    where = application if place == "application" else project
    image = "services:\n  triton:\n    image: none\n    labels: {%s: here}\n"
    files = {"docker-compose.yml": image % "one", "docker/dev.yml": image % "two", "docker/ml.yml": image % "three"}
    folder(where, files)
    environ = {}
    if place == "environment":
        environ = dict(line.split("=", 1) for line in ROBOTOFF.splitlines())
    else:
        folder(where, {".env": ROBOTOFF})
    service = Service.of(Project(load(project, where, **environ)))
    assert (service.compose.files, service.docker.folder) == ((), where)
    labels = config(service.compose.config(), where, **service.docker.variables)["services"]["triton"]["labels"]
    assert labels == {"one": "here", "two": "here", "three": "here"}
    assert config(PLAIN, where, **environ)["services"]["triton"]["labels"] == labels


def test_only_what_was_set_is_passed_to_compose(project):
    assert Service.of(Project(load(project))).docker.variables == {}
    folder(
        project, {".env": "TRITON_EXPOSE_HTTP=5503\nTRITON_MODELS_DIR=models\nTRITON_BIND=::1\nHF_TOKEN=hf\nOTHER=1\n"}
    )
    assert Service.of(Project(load(project, TRITON_GPU="1"))).docker.variables == {
        "TRITON_EXPOSE_HTTP": "5503",
        "TRITON_MODELS_DIR": str(project / "models"),
        "TRITON_BIND": "[::1]",
        "TRITON_GPU": "1",
    }


def test_a_foreign_default_of_a_port_stays(project, application):
    folder(application, {"compose.yml": SERVICE + "    labels: {grpc: '${TRITON_EXPOSE_GRPC:-5504}'}\n"})
    service = Service.of(Project(load(project, application, COMPOSE_FILE="compose.yml")))
    found = config(service.compose.config(), service.docker.folder, **service.docker.variables)
    assert found["services"]["triton"]["labels"] == {"grpc": "5504"}


CALLS = {
    "its own .env": {},
    "COMPOSE_FILE": {"COMPOSE_FILE": "compose.yml:more.yml"},
    "a file elsewhere": {"COMPOSE_FILE": "../elsewhere/compose.yml"},
    "named files": {"COMPOSE_ENV_FILES": "one.env,two.env", "COMPOSE_FILE": "compose.yml"},
    "no files": {"COMPOSE_DISABLE_ENV_FILE": "true", "COMPOSE_FILE": "compose.yml"},
    "an empty variable": {"TRITON_MEMORY": "", "COMPOSE_FILE": "compose.yml"},
    "a project name": {"COMPOSE_PROJECT_NAME": "mine", "COMPOSE_FILE": "compose.yml"},
    "profiles": {"COMPOSE_PROFILES": "gpu", "COMPOSE_FILE": "compose.yml"},
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("named", ["", "COMPOSE_FILE=compose.yml\n", "COMPOSE_FILE=../elsewhere/compose.yml\n"])
def test_compose_finds_the_same_values_as_plain_compose_in_the_application(project, application, call, named):
    files = {
        ".env": f"{named}TRITON_MEMORY=2g\nCOMPOSE_PROFILES=app\n",
        "one.env": "TRITON_MEMORY=3g\nTRITON_GPU=1\n",
        "two.env": "TRITON_GPU=$TRITON_MEMORY\n",
        "more.yml": SERVICE,
    }
    folder(application, files)
    folder(application.parent / "elsewhere", {"compose.yml": SERVICE, ".env": "TRITON_MEMORY=4g\nTRITON_GPU=4\n"})
    environ = CALLS[call]
    plain = config(PLAIN, application, **environ)
    settings = load(project, application, **environ)
    for name in ("TRITON_MEMORY", "TRITON_GPU"):
        given = settings.environment.get(name)
        assert (given.value if given else None) == (plain["services"]["triton"]["environment"][name] or None)
    if settings.environment.compose_folder:
        service = Service.of(Project(settings))
        assert config(service.compose.config(), service.docker.folder, **service.docker.variables) == plain


def test_this_projects_own_settings_count_in_an_application_and_its_names_for_compose_do_not(project, application):
    folder(project, {".env": "TRITON_MEMORY=1g\nCOMPOSE_PROJECT_NAME=ours\nCOMPOSE_PROFILES=ours\n"})
    shutil.copy(application / "compose.yml", application / "other.yml")
    service = Service.of(Project(load(project, application, COMPOSE_FILE="other.yml")))
    found = config(service.compose.config(), service.docker.folder, **service.docker.variables)
    assert found["name"] == "shop"
    assert found["services"]["triton"]["environment"] == {
        "TRITON_MEMORY": "1g",
        "TRITON_GPU": None,
        "COMPOSE_PROFILES": None,
    }
