"""The corpus: configs and models that Triton refuses or serves otherwise than meant, and good ones beside them.

Each case of corpus/*.toml changes one good model. `python -m tests.models.corpus_cases` writes its table into
docs/check.md.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from tests.onnx_models import affine, external_weights, identity, model
from tests.paths import PROJECT
from tritonops.models.rules.judged_server import JudgedServer, embedded_server, server_of_image
from tritonops.triton_image import parse_image

_FILES = Path(__file__).parent / "graphs" / "cases"
"""Graphs as they were found, which the onnx package would not write like that."""
BASE_CONFIG = """\
backend: "onnxruntime"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 3 ] } ]
instance_group [ { count: 1 kind: KIND_CPU } ]
"""


@dataclass(frozen=True)
class Case:
    """One model of the corpus."""

    name: str
    topic: str
    data: Mapping[str, Any]

    @property
    def codes(self) -> set[str]:
        """The findings that `check` has to have, and no others."""
        codes = self.data.get("finding", [])
        return {codes} if isinstance(codes, str) else set(codes)

    @property
    def source(self) -> str:
        """Where the verdict stands, if only NVIDIA's image can tell: such a case is not asked of the real server."""
        return str(self.data.get("source", ""))

    @property
    def server(self) -> JudgedServer:
        """What it is judged for: the embedded Triton, which may complete configs, or an image with that many GPUs."""
        if "image" not in self.data:
            return replace(embedded_server(), completes_configs=bool(self.data.get("completes")))
        return server_of_image(parse_image(self.data["image"]), gpus=self.data.get("gpus"))

    @property
    def is_served(self) -> bool:
        """Whether a real Triton serves it: as it stands where it is good, otherwise than meant where it is not."""
        return bool(not self.codes or self.data.get("triton") == "serves")

    @property
    def is_by_source(self) -> bool:
        """Whether only NVIDIA's image could tell, and its source code does."""
        return bool(self.source)

    @property
    def is_error(self) -> bool:
        """Whether `check` has to call it an error: Triton refuses it, or serves it and answers wrongly."""
        return not self.is_served or self.data.get("answers") == "wrongly"

    @property
    def says(self) -> str:
        """What Triton says when it refuses it."""
        return str(self.data.get("says", "")).replace("{model}", self.name)

    def write(self, repository: Path) -> None:
        """Make the model in a repository."""
        home = repository / self.name
        (home / "1").mkdir(parents=True)
        self._write_graph(home / "1" / "model.onnx")
        (home / "config.pbtxt").write_text(self._config(), encoding="utf-8")
        for old, new in self.data.get("rename", []):
            (home / old).rename(home / new)
        for old, new in self.data.get("copy", []):
            shutil.copytree(home / old, home / new)
        for path in self.data.get("remove", []):
            shutil.rmtree(home / path) if (home / path).is_dir() else (home / path).unlink()
        for path, graph in self.data.get("graphs", {}).items():
            self._write(home / path, _GRAPHS[graph]().SerializeToString())
        for path, target in self.data.get("links", {}).items():
            shutil.rmtree(home / path, ignore_errors=True)
            (home / path).unlink(missing_ok=True)
            (home / path).symlink_to(target)
        for path, text in self.data.get("files", {}).items():
            self._write(home / path, text.encode())
        for path, size in self.data.get("truncate", {}).items():
            (home / path).write_bytes((home / path).read_bytes()[:size])

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def _config(self) -> str:
        text = str(self.data.get("config", BASE_CONFIG))
        for old, new in self.data.get("edits", []):
            assert old in text, (self.name, old)
            text = text.replace(old, new, 1)
        return f"{text}{self.data.get('append', '')}\n"

    def _write_graph(self, path: Path) -> None:
        name = self.data.get("graph", "affine")
        if name == "external":
            external_weights([1.0, 2.0, 3.0], path)
        elif name.endswith(".onnx"):
            shutil.copyfile(_FILES / name, path)
        elif name:
            path.write_bytes(_GRAPHS[name]().SerializeToString())


def cases() -> Iterator[Case]:
    """Read the corpus."""
    for path in sorted((Path(__file__).parent / "corpus").glob("*.toml")):
        for name, data in tomllib.loads(path.read_text(encoding="utf-8")).items():
            yield Case(name, path.stem, data)


_F = TensorProto.FLOAT


def _copied(shape: list[int | str]) -> onnx.ModelProto:
    return model([helper.make_node("Identity", ["x"], ["y"])], {"x": (_F, shape)}, {"y": (_F, shape)})


def _stamped(*, ir: int = 8, opset: int = 17, domain: str = "") -> onnx.ModelProto:
    """A graph that claims to be newer than any runtime, or needs operators that none has."""
    made = identity(_F)
    made.ir_version, made.opset_import[0].version = ir, opset
    if domain:
        made.graph.node[0].domain = domain
        made.opset_import.append(helper.make_opsetid(domain, 1))
    return made


def _of_a_sequence() -> onnx.ModelProto:
    node = helper.make_node("SequenceAt", ["x", "i"], ["y"])
    inputs = [helper.make_tensor_sequence_value_info("x", _F, ["n", 3])]
    outputs = [helper.make_tensor_value_info("y", _F, ["n", 3])]
    index = helper.make_tensor("i", TensorProto.INT64, [], [0])
    graph = helper.make_graph([node], "graph", inputs, outputs, [index])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def _with_a_default() -> onnx.ModelProto:
    return model(
        [helper.make_node("Mul", ["x", "scale"], ["y"])],
        {"x": (_F, ["n", 3]), "scale": (_F, [1])},
        {"y": (_F, ["n", 3])},
        [helper.make_tensor("scale", _F, [1], [2.0])],
    )


def _with_state() -> onnx.ModelProto:
    adds = [helper.make_node("Add", ["x", "before"], [name]) for name in ("y", "after")]
    return model(adds, {"x": _ROW, "before": _ROW}, {"y": _ROW, "after": _ROW})


def _with_control(width: int) -> onnx.ModelProto:
    nodes = [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Identity", ["start"], ["started"])]
    return model(nodes, {"x": _ROW, "start": (TensorProto.INT32, ["n", width])}, {"y": _ROW})


_ROW: tuple[int, list[int | str]] = (_F, ["n", 3])
_GRAPHS: dict[str, Callable[[], onnx.ModelProto]] = {
    "affine": affine,
    "two-inputs": lambda: model([helper.make_node("Add", ["a", "b"], ["y"])], {"a": _ROW, "b": _ROW}, {"y": _ROW}),
    "two-outputs": lambda: model(
        [helper.make_node("Identity", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["z"])],
        {"x": _ROW},
        {"y": _ROW, "z": _ROW},
    ),
    "dynamic": lambda: _copied(["n", "width"]),
    "fixed-batch": lambda: _copied([2, 3]),
    "scalar": lambda: _copied([]),
    "sequence": _of_a_sequence,
    "ir-99": lambda: _stamped(ir=99),
    "opset-99": lambda: _stamped(opset=99),
    "custom-domain": lambda: _stamped(domain="com.acme"),
    "optional": _with_a_default,
    "four": lambda: _copied(["n", 4]),
    "strings": lambda: model(
        [helper.make_node("Identity", ["x"], ["y"])],
        {"x": (TensorProto.STRING, ["n", 1])},
        {"y": (TensorProto.STRING, ["n", 1])},
    ),
    "state": _with_state,
    "softmax-over-rows": lambda: model([helper.make_node("Softmax", ["x"], ["y"], axis=0)], {"x": _ROW}, {"y": _ROW}),
    "identity-bf16": lambda: identity(TensorProto.BFLOAT16),
    "sequence-controls": lambda: _with_control(1),
    "sequence-wide-control": lambda: _with_control(2),
}

BEGIN, END = "<!-- corpus -->\n", "<!-- /corpus -->\n"


def table() -> str:
    """Write the agreement of `check` and Triton as a table of Markdown."""
    lines = ["| case | check | Triton | in its words |", "|---|---|---|---|"]
    for case in cases():
        codes = ", ".join(f"`{code}`" for code in sorted(case.codes)) or "nothing"
        verdict = "serves" if not case.codes else "serves otherwise" if case.is_served else "refuses"
        verdict = "answers wrongly" if case.is_served and case.is_error else verdict
        verdict += ", with auto-complete" if case.server.completes_configs else ""
        message = case.data.get("says", case.data.get("serves", ""))
        if case.source:
            judge = f" of {case.data['image']}" if "image" in case.data else ""
            message = f"{message} By source{judge}: {case.source}".strip()
        judge = f" NVIDIA: {case.data['nvidia']}" if "nvidia" in case.data else ""
        lines.append(f"| {case.topic}: {case.name} | {codes} | {verdict} | {_escaped(message + judge)} |")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("{model}", "…")


def with_table(page: str) -> str:
    """Put the table into the page, between its marks."""
    return page.partition(BEGIN)[0] + BEGIN + table() + END + page.partition(END)[2]


if __name__ == "__main__":
    docs = PROJECT / "docs" / "check.md"
    docs.write_text(with_table(docs.read_text(encoding="utf-8")), encoding="utf-8")
