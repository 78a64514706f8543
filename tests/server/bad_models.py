"""Ten ways in which a model hangs or crashes Triton, or fails as nobody expects; each gives its name and reason."""

import os
import shutil
from pathlib import Path

from tests.server.python_models import CONFIG, python_model

GOOD = [f"good{number}" for number in range(10)]


def make_folder_of(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir(parents=True)


def no_model_py(models_dir):
    python_model(models_dir, "no_model_py").joinpath("1", "model.py").unlink()
    return "no_model_py", "model.py is missing; the load never ends"


def model_py_a_folder(models_dir):
    make_folder_of(python_model(models_dir, "model_py_a_folder") / "1" / "model.py")
    return "model_py_a_folder", "model.py is a folder; the load never ends"


def foreign_stub(models_dir):
    stub = python_model(models_dir, "foreign_stub") / "triton_python_backend_stub"
    # An ELF header for AArch64.
    stub.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\xb7\x00" + bytes(200))
    stub.chmod(0o755)
    return "foreign_stub", "triton_python_backend_stub is a program for another processor than .*; the load never ends"


def broken_stub(models_dir):
    stub = python_model(models_dir, "broken_stub") / "triton_python_backend_stub"
    stub.write_text("#!/nonexistent/interpreter\n")
    stub.chmod(0o755)
    return "broken_stub", "its load cannot end: .*broken_stub/triton_python_backend_stub: "


def config_a_folder(models_dir):
    make_folder_of(python_model(models_dir, "config_a_folder") / "config.pbtxt")
    return "config_a_folder", "config.pbtxt is a folder; Triton crashes"


def labels_a_folder(models_dir):
    labelled = CONFIG.replace('name: "y"', 'name: "y" label_filename: "labels"')
    make_folder_of(python_model(models_dir, "labels_a_folder", config=labelled) / "labels")
    return "labels_a_folder", "labels is a folder, and should be a file; Triton crashes"


def warmup_a_folder(models_dir):
    data = 'key: "x" value { data_type: TYPE_FP32 dims: [ 3 ] input_data_file: "raw" }'
    warm = CONFIG + f'model_warmup [ {{ name: "w" batch_size: 1 inputs {{ {data} }} }} ]\n'
    make_folder_of(python_model(models_dir, "warmup_a_folder", config=warm) / "warmup" / "raw")
    return "warmup_a_folder", "raw is a folder, and should be a file; Triton crashes"


def config_a_pipe(models_dir):
    config = python_model(models_dir, "config_a_pipe") / "config.pbtxt"
    config.unlink()
    os.mkfifo(config)
    return "config_a_pipe", "config.pbtxt is a pipe, and should be a file; the load never ends"


def labels_a_pipe(models_dir):
    labelled = CONFIG.replace('name: "y"', 'name: "y" label_filename: "labels"')
    os.mkfifo(python_model(models_dir, "labels_a_pipe", config=labelled) / "labels")
    return "labels_a_pipe", "labels is a pipe, and should be a file; the load never ends"


def model_a_pipe(models_dir):
    file = python_model(models_dir, "model_a_pipe") / "1" / "model.py"
    file.unlink()
    os.mkfifo(file)
    return "model_a_pipe", "model.py is a pipe, and should be a file; the load never ends"


def version_of_20_digits(models_dir):
    folder = python_model(models_dir, "version_of_20_digits")
    shutil.copytree(folder / "1", folder / "99999999999999999999")
    return "version_of_20_digits", "is greater than 9223372036854775807; Triton crashes"


def dangling_version(models_dir):
    folder = python_model(models_dir, "dangling_version")
    shutil.rmtree(folder / "1")
    (folder / "1").symlink_to("/nonexistent/1")
    return "dangling_version", "failed to stat file .*/dangling_version/1"


def never_returns(models_dir):
    python_model(models_dir, "never_returns", initialize="__import__('time').sleep(1e6)")
    return "never_returns", "still loading after 12 s; --model-timeout allows more"


def long_error(models_dir):
    python_model(models_dir, "long_error", initialize="raise RuntimeError('true reason ' + 'x' * 66000)")
    return "long_error", "RuntimeError: true reason xxx"


TEN = (
    *(no_model_py, model_py_a_folder, foreign_stub, config_a_folder, labels_a_folder, warmup_a_folder),
    *(version_of_20_digits, dangling_version, never_returns, long_error),
)
