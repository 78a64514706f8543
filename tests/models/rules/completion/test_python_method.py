"""What the method of a Python model makes of a config."""

import ast

import pytest

from tests.models.rules.subjects import config
from tritonops.models.rules.completion.python_evaluation import UnknownValueError
from tritonops.models.rules.completion.python_method import CompletionRefusedError, complete_by_method

ADD = "config.add_{}({{'name': '{}', 'data_type': 'TYPE_FP32', 'dims': [3]{}}})"
BARE = (('input [ { name: "x" data_type: TYPE_FP32 dims: [ 3 ] } ]\n', ""), ("max_batch_size: 8", "max_batch_size: 0"))


def source(*body, decorator="@staticmethod", parameters="config", base=""):
    lines = "\n".join(f"        {line}" for line in body)
    return f"class TritonPythonModel{base}:\n    {decorator}\n    def auto_complete_config({parameters}):\n{lines}\n"


def completed(text, *edits, append=""):
    return complete_by_method(config(*edits, append=append), ast.parse(text))


def test_what_the_method_adds_is_in_the_config_and_the_rest_stays():
    body = (
        "config.set_max_batch_size(4)",
        "config.set_dynamic_batching()",
        ADD.format("input", "x", ", 'optional': True"),
    )
    found = completed(source(*body, "return config"), *BARE, append="version_policy { all { } }")
    assert (found.max_batch_size, found.HasField("dynamic_batching"), found.HasField("version_policy")) == (
        4,
        True,
        True,
    )
    assert [(each.name, list(each.dims), each.optional) for each in found.input] == [("x", [3], True)]
    assert [each.name for each in found.output] == ["y"]


def test_a_class_method_and_a_policy_are_understood():
    body = ("config.set_model_transaction_policy({'decoupled': True})", "return config")
    found = completed(source(*body, decorator="@classmethod", parameters="cls, config"))
    assert found.model_transaction_policy.decoupled


def test_a_plain_class_without_the_method_leaves_the_config_as_it_is():
    unchanged = completed("class TritonPythonModel:\n    def execute(self, requests):\n        return []\n")
    assert unchanged == config()


@pytest.mark.parametrize(
    "text",
    [
        "from elsewhere import TritonPythonModel\n",
        "from elsewhere import Base\nclass TritonPythonModel(Base):\n    pass\n",
        "class TritonPythonModel:\n    pass\nsetattr(TritonPythonModel, 'auto_complete_config', print)\n",
        "if True:\n    class TritonPythonModel:\n        pass\n",
        source("return config", decorator="@cached"),
        source("return config", parameters="*config"),
        source("return helper(config)"),
        source("config.as_dict()['parameters']", "return config"),
        source("config.add_input({'name': 'z', 'data_type': 'TYPE_OTHER', 'dims': [3]})", "return config"),
        source("config.set_max_batch_size('4')", "return config"),
        source("config.other()", "return config"),
        source("config.set_max_batch_size(LARGEST)", "return config") + "LARGEST = 8\n",
        source("config.set_max_batch_size(largest)", "return config") + "from elsewhere import *\n",
        source("config.set_max_batch_size(elsewhere.largest)", "return config") + "import elsewhere.largest\n",
    ],
)
def test_what_only_running_it_could_tell_is_said_to_be_unknown(text):
    with pytest.raises(UnknownValueError):
        completed(text)


@pytest.mark.parametrize(
    ("body", "append"),
    [
        (["config.set_max_batch_size(4)", "return config"], ""),
        (["config.set_dynamic_batching()", "return config"], "sequence_batching { }"),
        (["config.add_input({'name': 'x', 'data_type': 'TYPE_INT8', 'dims': [3]})", "return config"], ""),
        (["config.add_output({'name': 'y', 'data_type': 'TYPE_FP32', 'dims': [4]})", "return config"], ""),
        ([ADD.format("input", "x", ", 'optional': True"), "return config"], ""),
        ([ADD.format("output", "z", ", 'optional': True"), "return config"], ""),
        (["config.add_input({'name': 'z', 'dims': [3]})", "return config"], ""),
        (
            ["config.set_model_transaction_policy({'decoupled': True})", "return config"],
            "model_transaction_policy { decoupled: false }",
        ),
        (["config.set_model_transaction_policy({'other': True})", "return config"], ""),
        (["pass"], ""),
        (["return config.as_dict()"], ""),
        (["undefined_name", "return config"], ""),
    ],
)
def test_a_config_that_the_method_refuses_is_found(body, append):
    with pytest.raises(CompletionRefusedError):
        completed(source(*body), append=append)
