"""Catalogues and settings for the tests of downloads."""

import os
import subprocess
from contextlib import contextmanager
from dataclasses import replace


@contextmanager
def read_only(folder):
    """Let nobody write to a folder. For root by a bind mount, as root may write everywhere else."""
    if os.geteuid() == 0:
        subprocess.run(["mount", "--bind", folder, folder], check=True)
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
    else:
        folder.chmod(0o555)
    try:
        yield
    finally:
        if os.geteuid() == 0:
            subprocess.run(["umount", folder], check=True)
        else:
            folder.chmod(0o755)


def files_below(folder):
    """Map each file below a folder to its bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one_file(name, repo_id, path="model.onnx", *, version=1, revision="main"):
    """An entry for one file of a Hub repository."""
    return f"""
[[models.{name}]]
repo_id = "{repo_id}"
revision = "{revision}"
triton_version = {version}
type = "single_file"
model_path = "{path}"
"""


def one_folder(name, repo_id, subfolder="onnx", *, version=1):
    """An entry for a folder of a Hub repository."""
    return f"""
[[models.{name}]]
repo_id = "{repo_id}"
triton_version = {version}
type = "directory"
subfolder = "{subfolder}"
"""


def write(settings, *entries):
    """Write models.toml."""
    settings.models_toml.write_text("".join(entries))
    return settings


def with_token(settings, token):
    """The same settings, with HF_TOKEN."""
    return replace(settings, hf_token=token)
