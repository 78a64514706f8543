import pytest

from tests.onnx_models import affine, write_model
from tritonops.server import embedded
from tritonops.server.ports import free_ports


@pytest.fixture
def project_of_two(tmp_path, monkeypatch):
    """Models clip and siglip: declared, with configs, not downloaded yet."""
    made = tmp_path / "made"
    for number, name in enumerate(("clip", "siglip")):
        write_model(made, name, {1: affine(2, number)})
        for variant in ("cpu", "gpu"):
            config = tmp_path / "configs" / name / f"{variant}.pbtxt"
            config.parent.mkdir(parents=True, exist_ok=True)
            config.write_text((made / name / "config.pbtxt").read_text())
        (made / name / "1/model.onnx").rename(tmp_path / f"{name}.onnx")
    (tmp_path / "models.toml").write_text(
        "".join(f'[[models.{name}]]\npath = "{name}.onnx"\ntriton_version = 1\n' for name in ("clip", "siglip"))
    )
    (tmp_path / "triton").mkdir()
    monkeypatch.setenv("MODELS_TOML", str(tmp_path / "models.toml"))
    monkeypatch.setenv("TRITON_MODELS_DIR", str(tmp_path / "triton"))
    monkeypatch.setenv("TRITON_CONFIG_DIR", str(tmp_path / "configs"))
    monkeypatch.setenv("TRITON_URL", "127.0.0.1:9")
    return tmp_path


@pytest.fixture
def free_server(project_of_two, embedded_runtime, monkeypatch):
    """Call it to let the settings name free ports for the project's server, which ends with the test."""

    def choose_ports():
        ports = free_ports()
        for kind in ("http", "grpc", "metrics"):
            monkeypatch.setenv(f"TRITON_EXPOSE_{kind.upper()}", str(getattr(ports, kind)))
        monkeypatch.setenv("TRITON_URL", f"127.0.0.1:{ports.grpc}")

    yield choose_ports
    if server := embedded.find(project_of_two / ".server"):
        embedded.kill(server)
