"""How models.toml, the disk and the server differ, and what would make them agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tritonops.errors import TritonOpsError
from tritonops.models import install
from tritonops.models.catalog import Catalog, ModelVersion, load_catalog
from tritonops.models.config import VARIANTS, Variant, keep_policy, served_policy, source_path, wanted_config
from tritonops.models.lock import Lock, load_lock, pin_of
from tritonops.models.pbtxt import VersionPolicy, parse_config, read_text
from tritonops.models.repository import Repository
from tritonops.models.store import Store
from tritonops.settings import Settings
from tritonops.triton.client import ModelStatus, TritonClient
from tritonops.triton.compare import config_problem, ready, staleness
from tritonops.triton.control import ORPHAN, list_models
from tritonops.triton.disk import Disk, ModelOnDisk
