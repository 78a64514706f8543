import pytest

from tritonops import project as tritonops_project
from tritonops.errors import DifferenceError, PartialFailureError, UnknownModelError
from tritonops.models.config import copy_configs, raise_unless_done
from tritonops.models.configs.pbtxt import parse_config
from tritonops.models.configs.version_policy import VersionPolicy, set_version_policy
from tritonops.models.disk.repository import Repository

GPU = 'backend: "onnxruntime"\ninstance_group [ { kind: KIND_GPU } ]\n'
CPU = 'backend: "onnxruntime"\ninstance_group [ { kind: KIND_CPU } ]\n'


class Project:
    """A folder with a catalogue, its configs and a repository."""

    def __init__(self, folder):
        self.folder = folder
        self.repository = Repository(folder / "triton")
        self.declare(clip=[1], other=[1])
        for name in ("clip", "other"):
            self.write_source(name, gpu=GPU, cpu=CPU)

    def declare(self, **models):
        entries = [
            f'[[models.{name}]]\npath = "x.onnx"\ntriton_version = {version}\n'
            for name, versions in models.items()
            for version in versions
        ]
        (self.folder / "models.toml").write_text("".join(entries))

    def write_source(self, name, **texts):
        folder = self.folder / "triton-config" / name
        folder.mkdir(parents=True, exist_ok=True)
        for variant, text in texts.items():
            (folder / f"{variant}.pbtxt").write_text(text)

    def install(self, name, *versions, into="triton"):
        for version in versions:
            (self.folder / into / name / str(version)).mkdir(parents=True)

    def copy(self, **options):
        options = {"variant": "gpu", **options}
        outcomes = copy_configs(tritonops_project.Project.load(self.folder, environ={}), **options)
        return {outcome.name: outcome for outcome in outcomes}

    def states(self, **options):
        return {name: outcome.state for name, outcome in self.copy(**options).items()}

    def config(self, name, folder="triton"):
        return self.folder / folder / name / "config.pbtxt"


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def test_the_gpu_or_the_cpu_config_is_copied_to_where_the_model_lives(project):
    project.install("clip", 1)
    project.install("other", 1, into="triton-disabled")
    assert project.states(variant="cpu", include=["clip"]) == {"clip": "written"}
    assert project.states(include=["other"]) == {"other": "written"}
    assert project.config("clip").read_text() == CPU
    assert project.config("other", "triton-disabled").read_text() == GPU


def test_a_config_that_is_there_already_is_left_alone(project):
    project.install("clip", 1)
    project.copy()
    before = project.config("clip").stat().st_mtime_ns
    assert project.states() == {"clip": "unchanged", "other": "unchanged"}
    assert project.config("clip").stat().st_mtime_ns == before


def test_a_config_that_differs_is_shown_as_a_diff_and_replaced_only_if_asked(project):
    project.install("clip", 1)
    project.install("other", 1)
    project.copy()
    project.config("clip").write_text("# mine\n")
    kept = project.copy()
    assert (kept["clip"].state, kept["other"].state) == ("differs", "unchanged")
    assert kept["clip"].diff.splitlines()[0] == f"--- {project.config('clip')}"
    assert "-# mine" in kept["clip"].diff
    assert '+backend: "onnxruntime"' in kept["clip"].diff
    assert project.config("clip").read_text() == "# mine\n"
    with pytest.raises(DifferenceError, match=r"triton-config: clip$"):
        raise_unless_done(tuple(kept.values()))
    assert project.states(overwrite=True) == {"clip": "replaced", "other": "unchanged"}
    assert project.config("clip").read_text() == GPU


def test_a_model_without_a_source_or_with_a_wrong_one_is_named_and_the_rest_is_done(project):
    project.declare(none=[1], wrong=[1], clip=[1])
    project.write_source("wrong", gpu="backend: \n  oops")
    for name in ("none", "wrong", "clip"):
        project.install(name, 1)
    outcomes = project.copy()
    assert {name: outcome.state for name, outcome in outcomes.items()} == {
        "none": "failed",
        "wrong": "failed",
        "clip": "written",
    }
    with pytest.raises(PartialFailureError) as caught:
        raise_unless_done(tuple(outcomes.values()))
    assert f"none: there is no {project.folder}/triton-config/none/gpu.pbtxt" in str(caught.value)
    assert f"wrong: {project.folder}/triton-config/wrong/gpu.pbtxt:2:3: " in str(caught.value)
    assert not project.config("wrong").exists()


def test_an_unknown_model_is_an_error_and_nothing_is_written(project):
    project.install("clip", 1)
    with pytest.raises(UnknownModelError):
        project.copy(include=["clip", "clop"])
    assert not project.config("clip").exists()


def test_the_config_of_a_model_that_is_not_there_yet_waits_and_the_latest_choice_counts(project):
    assert project.copy()["clip"].waiting
    assert project.states(variant="cpu") == {"clip": "replaced", "other": "replaced"}
    assert project.repository.enabled_names() == ()
    assert project.repository.pending_config("clip").read_text() == CPU


def test_several_declared_versions_are_all_served(project):
    project.declare(clip=[3, 1])
    project.install("clip", 1, 3)
    project.copy()
    config = project.config("clip").read_text()
    assert config.startswith(GPU)
    assert VersionPolicy.of(parse_config(config)) == VersionPolicy("specific", versions=(1, 3))
    assert project.states() == {"clip": "unchanged"}


def test_a_policy_of_the_source_wins_over_the_declared_versions(project):
    source = f"{GPU}version_policy: {{ latest: {{ num_versions: 2 }} }}\n"
    project.declare(clip=[1, 2, 3])
    project.write_source("clip", gpu=source)
    project.install("clip", 1)
    project.copy()
    assert project.config("clip").read_text() == source


def test_a_version_that_is_newly_declared_or_no_longer_is_followed_unasked(project):
    project.install("clip", 1)
    project.copy()
    for declared, versions in (([1, 2], "[ 1, 2 ]"), ([1, 2, 3], "[ 1, 2, 3 ]"), ([3], None)):
        project.declare(clip=declared)
        assert project.states() == {"clip": "replaced"}
        assert versions is None or versions in project.config("clip").read_text()
    assert project.config("clip").read_text() == GPU


def test_a_policy_that_somebody_wrote_by_hand_is_a_difference(project):
    project.declare(clip=[1, 2])
    project.install("clip", 1)
    project.config("clip").write_text(f"{GPU}version_policy: {{ all: {{}} }}\n")
    assert project.states() == {"clip": "differs"}


def test_labels_go_with_the_config_that_names_them(project):
    labelled = 'output [ { name: "y" label_filename: "labels.txt" } ]\n'
    project.write_source("clip", gpu=labelled)
    (project.folder / "triton-config" / "clip" / "labels.txt").write_text("a\nb\n")
    project.copy()
    assert project.repository.pending_config("clip").with_name("labels.txt").read_text() == "a\nb\n"
    project.install("clip", 1)
    project.copy()
    assert project.config("clip").with_name("labels.txt").read_text() == "a\nb\n"


@pytest.mark.parametrize("declared", [[1], [1, 2]])
def test_a_policy_set_with_serve_is_kept_and_said_also_when_the_rest_is_replaced(project, declared):
    only_two = VersionPolicy.parse("2")
    project.declare(clip=declared)
    project.install("clip", 1, 2)
    project.copy()
    project.config("clip").write_text(set_version_policy(project.config("clip").read_text(), only_two))
    outcome = project.copy()["clip"]
    assert (outcome.state, outcome.kept_policy) == ("unchanged", only_two)
    assert project.states(variant="cpu") == {"clip": "differs"}
    outcome = project.copy(variant="cpu", overwrite=True)["clip"]
    assert (outcome.state, outcome.kept_policy) == ("replaced", only_two)
    assert project.config("clip").read_text() == set_version_policy(CPU, only_two)


def test_a_config_on_disk_that_is_no_config_can_be_replaced(project):
    project.install("clip", 1)
    project.config("clip").write_text("version_policy: { oops }  # set with triton.serve\n")
    assert project.states(include=["clip"]) == {"clip": "differs"}
    assert project.states(include=["clip"], overwrite=True) == {"clip": "replaced"}
    assert project.config("clip").read_text() == GPU
