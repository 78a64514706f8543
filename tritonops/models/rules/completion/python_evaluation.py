"""The few statements that an auto_complete_config consists of, evaluated without running any of its code.

Whatever is not among them ends in UnknownValueError: nobody can say what the method does.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

MAX_STEPS = 20_000


class UnknownValueError(Exception):
    """A statement or value that only Python itself could tell."""


class UnknownNameError(UnknownValueError):
    """A name that the method does not bind; `args[0]` is the name."""


class Evaluation:
    """The local names of a method. `call` answers calls of methods of a value that is not plain data."""

    def __init__(self, names: Mapping[str, Any], call: Callable[[Any, str, list[Any]], Any]) -> None:
        self._names, self._call = dict(names), call
        self._steps_left = MAX_STEPS

    def run(self, body: list[ast.stmt]) -> tuple[bool, Any]:
        """Run statements; give whether they returned, and what. Raises UnknownValueError, and what `call` raises."""
        for statement in body:
            has_returned, value = self._run(statement)
            if has_returned:
                return True, value
        return False, None

    def _run(self, statement: ast.stmt) -> tuple[bool, Any]:
        self._count()
        match statement:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                pass
            case ast.Expr(value=value):
                self._value(value)
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                self._names[name] = self._value(value)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                self._names[name] = self._value(value)
            case ast.Return(value=value):
                return True, None if value is None else self._value(value)
            case ast.If(test=test, body=body, orelse=orelse):
                return self.run(body if self._value(test) else orelse)
            case ast.For(target=ast.Name(id=name), iter=values, body=body, orelse=[]):
                for item in self._items(values):
                    self._names[name] = item
                    has_returned, value = self.run(body)
                    if has_returned:
                        return True, value
            case _:
                raise UnknownValueError
        return False, None

    def _count(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise UnknownValueError

    def _items(self, node: ast.expr) -> list[Any]:
        values = self._value(node)
        if not isinstance(values, list | tuple | dict):
            raise UnknownValueError
        return list(values)

    def _value(self, node: ast.expr) -> Any:
        self._count()
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                return self._named(name)
            case ast.List(elts=items):
                return [self._value(item) for item in items]
            case ast.Tuple(elts=items):
                return tuple(self._value(item) for item in items)
            case ast.Dict(keys=keys, values=values):
                return {self._key(key): self._value(value) for key, value in zip(keys, values, strict=True)}
            case ast.UnaryOp(op=operator, operand=operand):
                return self._unary(operator, self._value(operand))
            case ast.BoolOp(op=operator, values=values):
                return self._joined(operator, values)
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                return self._compared(operator, self._value(left), self._value(right))
            case ast.Subscript(value=value, slice=key):
                return self._item(self._value(value), self._value(key))
            case ast.ListComp(elt=element, generators=[ast.comprehension(ast.Name(id=name), values, [], 0)]):
                return [self._with(name, each, element) for each in self._items(values)]
            case ast.Call():
                return self._called(node)
        raise UnknownValueError

    def _named(self, name: str) -> Any:
        if name not in self._names:
            raise UnknownNameError(name)
        return self._names[name]

    def _with(self, name: str, value: Any, element: ast.expr) -> Any:
        """Evaluate an element of a comprehension, whose name is gone afterwards."""
        outer, self._names = self._names, {**self._names, name: value}
        try:
            return self._value(element)
        finally:
            self._names = outer

    def _key(self, key: ast.expr | None) -> Any:
        value = None if key is None else self._value(key)
        if not isinstance(value, str | int):
            raise UnknownValueError
        return value

    @staticmethod
    def _unary(operator: ast.unaryop, value: Any) -> Any:
        if isinstance(operator, ast.Not):
            return not value
        if isinstance(operator, ast.USub) and isinstance(value, int | float):
            return -value
        raise UnknownValueError

    def _joined(self, operator: ast.boolop, values: list[ast.expr]) -> Any:
        value = None
        for node in values:
            value = self._value(node)
            if bool(value) != isinstance(operator, ast.And):
                break
        return value

    @staticmethod
    def _compared(operator: ast.cmpop, left: Any, right: Any) -> bool:
        match operator:
            case ast.Eq():
                return bool(left == right)
            case ast.NotEq():
                return bool(left != right)
            case ast.In() if isinstance(right, list | tuple | dict):
                return left in list(right)
            case ast.NotIn() if isinstance(right, list | tuple | dict):
                return left not in list(right)
        raise UnknownValueError

    @staticmethod
    def _item(value: Any, key: Any) -> Any:
        try:
            return value[key]
        except (LookupError, TypeError) as exc:
            raise UnknownValueError from exc

    def _called(self, node: ast.Call) -> Any:
        keywords = {each.arg: self._value(each.value) for each in node.keywords if each.arg}
        if any(each.arg is None for each in node.keywords) or any(isinstance(each, ast.Starred) for each in node.args):
            raise UnknownValueError
        arguments = [self._value(argument) for argument in node.args]
        match node.func:
            case ast.Name(id="print"):
                return None
            case ast.Name(id="dict") if not arguments:
                return keywords
            case ast.Attribute(value=owner, attr=name):
                return self._method(self._value(owner), name, [*arguments, *keywords.values()])
        raise UnknownValueError

    def _method(self, owner: Any, name: str, arguments: list[Any]) -> Any:
        match owner, name, arguments:
            case list(), "append", [value]:
                return owner.append(value)
            case dict(), "get", [key]:
                return owner.get(key)
            case dict(), "keys", []:
                return list(owner)
            case dict(), "values", []:
                return list(owner.values())
            case ((list() | dict() | tuple() | str() | int() | float() | None), _, _):
                raise UnknownValueError
        return self._call(owner, name, arguments)
