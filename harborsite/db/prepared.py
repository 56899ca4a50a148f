"""Statements whose SQL Django builds once: building takes ten times as long as running a look-up by key.

    @prepared
    def by_name(name: str) -> QuerySet[Project, tuple[int, bool]]:
        return Project.objects.filter(name=name).values_list("pk", "public")

    by_name("library")  # [(1, True)]

    @prepared_change
    def rename(pk: int, name: str) -> Change:
        return Change(Project.objects.filter(pk=pk), {"name": name})

    rename(1, "books")  # 1

The function is called once, with a stand-in for each argument, which must reach the SQL as a parameter: not a
condition on it in Python, not a limit. A list is for `in`, and holds at least one and at most BATCH values. Rows are
always read afresh; only the SQL is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from inspect import signature
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import AutoField, Model, QuerySet
from django.db.models.sql import DeleteQuery, InsertQuery, UpdateQuery
from django.utils import timezone

Row = tuple[Any, ...]
M = TypeVar("M", bound=Model)
BATCH: Final = 16
_FIRST: Final = 0x7E57_0000  # of the integers that stand in; the other kinds count along
_STAND_INS: Final[Mapping[str, Callable[[int], Any]]] = {
    "str": lambda number: f"\ue000{number}",
    "int": lambda number: _FIRST + number,
    "datetime": lambda number: datetime(1901, 1, 1, tzinfo=UTC) + timedelta(days=number),
    "UUID": lambda number: UUID(int=_FIRST + number),
}


@dataclass(frozen=True)
class Change:
    """What is to happen to some rows: new values, or none at all, which deletes them without asking who refers."""

    rows: QuerySet[Any, Any]
    values: Mapping[str, Any] | None


class _Statement:
    """The SQL of one function, and where its arguments go."""

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build
        self.__doc__ = build.__doc__
        self._kinds = [str(build.__annotations__[name]) for name in signature(build).parameters]
        self._lock = threading.Lock()
        self._ready = False

    def _execute(self, cursor: Any, arguments: tuple[Any, ...]) -> None:
        if not self._ready:
            with self._lock:
                self._prepare()
                self._ready = True
        given = [_adapted(value) for argument in arguments for value in _flat(argument)]
        cursor.execute(self._sql, [value if at is None else given[at] for at, value in self._parameters])

    def _prepare(self) -> None:
        stand_ins = [_stand_in(kind, number * BATCH) for number, kind in enumerate(self._kinds)]
        sql, parameters = self._compile(self._build(*stand_ins))
        adapted = [_adapted(value) for stand_in in stand_ins for value in _flat(stand_in)]
        order = [adapted.index(value) if value in adapted else None for value in parameters]
        if not set(range(len(adapted))) <= set(order):
            raise TypeError("an argument of a prepared statement is no parameter of its SQL")
        self._sql, self._parameters = sql, list(zip(order, parameters, strict=True))

    def _compile(self, built: Any) -> tuple[str, Sequence[Any]]:
        raise NotImplementedError


class Prepared(_Statement):
    """A query; call it for its rows."""

    def __call__(self, *arguments: Any) -> Sequence[Row]:
        with connection.cursor() as cursor:
            self._execute(cursor, arguments)
            rows: Sequence[Row] = cursor.fetchall()
        return [self._converted(row) for row in rows] if self._converters else rows

    def _compile(self, built: QuerySet[Any, Any]) -> tuple[str, Sequence[Any]]:
        compiler = built.query.get_compiler(built.db)
        sql, parameters = compiler.as_sql()
        found = compiler.get_converters([expression for expression, _, _ in compiler.select])
        self._converters = [(at, functions, expression) for at, (functions, expression) in found.items()]
        return sql, parameters

    def _converted(self, row: Row) -> Row:
        values = list(row)
        for at, functions, expression in self._converters:
            for function in functions:
                values[at] = function(values[at], expression, connection)
        return tuple(values)


class PreparedChange(_Statement):
    """A statement that changes or deletes rows; call it for their number."""

    def __call__(self, *arguments: Any) -> int:
        with connection.cursor() as cursor:
            self._execute(cursor, arguments)
            return int(cursor.rowcount)

    def _compile(self, built: Change) -> tuple[str, Sequence[Any]]:
        query: Any = built.rows.query
        if built.values is None:
            query = query.chain(DeleteQuery)
        else:
            query = query.chain(UpdateQuery)
            query.add_update_values(built.values)
        sql, parameters = query.get_compiler(built.rows.db).as_sql()
        return sql, parameters


class Insert(Generic[M]):
    """A statement that adds a row of `model`; call it with fields by attribute name for the new row's key.

    Fields that are not named get what the model says; the key is the database's, unless it is named.
    """

    def __init__(self, model: type[M], *, key: bool = False) -> None:
        self._model, self._key = model, key

    @cached_property
    def _fields(self) -> list[Any]:
        fields = self._model._meta.concrete_fields
        return [field for field in fields if self._key or not isinstance(field, AutoField)]

    @cached_property
    def _sql(self) -> str:
        query = InsertQuery(self._model)
        query.insert_values(self._fields, [self._model()])
        sql: str = query.get_compiler(DEFAULT_DB_ALIAS).as_sql()[0][0]
        return sql

    def __call__(self, **values: Any) -> int:
        parameters = [
            field.get_db_prep_save(values[field.attname] if field.attname in values else _unnamed(field), connection)
            for field in self._fields
        ]
        with connection.cursor() as cursor:
            cursor.execute(self._sql, parameters)
            return int(cursor.lastrowid or 0)


def _unnamed(field: Any) -> Any:
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return timezone.now()
    return field.get_default()


def _stand_in(kind: str, number: int) -> Any:
    one = _STAND_INS[kind.removeprefix("list[").removesuffix("]")]
    return [one(number + offset) for offset in range(BATCH)] if kind.startswith("list[") else one(number)


def _flat(argument: Any) -> Sequence[Any]:
    """A list is filled up with its last value, which an `in` does not mind."""
    if not isinstance(argument, list):
        return (argument,)
    if not 0 < len(argument) <= BATCH:
        raise ValueError(f"a batch has 1 to {BATCH} values")
    return argument + argument[-1:] * (BATCH - len(argument))


def _adapted(value: Any) -> Any:
    """As the database's driver is given it."""
    if isinstance(value, datetime):
        return connection.ops.adapt_datetimefield_value(value)
    if isinstance(value, UUID) and not connection.features.has_native_uuid_field:
        return value.hex
    return value


def prepared(build: Callable[..., QuerySet[Any, Any]]) -> Prepared:
    """See the module's description; the function returns a `values_list`."""
    return Prepared(build)


def prepared_change(build: Callable[..., Change]) -> PreparedChange:
    """See the module's description."""
    return PreparedChange(build)


def columns(model: type[Model]) -> list[str]:
    """What `instance` needs of a row."""
    return [field.attname for field in model._meta.concrete_fields]


def instance(model: type[M], row: Row) -> M:
    return model.from_db(DEFAULT_DB_ALIAS, columns(model), row)
