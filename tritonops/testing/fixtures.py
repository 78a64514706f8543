"""Fixtures for pytest: `pytest_plugins = ["tritonops.testing.fixtures"]` in the conftest.py at the top of your tests.

Define a fixture `triton_models_dir` with the models to serve; override `triton_image` and `triton_options` as needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tritonops.testing.container import TritonContainer
from tritonops.triton_image import DEFAULT_IMAGE


@pytest.fixture(scope="session")
def triton_image() -> str:
    """The image to test with: TRITON_IMAGE, or NVIDIA's."""
    return os.environ.get("TRITON_IMAGE") or DEFAULT_IMAGE


@pytest.fixture(scope="session")
def triton_models_dir() -> Path:
    """The model repository to serve: override this fixture."""
    raise pytest.UsageError("define a session fixture triton_models_dir that returns your model repository")


@pytest.fixture(scope="session")
def triton_options() -> dict[str, Any]:
    """Options of TritonContainer, such as token, timeout, bind, mem_limit, env, network: override this fixture."""
    return {}


@pytest.fixture(scope="session")
def triton_container(
    triton_models_dir: Path, triton_image: str, triton_options: dict[str, Any]
) -> Iterator[TritonContainer]:
    """A Triton that serves `triton_models_dir`, with every model READY, for all tests of a session."""
    with TritonContainer(triton_models_dir, **{"image": triton_image, **triton_options}) as triton:
        yield triton
