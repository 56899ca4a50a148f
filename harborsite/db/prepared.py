"""Queries whose SQL Django builds once: building takes ten times as long as running a look-up by key.

    @prepared
    def by_name(name: str) -> QuerySet[Project]:
        return Project.objects.filter(name=name).values_list("pk", "public")

    by_name("library")  # [(1, True)]

The function is called once, with a stand-in for each argument, and must return a `values_list`. An argument may be a
string or an integer and must reach the SQL as a parameter: not a condition on it in Python, not a limit, not an
`in` list. Rows are always read afresh; only the SQL is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, Final

from django.db import connection
from django.db.models import QuerySet

Rows = Sequence[tuple[Any, ...]]
_INTEGER: Final = 0x7E57_0000  # stand-ins start here


class Prepared:
    def __init__(self, build: Callable[..., QuerySet[Any, Any]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__
        self._names = list(signature(build).parameters)
        self._lock = threading.Lock()
        self._run: Callable[[tuple[str | int, ...]], Rows] | None = None

    def __call__(self, *arguments: str | int) -> Rows:
        run = self._run or self._prepare()
        return run(arguments)

    def _prepare(self) -> Callable[[tuple[str | int, ...]], Rows]:
        with self._lock:
            if self._run is None:
                self._run = _compiled(self._build(*self._stand_ins()), self._stand_ins())
            return self._run

    def _stand_ins(self) -> list[str | int]:
        types = self._build.__annotations__
        return [_INTEGER + i if types[name] in (int, "int") else f"\ue000{name}" for i, name in enumerate(self._names)]


def _compiled(query: QuerySet[Any, Any], stand_ins: list[str | int]) -> Callable[[tuple[str | int, ...]], Rows]:
    compiler = query.query.get_compiler(query.db)
    sql, parameters = compiler.as_sql()
    order = [stand_ins.index(parameter) if parameter in stand_ins else None for parameter in parameters]
    if not set(range(len(stand_ins))) <= set(order):
        raise TypeError("an argument of a prepared query is no parameter of its SQL")
    fixed = list(zip(order, parameters, strict=True))
    selected = [expression for expression, _, _ in compiler.select]
    converters = [
        (position, functions, expression)
        for position, (functions, expression) in compiler.get_converters(selected).items()
    ]

    def run(arguments: tuple[str | int, ...]) -> Rows:
        with connection.cursor() as cursor:
            cursor.execute(sql, [value if at is None else arguments[at] for at, value in fixed])
            rows: Rows = cursor.fetchall()
        return [_converted(row, converters) for row in rows] if converters else rows

    return run


def _converted(row: tuple[Any, ...], converters: list[tuple[int, Any, Any]]) -> tuple[Any, ...]:
    values = list(row)
    for position, functions, expression in converters:
        for function in functions:
            values[position] = function(values[position], expression, connection)
    return tuple(values)


def prepared(build: Callable[..., QuerySet[Any, Any]]) -> Prepared:
    """See the module's description."""
    return Prepared(build)
