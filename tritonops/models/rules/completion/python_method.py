"""How a Python model completes its config: the method `auto_complete_config` of its class.

Its rules are those of ModelConfig in triton_python_backend_utils.py (r24.10), and of AutoCompleteModelConfig in
pb_stub.cc: without the method, a config stays as it is.
"""

from __future__ import annotations

import ast
import builtins
from typing import Any

from tritonops.models.configs.pbtxt import ModelConfig, message_class, type_name
from tritonops.models.rules.completion.python_evaluation import Evaluation, UnknownNameError, UnknownValueError

METHOD = "auto_complete_config"
_CLASS = "TritonPythonModel"


class CompletionRefusedError(Exception):
    """What the method raises for this config, or what its result lacks."""


def complete_by_method(config: ModelConfig, tree: ast.Module) -> ModelConfig:
    """Complete a config as the method in the model's source does, which is not run.

    Raises UnknownValueError where only running it could tell, and CompletionRefusedError where it refuses the config.
    """
    method = _method(tree)
    if method is None:
        return config
    parameters = [argument.arg for argument in method.args.args]
    is_class_method = "classmethod" in _decorators(method)
    if len(parameters) != (2 if is_class_method else 1) or method.args.vararg or method.args.kwarg:
        raise UnknownValueError
    edited = _Edited(_as_dict(config))
    evaluation = Evaluation({parameters[-1]: edited}, _call)
    try:
        _, value = evaluation.run(method.body)
    except UnknownNameError as exc:
        if _is_bound(exc.args[0], tree):
            raise
        raise CompletionRefusedError(f"name {exc.args[0]!r} is not defined") from exc
    if value is not edited:
        raise CompletionRefusedError("it does not return the config that it was given")
    completed: ModelConfig = edited.applied_to(config)
    return completed


def _method(tree: ast.Module) -> ast.FunctionDef | None:
    """Find the method; None for a plain class without one."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == _CLASS]
    if len(classes) != 1 or classes[0] not in tree.body or classes[0].decorator_list or classes[0].keywords:
        raise UnknownValueError
    body = classes[0].body
    named = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == METHOD]
    is_plain = all(isinstance(base, ast.Name) and base.id == "object" for base in classes[0].bases)
    if not named and is_plain and not any(map(_names_method, ast.walk(tree))):
        return None
    if len(named) != 1 or not _decorators(named[0]) <= {"staticmethod", "classmethod"}:
        raise UnknownValueError
    return named[0]


def _is_bound(name: str, tree: ast.Module) -> bool:
    """Whether anything in a module may give a name its value, or Python does."""
    if hasattr(builtins, name):
        return True
    for node in ast.walk(tree):
        if isinstance(node, ast.alias) and (node.name == "*" or name == (node.asname or node.name.partition(".")[0])):
            return True
        if isinstance(node, ast.Name) and node.id == name and not isinstance(node.ctx, ast.Load):
            return True
        if name in (getattr(node, "name", None), getattr(node, "arg", None)):
            return True
    return False


def _names_method(node: ast.AST) -> bool:
    """Whether a node may give the class its method otherwise, by an assignment or setattr."""
    return METHOD in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "value", None))


def _decorators(method: ast.FunctionDef) -> set[str]:
    return {ast.unparse(decorator) for decorator in method.decorator_list}


def _as_dict(config: ModelConfig) -> dict[str, Any]:
    """Give what the method sees of the config; other keys it would have too are left out, and so unknown."""
    found: dict[str, Any] = {
        "max_batch_size": config.max_batch_size,
        "input": [
            {
                "name": each.name,
                "data_type": type_name(each),
                "dims": list(each.dims),
                "optional": each.optional,
            }
            for each in config.input
        ],
        "output": [
            {"name": each.name, "data_type": type_name(each), "dims": list(each.dims)} for each in config.output
        ],
    }
    if choice := config.WhichOneof("scheduling_choice"):
        found[choice] = {}
    if config.HasField("model_transaction_policy"):
        found["model_transaction_policy"] = {"decoupled": config.model_transaction_policy.decoupled}
    return found


def _call(owner: Any, name: str, arguments: list[Any]) -> Any:
    """Answer a call of one of ModelConfig's methods."""
    known = (
        *("as_dict", "set_max_batch_size", "set_dynamic_batching", "add_input", "add_output"),
        "set_model_transaction_policy",
    )
    if not isinstance(owner, _Edited) or name not in known:
        raise UnknownValueError
    try:
        return getattr(owner, name)(*arguments)
    except TypeError as exc:
        raise UnknownValueError from exc


class _Edited:
    """The object that the method is given."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def as_dict(self) -> dict[str, Any]:
        return self._values

    def set_max_batch_size(self, size: Any) -> None:
        if self._values["max_batch_size"] > size:
            declared = self._values["max_batch_size"]
            raise CompletionRefusedError(f"it sets max_batch_size to {size}, and the config has {declared}")
        self._values["max_batch_size"] = size

    def set_dynamic_batching(self) -> None:
        for scheduler in ("sequence_batching", "ensemble_scheduling"):
            if scheduler in self._values:
                raise CompletionRefusedError(f"it sets dynamic_batching, and the config has {scheduler}")
        self._values["dynamic_batching"] = {}

    def add_input(self, tensor: Any) -> None:
        self._add("input", tensor, {"name", "data_type", "dims", "optional"})

    def add_output(self, tensor: Any) -> None:
        self._add("output", tensor, {"name", "data_type", "dims"})

    def set_model_transaction_policy(self, policy: Any) -> None:
        if not isinstance(policy, dict):
            raise UnknownValueError
        if set(policy) - {"decoupled"}:
            raise CompletionRefusedError("it sets a transaction policy with another key than 'decoupled'")
        declared = self._values.setdefault("model_transaction_policy", {})
        if "decoupled" in policy and declared.get("decoupled", policy["decoupled"]) != policy["decoupled"]:
            raise CompletionRefusedError("it sets `decoupled`, and the config has the opposite")
        declared.update(policy)

    def _add(self, kind: str, tensor: Any, properties: set[str]) -> None:
        if not isinstance(tensor, dict):
            raise UnknownValueError
        where = f"{kind} {tensor.get('name')!r}"
        if others := set(tensor) - properties:
            raise CompletionRefusedError(f"it gives {where} the unknown property {sorted(map(str, others))[0]!r}")
        for required in ("name", "data_type", "dims"):
            if required not in tensor:
                raise CompletionRefusedError(f"it gives {where} no {required!r}")
        declared = next((each for each in self._values[kind] if each["name"] == tensor["name"]), None)
        if declared is None:
            self._values[kind].append(tensor)
            return
        if declared["data_type"] not in ("TYPE_INVALID", tensor["data_type"]):
            declared_type = declared["data_type"]
            raise CompletionRefusedError(f"{where} is {tensor['data_type']} in it, {declared_type} in the config")
        if declared["dims"] and declared["dims"] != tensor["dims"]:
            raise CompletionRefusedError(f"{where} has dims {tensor['dims']} in it, {declared['dims']} in the config")
        if "optional" in declared and declared["optional"] != tensor.get("optional", declared["optional"]):
            raise CompletionRefusedError(f"{where} is `optional` in one of it and the config, and not in the other")
        declared.update(tensor)

    def applied_to(self, config: ModelConfig) -> ModelConfig:
        """Give the config with what the method added. Raises UnknownValueError for values of another type."""
        completed = message_class()()
        completed.CopyFrom(config)
        before = {kind: {each.name: each for each in getattr(config, kind)} for kind in ("input", "output")}
        try:
            completed.max_batch_size = self._values["max_batch_size"]
            for kind, declared in before.items():
                tensors = getattr(completed, kind)
                del tensors[:]
                for values in self._values[kind]:
                    self._write(tensors.add(), values, declared.get(values["name"]))
            if "dynamic_batching" in self._values:
                completed.dynamic_batching.SetInParent()
            if policy := self._values.get("model_transaction_policy"):
                completed.model_transaction_policy.decoupled = policy.get("decoupled", False)
        except (TypeError, ValueError, KeyError, AttributeError) as exc:
            raise UnknownValueError from exc
        return completed

    @staticmethod
    def _write(tensor: Any, values: dict[str, Any], declared: Any) -> None:
        if declared is not None:
            tensor.CopyFrom(declared)
        kind = tensor.DESCRIPTOR.fields_by_name["data_type"].enum_type
        tensor.name, tensor.data_type = values["name"], kind.values_by_name[values["data_type"]].number
        del tensor.dims[:]
        tensor.dims.extend(values["dims"])
        if "optional" in values and hasattr(tensor, "optional"):
            tensor.optional = values["optional"]
