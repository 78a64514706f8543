"""Compose set-ups as data: files of an application and of this project, and how Triton is started from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

APPLICATION = "services:\n  web:\n    image: none\n"
_EXTENDED = """services:
  triton:
    extends: {file: ../tritonops/ml.yml, service: triton}
    labels: {of: shop}
secrets:
  triton_token: {file: /dev/null}
  triton_token_given: {environment: TRITON_TOKEN}
"""
_INCLUDED = "include: [../tritonops/ml.yml]\nservices:\n  web:\n    image: none\n"
_BOTH = "COMPOSE_FILE=compose.yml:../tritonops/ml.yml\n"


@dataclass(frozen=True)
class Setup:
    """`files` lie in folders named shop and tritonops, side by side; the command is given in `folder`."""

    about: str
    files: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: str = "shop"
    service: str = "triton"
    in_ci: bool = False
    plain_environ: Mapping[str, str] = field(default_factory=dict)
    """What plain Compose has to be told there because it does not read this project's .env."""


def _override(text: str) -> Mapping[str, str]:
    return {"shop/.env": f"{_BOTH.strip()}:more.yml\n", "shop/more.yml": f"services:\n  triton:\n{text}"}


SETUPS = (
    Setup("the list in the environment", environ={"COMPOSE_FILE": "compose.yml:../tritonops/ml.yml"}),
    Setup("the list in the application's .env", {"shop/.env": _BOTH}, in_ci=True),
    Setup(
        "Robotoff's separator",
        {
            "shop/.env": "COMPOSE_PATH_SEPARATOR=;\nCOMPOSE_FILE=compose.yml;../tritonops/ml.yml;more.yml\n",
            "shop/more.yml": "services:\n  triton:\n    labels: {a: b}\n",
        },
        in_ci=True,
    ),
    Setup("the file of this project first", {"shop/.env": "COMPOSE_FILE=../tritonops/ml.yml:compose.yml\n"}),
    Setup(
        "two .env files",
        {"shop/.env": f"{_BOTH}TRITON_MEMORY=2g\n", "tritonops/.env": "TRITON_MEMORY=1g\nTRITON_SHM_SIZE=128m\n"},
        plain_environ={"TRITON_SHM_SIZE": "128m"},
        in_ci=True,
    ),
    Setup("a token in the application's .env", {"shop/.env": f"{_BOTH}TRITON_TOKEN=of-the-shop\n"}, in_ci=True),
    Setup(
        "a token in this project's .env",
        {"shop/.env": _BOTH, "tritonops/.env": "TRITON_TOKEN=of-ours\n"},
        plain_environ={"TRITON_TOKEN": "of-ours"},
    ),
    Setup(
        "a profile",
        _override("    profiles: [ml]\n"),
        in_ci=True,
    ),
    Setup("two profiles, one of them on", _override("    profiles: [ml, gpu]\n"), {"COMPOSE_PROFILES": "ml"}),
    Setup(
        "a profile that is on in .env",
        {**_override("    profiles: [ml]\n"), "shop/.env": f"{_BOTH.strip()}:more.yml\nCOMPOSE_PROFILES=ml\n"},
    ),
    Setup("extends", {"shop/compose.yml": _EXTENDED}, {"COMPOSE_FILE": "compose.yml"}, in_ci=True),
    Setup(
        "extends with a token",
        {"shop/compose.yml": _EXTENDED},
        {"COMPOSE_FILE": "compose.yml", "TRITON_TOKEN": "extended"},
    ),
    Setup("include", {"shop/compose.yml": _INCLUDED}, {"COMPOSE_FILE": "compose.yml"}),
    Setup(
        "include with a token",
        {"shop/compose.yml": _INCLUDED},
        {"COMPOSE_FILE": "compose.yml", "TRITON_TOKEN": "included"},
    ),
    Setup("a name of the project", {"shop/.env": f"{_BOTH}COMPOSE_PROJECT_NAME=NAMED\n"}),
    Setup(
        "a name of the project in the files", {"shop/.env": _BOTH, "shop/compose.yml": f"name: NAMED\n{APPLICATION}"}
    ),
    Setup(
        "named env files",
        {"shop/one.env": f"{_BOTH}TRITON_MEMORY=1g\n", "shop/two.env": "TRITON_MEMORY=2g\n"},
        {"COMPOSE_ENV_FILES": "one.env,two.env"},
        in_ci=True,
    ),
    Setup(
        "no env files",
        {"shop/.env": "TRITON_MEMORY=3g\n"},
        {"COMPOSE_DISABLE_ENV_FILE": "true", "COMPOSE_FILE": "compose.yml:../tritonops/ml.yml"},
    ),
    Setup(
        "values of other variables",
        {"shop/.env": f"SIZE=2\n{_BOTH}TRITON_MEMORY=${{SIZE}}g\nRESTART_POLICY='no' # c\n"},
    ),
    Setup("a fixed name", _override("    container_name: NAMED-triton\n")),
    Setup("logging none", _override("    logging: !override {driver: none}\n")),
    Setup(
        "limits of deploy", _override("    mem_limit: !reset null\n    deploy: {resources: {limits: {memory: 2g}}}\n")
    ),
    Setup(
        "an init service",
        {
            "shop/.env": f"{_BOTH.strip()}:more.yml\n",
            "shop/more.yml": "services:\n  fetch:\n    image: IMAGE\n    entrypoint: []\n    command: ['true']\n"
            "  triton:\n    depends_on: {fetch: {condition: service_completed_successfully}}\n",
        },
        in_ci=True,
    ),
    Setup(
        "a dependency behind a profile that is off",
        {
            "shop/.env": f"{_BOTH.strip()}:more.yml\n",
            "shop/more.yml": "services:\n  other:\n    image: localhost/nowhere\n    profiles: [other]\n"
            "  triton:\n    profiles: [ml]\n    depends_on: {other: {condition: service_started, required: false}}\n",
        },
        in_ci=True,
    ),
    Setup(
        "another name of the service",
        {"shop/compose.yml": _EXTENDED.replace("  triton:\n    ext", "  ml:\n    ext")},
        {"COMPOSE_FILE": "compose.yml"},
        service="ml",
    ),
    Setup(
        "a folder below the application",
        {"shop/.env": "COMPOSE_FILE=../compose.yml:../../tritonops/ml.yml\n", "shop/below/empty": ""},
        folder="shop/below",
    ),
    Setup(
        "this project, by its .env", {"tritonops/.env": "COMPOSE_FILE=ml.yml\nTRITON_MEMORY=1g\n"}, folder="tritonops"
    ),
)
