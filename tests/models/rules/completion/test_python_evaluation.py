"""The few statements that are evaluated, and everything else that is not."""

import ast
import textwrap

import pytest

from tritonops.models.rules.completion.python_evaluation import Evaluation, UnknownValueError


def run(source, **names):
    return Evaluation(names, refuse).run(ast.parse(textwrap.dedent(source)).body)


def refuse(owner, name, arguments):
    return owner, name, arguments


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("[1, -2, (3, 'a')]", [1, -2, (3, "a")]),
        ("{'a': [1]}['a'][0]", 1),
        ("dict(a=1)", {"a": 1}),
        ("'a' in ['a'] and 'b' not in {'a': 1}", True),
        ("1 == 2 or not 3 != 3", True),
        ("[each['n'] for each in things]", [1, 2]),
        ("{'a': 1}.get('b')", None),
        ("print('x')", None),
    ],
)
def test_plain_values_are_evaluated_as_python_does(expression, value):
    things = [{"n": 1}, {"n": 2}]
    assert run(f"return {expression}", things=things) == (True, value)
    assert eval(expression, {"things": things}) == value


def test_statements_run_in_their_order():
    source = """
    found: list = []
    "a comment"
    for each in [1, 2, 3]:
        if each == 2:
            found.append(each)
        else:
            pass
    return found
    """
    assert run(source) == (True, [2])


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "return open('x')",
        "return name",
        "return len([1])",
        "return f'{1}'",
        "return [1][2]",
        "return {**{}}",
        "x = [1]\nx.sort()",
        "while True: pass",
        "for a, b in [(1, 2)]: pass",
        "try:\n    pass\nfinally:\n    pass",
        "return -'a'",
        "return 'a' < 'b'",
    ],
)
def test_whatever_else_there_is_nobody_can_tell(source):
    with pytest.raises(UnknownValueError):
        run(source)


def test_a_method_of_anything_but_plain_data_is_the_caller_s_business():
    owner = object()
    assert run("return owner.add({'a': 1}, more=2)", owner=owner) == (True, (owner, "add", [{"a": 1}, 2]))


def test_the_keys_and_values_of_an_object_are_lists():
    assert run("return [{'a': 1}.keys(), {'a': 1}.values()]") == (True, [["a"], [1]])


def test_too_many_steps_end_the_evaluation():
    nested = "".join("    " * depth + f"for a{depth} in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]:\n" for depth in range(6))
    with pytest.raises(UnknownValueError):
        run(nested + "    " * 6 + "pass")
