"""What a value of kubernetes.toml may look like.

Each rule returns the value, or raises ValueError with words that go behind it: "'Prod' is not a name".
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from tritonops.redaction import SERVER_URL
from tritonops.triton_image import parse_image

MAX_NAME = 63
"""Characters of a label's value, of a Service and of a pod's host name."""
OWN_SUFFIX = 27
"""Characters that the longest name of a target's objects has behind the target's: -triton-files-0123456789-99."""
MAX_TARGET = MAX_NAME - OWN_SUFFIX
_MAX_OBJECT = 253
_MAX_KEY = _MAX_OBJECT + 1 + MAX_NAME
_MAX_IMAGE = 500

_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_DOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_QUALIFIED = re.compile(rf"({_DOMAIN}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{{0,61}}[A-Za-z0-9])?")
_QUANTITY = re.compile(r"(?=.*[1-9])\d+(\.\d+)?([kMGTPE]|[KMGTPE]i)", re.ASCII)
_CPU = re.compile(r"(?=.*[1-9])(\d+(\.\d{1,3})?|\d+m)", re.ASCII)
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?P<name>(?:[A-Za-z0-9.-]+(?::\d{{1,5}})?/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::\w[\w.-]{0,127})?(?P<digest>@sha256:[0-9a-f]{64})?",
    re.ASCII,
)


def target_name(value: str) -> str:
    """Check the name of a target, from which those of its objects are made."""
    if not re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", value):
        raise ValueError("is not a target's name: expected lower-case letters, digits and dashes, a letter first")
    if len(value) > MAX_TARGET:
        raise ValueError(
            f"has {len(value)} characters: expected at most {MAX_TARGET}, because names of its objects may have "
            f"{MAX_NAME} and end in up to {OWN_SUFFIX} of their own"
        )
    return value


def namespace(value: str) -> str:
    """Check the name of a namespace."""
    return _matched(value, re.compile(_LABEL), "is not a namespace: expected lower-case letters, digits and dashes")


def object_name(value: str) -> str:
    """Check the name of a Secret, a ConfigMap or a claim."""
    if len(value) > _MAX_OBJECT or not re.fullmatch(_DOMAIN, value):
        raise ValueError("is not an object's name: expected lower-case letters, digits, dashes and dots")
    return value


def data_key(value: str) -> str:
    """Check a key of a Secret or a ConfigMap."""
    if len(value) > _MAX_OBJECT or value in (".", "..") or not re.fullmatch(r"[-.\w]+", value, re.ASCII):
        raise ValueError("is not a key: expected letters, digits, dashes, dots and underscores")
    return value


def context(value: str) -> str:
    """Check the name of a context of kubectl, which may have nearly any character."""
    if not value or not value.isprintable() or value != value.strip() or value.startswith("-"):
        raise ValueError("is not a context of kubectl: `kubectl config get-contexts` lists them")
    return value


def group(value: str) -> str:
    """Check the name of a group."""
    if not value or not value.isprintable():
        raise ValueError("is empty, or contains a control character")
    return value


def image(value: str) -> str:
    """Check an image: by its digest, since a tag may name another image on each node."""
    found = _IMAGE.fullmatch(value)
    if found is None or len(value) > _MAX_IMAGE:
        raise ValueError("is not an image: expected REGISTRY/NAME:TAG@sha256:DIGEST")
    if not found["digest"] and not found["name"].startswith("localhost/"):
        raise ValueError(
            "has no digest, and its tag may be moved: write NAME@sha256:…, which "
            f"`docker buildx imagetools inspect {value}` shows (a tag alone will do under localhost/)"
        )
    return value


def triton_image(value: str) -> str:
    """Check Triton's image: one that has a server."""
    image(value)
    if contents := parse_image(value.partition("@")[0]).contents:
        raise ValueError(f"cannot serve: it has {contents}")
    return value


def gpu_resource(value: str) -> str:
    """Check the name of an extended resource."""
    if "/" not in value or len(value) > _MAX_KEY or not _QUALIFIED.fullmatch(value):
        raise ValueError("is not a resource: expected nvidia.com/gpu, or one of MIG like nvidia.com/mig-1g.10gb")
    return value


def quantity(value: str) -> str:
    """Check a number of bytes."""
    return _matched(value, _QUANTITY, 'is not a quantity of bytes: expected one like "16Gi"')


def cpu(value: str) -> str:
    """Check a number of processors."""
    return _matched(value, _CPU, 'is not a number of processors: expected one like "4" or "500m"')


def absolute_path(value: str) -> str:
    """Check a folder of a node or an image."""
    path = PurePosixPath(value)
    if not value.startswith("/") or ".." in path.parts or not value.isprintable() or str(path) == "/":
        raise ValueError("is not a folder: expected an absolute path without `..`")
    return str(path)


def server(value: str) -> str:
    """Check the URL of a server, which appears in manifests and so may have no password."""
    found = SERVER_URL.fullmatch(value)
    if found is None or found["scheme"].lower() not in ("http", "https", "socks5", "socks5h"):
        raise ValueError("is not a server's URL: expected http(s)://host or http(s)://host:port")
    if "@" in value:
        raise ValueError("has a password, which everybody who may read the manifests would see")
    return value


def plain(value: str) -> str:
    """Check a list of hosts without a proxy."""
    if not value or not value.isprintable() or "@" in value:
        raise ValueError("is empty, or contains a control character or an @")
    return value


def metric(value: str) -> str:
    """Check the name of a metric."""
    return _matched(value, re.compile(r"[A-Za-z_:][\w:]*", re.ASCII), "is not the name of a metric")


def label_key(value: str) -> str:
    """Check the key of a label."""
    if len(value) > _MAX_KEY or not _QUALIFIED.fullmatch(value):
        raise ValueError("is not a label: expected NAME or DOMAIN/NAME, the name with at most 63 characters")
    return value


def own_label_key(value: str) -> str:
    """Check the key of a label of our objects: not one of those that select them."""
    label_key(value)
    if value.startswith(("app.kubernetes.io/", "tritonops/")):
        raise ValueError("is a label that tritonops sets itself")
    return value


def label_value(value: str) -> str:
    """Check the value of a label."""
    if value and (len(value) > MAX_NAME or not re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", value, re.ASCII)):
        raise ValueError("is not a label's value: expected at most 63 letters, digits, dashes, dots and underscores")
    return value


def file(value: str) -> str:
    """Check the path of a file."""
    if not value or not value.isprintable():
        raise ValueError("is empty, or contains a control character")
    return value


def _matched(value: str, pattern: re.Pattern[str], problem: str) -> str:
    if len(value) > MAX_NAME or not pattern.fullmatch(value):
        raise ValueError(problem)
    return value
