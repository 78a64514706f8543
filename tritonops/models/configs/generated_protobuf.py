"""Triton's generated messages and gRPC stub, as tritonclient ships them, without the rest of that package.

`tritonclient.grpc` imports numpy and its whole client, which takes three times as long as the messages alone.
"""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

_PACKAGE = "tritonclient.grpc"
_lock = threading.Lock()


def generated(name: str) -> Any:
    """Import "model_config_pb2", "service_pb2" or "service_pb2_grpc" of tritonclient.grpc.

    The package itself can be imported before or afterwards: there is one module of each name, and one set of messages.
    """
    full_name = f"{_PACKAGE}.{name}"
    with _lock:
        if full_name in sys.modules or _PACKAGE in sys.modules:
            return import_module(full_name)
        sys.modules[_PACKAGE] = _bare_package()
        try:
            return import_module(full_name)
        finally:
            del sys.modules[_PACKAGE]


def _bare_package() -> ModuleType:
    found = find_spec("tritonclient")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'tritonclient'", name="tritonclient")
    package = ModuleType(_PACKAGE)
    package.__path__ = [str(Path(found.submodule_search_locations[0]) / "grpc")]
    return package
