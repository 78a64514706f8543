from pathlib import Path

import pytest
from onnx import TensorProto, helper
from tritonclient.grpc import InferenceServerClient

from tests.onnx_models import CONFIG_TYPES, affine, external_weights, identity, model
from tritonops.errors import InputError, PartialFailureError, UnknownModelError
from tritonops.models.catalog.parsing import load_catalog
from tritonops.models.check import check
from tritonops.models.checked import Checked
from tritonops.models.config import copy_configs
from tritonops.models.configs.config_options import ConfigOptions
from tritonops.models.disk.repository import Repository
from tritonops.models.generate_config import generate_configs, models_without_configs, raise_unless_generated
from tritonops.models.rules.judged_server import embedded_server
from tritonops.project import Project as LoadedProject

F = TensorProto.FLOAT


class Project:
    """A catalogue of the models that are put into its repository."""

    def __init__(self, models_dir: Path):
        self.folder = models_dir.parent
        self.repository = Repository(models_dir)
        self.config_dir = self.folder / "generated"
        self.files: dict[str, str] = {}

    def put(self, name, made, file="model.onnx"):
        folder = self.repository.root / name / "1"
        folder.mkdir(parents=True)
        (folder / file).write_bytes(made.SerializeToString())
        self.files[name] = file

    @property
    def catalog(self):
        path = self.folder / "generated.toml"
        entries = [
            f'[[models.{name}]]\npath = "x"\ntriton_version = 1\nlocal_name = "{file}"\n'
            for name, file in self.files.items()
        ]
        path.write_text("".join(entries))
        return load_catalog(path)

    def generate(self, name, **options):
        results = generate_configs(self.loaded, [name], **options)
        raise_unless_generated(results)
        return results[0].files

    @property
    def loaded(self):
        self.catalog  # noqa: B018 (writes it)
        paths = {"MODELS_TOML": "generated.toml", "TRITON_CONFIG_DIR": "generated"}
        return LoadedProject.load(
            self.folder, environ={**paths, "TRITON_MODELS_DIR": str(self.repository.root)}, cwd=self.folder
        )


def test_generated_configs_pass_the_check_and_load_on_a_real_triton(triton, tmp_path_factory):
    project = Project(triton.models_dir)
    varied = model([helper.make_node("Identity", ["x"], ["y"])], {"x": (F, ["n", "w"])}, {"y": (F, ["n", "w"])})
    row = model([helper.make_node("Identity", ["x"], ["y"])], {"x": (F, ["n"])}, {"y": (F, ["n"])})
    fixed = model([helper.make_node("Identity", ["x"], ["y"])], {"x": (F, [1, 2])}, {"y": (F, [1, 2])})
    graphs = {"affine": affine(), "varied": varied, "row": row, "fixed": fixed}
    types = (TensorProto.INT64, TensorProto.STRING, TensorProto.BFLOAT16)
    graphs |= {CONFIG_TYPES[type_].lower(): identity(type_) for type_ in types}
    names = {f"generated_{name}": made for name, made in graphs.items()}
    for name, made in names.items():
        project.put(name, made)
    project.put("generated_renamed", affine(), file="weights.onnx")
    external_weights([1.0], project.repository.root / "generated_external" / "1" / "model.onnx")
    project.files["generated_external"] = "model.onnx"
    labels = tmp_path_factory.mktemp("labels") / "classes.txt"
    labels.write_text("a\nb\nc\n")
    generated = [*names, "generated_renamed", "generated_external"]
    for name in generated:
        options = ConfigOptions(
            warmup=name != "generated_type_bf16", labels=labels if name == "generated_affine" else None
        )
        project.generate(name, options=options)
    copy_configs(project.loaded, variant="cpu", include=generated)
    lock = project.folder / "generated.lock"
    places = (project.catalog, project.repository, project.config_dir, lock)
    checked = Checked(*places, embedded_server(), variants=("cpu",))
    assert [finding for finding in check(checked, include=generated) if finding.code != "not-locked"] == []
    client = InferenceServerClient(triton.grpc_url)
    for name in generated:
        client.load_model(name)
        assert client.is_model_ready(name)
        client.unload_model(name)


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "triton")
    project.put("clip", affine())
    return project


def test_configs_that_are_there_are_replaced_only_if_asked(project):
    cpu, _ = sorted(project.generate("clip"))
    cpu.write_text("# mine\n")
    with pytest.raises(InputError, match="not overwritten") as caught:
        project.generate("clip")
    assert "--overwrite" in (caught.value.hint or "")
    assert cpu.read_text() == "# mine\n"
    project.generate("clip", overwrite=True)
    assert cpu.read_text().startswith("backend:")


def test_a_model_that_is_nowhere_not_there_yet_or_no_onnx_is_an_error(project):
    with pytest.raises(UnknownModelError):
        project.generate("clop")
    project.files["clap"] = "model.onnx"
    with pytest.raises(InputError, match="clap is not on disk"):
        project.generate("clap")
    project.put("saved", affine(), file="model.plan")
    with pytest.raises(InputError, match="is not an ONNX file"):
        project.generate("saved")
    assert not project.config_dir.exists()


def test_of_several_models_each_is_done_or_named_and_missing_ones_are_found(project):
    project.put("siglip", affine(2, 1))
    project.put("weights", affine(), file="model.plan")
    (project.repository.root / "siglip/1/model.onnx").write_text("<html>")
    project.put("good", affine(3, 1))
    assert models_without_configs(project.loaded) == ("clip", "siglip", "weights", "good")
    results = generate_configs(project.loaded, ["clip", "siglip", "weights", "good"])
    assert [len(result.files) for result in results] == [2, 0, 0, 2]
    with pytest.raises(PartialFailureError, match="2 of 4 configs were not generated"):
        raise_unless_generated(results)
    assert models_without_configs(project.loaded) == ("siglip", "weights")


def test_a_folder_whose_graph_has_another_name_is_told_from_one_without_a_graph(project):
    project.put("folder", affine())
    home = project.repository.root / "folder/1"
    (home / "model.onnx").rename(home / "other")
    (home / "model.onnx").mkdir()
    (home / "other").rename(home / "model.onnx/model_fp16.onnx")
    with pytest.raises(InputError, match=r"contains model_fp16\.onnx, and Triton reads model\.onnx in it"):
        project.generate("folder")
