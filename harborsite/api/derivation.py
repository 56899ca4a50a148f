"""What a method of a view asks for, reads and refuses: found in its code, and in the code of ours that it calls.

A call is followed where it names what it calls: a function or class of a module, a method of `self`, a class method.
What is called through a variable of another class is not seen. The tests of the API hold every answer that they get
against the document (`tests/api/described.py`), so that what is missed here is found there.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import types
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from harborsite.api import body, parameters
from harborsite.errors import AppError

OURS = frozenset({"harborsite", "audit", "projects", "registry", "replication"})
_TYPED = ((parameters.number, "integer"), (parameters.flag, "boolean"), (parameters.required, "string"))
_UNSAID = frozenset({"accept", "authorization", "cookie", "x-harbor-csrf-token"})  # part of every request


@dataclass(slots=True)
class Asked:
    """A parameter of the query or a header, with its type in JSON Schema's words."""

    name: str
    place: str
    type: str = "string"
    required: bool = False
    default: Any = None


@dataclass(slots=True)
class Contract:
    asked: dict[tuple[str, str], Asked] = field(default_factory=dict)
    body: Any = None
    refusals: set[type[AppError]] = field(default_factory=set)

    def ask(self, asked: Asked) -> None:
        """One that is asked for twice has the narrower type."""
        key = (asked.place, asked.name.lower())
        if key not in self.asked or self.asked[key].type == "string":
            self.asked[key] = asked


@dataclass(frozen=True, slots=True)
class Place:
    """A function, and the class whose `self` or `cls` it has, and the class that it is written in."""

    function: types.FunctionType
    owner: type | None = None
    written_in: type | None = None


def contract(view: type, *methods: str) -> Contract:
    """What `methods` of `view` ask for, read and refuse, taken together."""
    found = Contract()
    walk = _Walk(found)
    for method in methods:
        if (place := _method(view, method)) is not None:
            found.refusals |= walk.refusals(place)
    return found


class _Walk:
    def __init__(self, found: Contract) -> None:
        self.found = found
        self.known: dict[Place, set[type[AppError]]] = {}

    def refusals(self, place: Place) -> set[type[AppError]]:
        """What a call may raise; what it asks for is noted on the way."""
        if place not in self.known:
            self.known[place] = set()  # for those that call themselves
            self.known[place] = self._of(_tree(place.function), place)
        return self.known[place]

    def _of(self, node: ast.AST, place: Place) -> set[type[AppError]]:
        if isinstance(node, ast.Try):
            return self._of_try(node, place)
        raised: set[type[AppError]] = set()
        if isinstance(node, ast.Call):
            self._note(node, place)
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            raised |= self._follow(_value(node, place), place)
        if isinstance(node, ast.Attribute) and (called := _method_named(node, place)) is not None:
            raised |= self.refusals(called)
        for child in _children(node):
            raised |= self._of(child, place)
        return raised

    def _of_try(self, node: ast.Try, place: Place) -> set[type[AppError]]:
        caught = [each for handler in node.handlers for each in _classes(handler.type, place)]
        raised = {each for part in node.body for each in self._of(part, place) if not issubclass(each, tuple(caught))}
        rest = [*(line for handler in node.handlers for line in handler.body), *node.orelse, *node.finalbody]
        return raised.union(*(self._of(part, place) for part in rest))

    def _follow(self, value: Any, place: Place) -> set[type[AppError]]:
        if isinstance(value, type):
            if issubclass(value, AppError):
                return {value}
            inits = (_method(value, name) for name in ("__init__", "__post_init__")) if _is_ours(value) else ()
            return set().union(*(self.refusals(each) for each in inits if each is not None))
        function = _function(value)
        return self.refusals(Place(function)) if function is not None and _is_ours(function) else set()

    def _note(self, node: ast.Call, place: Place) -> None:
        called = _value(node.func, place)
        name = node.args[1] if len(node.args) > 1 else None
        if (kind := _kind(called)) and isinstance(name, ast.Constant):
            default = _value(node.args[2], place) if len(node.args) > 2 else None
            self.found.ask(Asked(str(name.value), "query", kind, called is parameters.required, default))
        elif called is parameters.integer and isinstance(name, ast.Constant) and not node.keywords:
            self.found.ask(Asked(str(name.value), "query", "integer"))
        elif called is body.read:
            self.found.body = _value(node.args[1], place)
        elif isinstance(node.func, ast.Attribute) and node.args and isinstance(node.args[0], ast.Constant):
            self._note_plain(node.func, node.args[0].value)

    def _note_plain(self, function: ast.Attribute, name: Any) -> None:
        """`request.GET.get("x")`, `request.GET.getlist("x")`, `request.headers.get("X")`."""
        source = function.value.attr if isinstance(function.value, ast.Attribute) else ""
        if source == "GET" and function.attr in {"get", "getlist"}:
            self.found.ask(Asked(name, "query", "array" if function.attr == "getlist" else "string"))
        elif source == "headers" and function.attr == "get" and name.lower() not in _UNSAID:
            self.found.ask(Asked(name, "header"))


def _kind(called: Any) -> str:
    """What a way of asking for a parameter makes of it."""
    return next((kind for function, kind in _TYPED if called is function), "")


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Without what is not run: annotations."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns"}:
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield child


def _value(node: ast.AST | None, place: Place) -> Any:
    """What an expression of names stands for, or None."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(id="cls") if place.owner is not None:
            return place.owner
        case ast.Name(id):
            return _named(id, place.function)
        case ast.Attribute(value=inner, attr=attr):
            holder = _value(inner, place)
            if isinstance(holder, types.ModuleType | type):
                return getattr(holder, attr, None)
        case ast.Subscript(value=ast.Name(id="list" | "dict") as inner, slice=part):
            inside = part.elts if isinstance(part, ast.Tuple) else [part]
            return _value(inner, place)[tuple(_value(each, place) for each in inside)]
    return None


def _named(name: str, function: types.FunctionType) -> Any:
    if name in function.__code__.co_freevars and function.__closure__ is not None:
        cell = function.__closure__[function.__code__.co_freevars.index(name)]
        return cell.cell_contents
    if name in function.__code__.co_varnames:
        return None
    return function.__globals__.get(name, getattr(builtins, name, None))


def _method_named(node: ast.Attribute, place: Place) -> Place | None:
    """The method behind `self.x` and `super().x`."""
    if place.owner is None:
        return None
    match node.value:
        case ast.Name(id="self" | "cls"):
            return _method(place.owner, node.attr)
        case ast.Call(func=ast.Name(id="super"), args=[]) if place.written_in is not None:
            return _method(place.owner, node.attr, after=place.written_in)
    return None


def _method(owner: type, name: str, *, after: type | None = None) -> Place | None:
    order = owner.__mro__
    for holder in order[order.index(after) + 1 if after else 0 :]:
        if name in vars(holder):
            value = vars(holder)[name]
            function = _function(value.fget if isinstance(value, property) else value)
            return Place(function, owner, holder) if function is not None and _is_ours(function) else None
    return None


def _classes(node: ast.AST | None, place: Place) -> Iterable[type[BaseException]]:
    for each in node.elts if isinstance(node, ast.Tuple) else [node]:
        value = _value(each, place) if each is not None else BaseException
        if isinstance(value, type) and issubclass(value, BaseException):
            yield value


def _function(value: Any) -> types.FunctionType | None:
    value = getattr(value, "__func__", value)
    value = inspect.unwrap(value) if callable(value) else value
    return value if isinstance(value, types.FunctionType) else None


def _is_ours(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).partition(".")[0] in OURS


@lru_cache(maxsize=200)
def _tree(function: types.FunctionType) -> ast.AST:
    """Its definition, which the methods that dataclasses are given do not have."""
    code = function.__code__
    if code.co_filename.startswith("<"):
        return ast.Pass()
    source = _definitions(code.co_filename).get(code.co_firstlineno, "pass")
    indented = ast.parse(f"if True:\n{source}" if source[0].isspace() else source).body[0]
    return indented.body[0] if isinstance(indented, ast.If) else indented


@cache
def _definitions(path: str) -> dict[int, str]:
    """The source of all definitions of a file by their first line. Trees take fifty times as much memory."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    lines = text.splitlines(keepends=True)
    found: dict[int, str] = {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            found[first] = "".join(lines[first - 1 : node.end_lineno])
        elif isinstance(node, ast.Lambda):
            found.setdefault(node.lineno, f"({ast.get_source_segment(text, node)})")
    return found
