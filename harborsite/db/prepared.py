"""Statements whose SQL Django builds once: building takes ten times as long as running a look-up by key.

    @prepared
    def by_name(name: str) -> QuerySet[Project, tuple[int, bool]]:
        return Project.objects.filter(name=name).values_list("pk", "public")

    by_name("library")  # [(1, True)]

    @prepared_change
    def rename(pk: int, name: str) -> Change:
        return Change(Project.objects.filter(pk=pk), {"name": name})

    rename(1, "books")  # 1

    @prepared_models
    def of_project(project: int) -> QuerySet[Member]:
        return Member.objects.filter(project=project).select_related("user")

    of_project(1)  # [<Member: alice>]

The function is called once, with a stand-in for each argument, which must reach the SQL as a parameter: not a
condition on it in Python, not a limit. A list is for `in`, and holds at least one and at most MOST values. Rows are
always read afresh; only the SQL is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from inspect import signature
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from uuid import UUID

from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.models import Aggregate, AutoField, BooleanField, Count, DateTimeField, Field, Model, QuerySet, Sum
from django.db.models.base import ModelState
from django.db.models.sql import DeleteQuery, InsertQuery, UpdateQuery
from django.utils import timezone

Row = tuple[Any, ...]
Finish = Callable[[Sequence[Row]], Any]  # makes of the rows what the caller gets
M = TypeVar("M", bound=Model)
BATCH: Final = 16  # of most lists; one that is longer takes a statement that is wider
MOST: Final = 128
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


@dataclass(frozen=True)
class _Plan:
    """The SQL for lists of certain widths, where its arguments go, and what becomes of the rows."""

    sql: str
    parameters: Sequence[tuple[int | None, Any]]
    finish: Finish


class _Statement:
    """The SQL of one function, built once for each width of its lists."""

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build
        self.__doc__ = build.__doc__
        self._kinds = [str(build.__annotations__[name]) for name in signature(build).parameters]
        self._lock = threading.Lock()
        self._plans: dict[tuple[int, ...], _Plan] = {}

    def _execute(self, cursor: Any, arguments: tuple[Any, ...]) -> _Plan:
        widths = tuple(_width(argument) for argument in arguments if isinstance(argument, list))
        plan = self._plans.get(widths)
        if plan is None:
            with self._lock:
                plan = self._plans[widths] = self._prepare(widths)
        given = [_adapted(value) for argument in arguments for value in _flat(argument)]
        cursor.execute(plan.sql, [value if at is None else given[at] for at, value in plan.parameters])
        return plan

    def _prepare(self, widths: tuple[int, ...]) -> _Plan:
        left = iter(widths)
        stand_ins = [_stand_in(kind, number * MOST, left) for number, kind in enumerate(self._kinds)]
        sql, parameters, finish = self._compile(self._build(*stand_ins))
        adapted = [_adapted(value) for stand_in in stand_ins for value in _flat(stand_in)]
        order = [adapted.index(value) if value in adapted else None for value in parameters]
        if not set(range(len(adapted))) <= set(order):
            raise TypeError("an argument of a prepared statement is no parameter of its SQL")
        return _Plan(sql, list(zip(order, parameters, strict=True)), finish)

    def _compile(self, built: Any) -> tuple[str, Sequence[Any], Finish]:
        raise NotImplementedError


class _Query(_Statement):
    def __call__(self, *arguments: Any) -> Any:
        with connection.cursor() as cursor:
            plan = self._execute(cursor, arguments)
            rows: Sequence[Row] = cursor.fetchall()
        return plan.finish(rows)


class Prepared(_Query):
    """A query; call it for its rows."""

    if TYPE_CHECKING:

        def __call__(self, *arguments: Any) -> Sequence[Row]: ...

    def _compile(self, built: QuerySet[Any, Any]) -> tuple[str, Sequence[Any], Finish]:
        compiler = built.query.get_compiler(built.db)
        sql, parameters = compiler.as_sql()
        return sql, parameters, _converting(compiler)


class PreparedModels(_Query):
    """A query for rows of a model, with what `select_related` and `annotate` add to them; call it for the objects."""

    if TYPE_CHECKING:

        def __call__(self, *arguments: Any) -> list[Any]: ...

    def _compile(self, built: QuerySet[Any, Any]) -> tuple[str, Sequence[Any], Finish]:
        compiler = built.query.get_compiler(built.db)
        sql, parameters = compiler.as_sql()
        return sql, parameters, _making(compiler, _converting(compiler))


class PreparedTotal(_Query):
    """One number about all rows of a query: how many they are, or the sum of one column."""

    def __init__(self, build: Callable[..., Any], aggregate: Aggregate) -> None:
        super().__init__(build)
        self._aggregate = aggregate

    if TYPE_CHECKING:

        def __call__(self, *arguments: Any) -> int: ...

    def _compile(self, built: QuerySet[Any, Any]) -> tuple[str, Sequence[Any], Finish]:
        query: Any = built.order_by().query.chain()
        query.select_related, query.default_cols = False, False
        query.clear_select_clause()
        query.add_annotation(self._aggregate, "total")
        query.set_annotation_mask({"total"})
        sql, parameters = query.get_compiler(built.db).as_sql()
        return sql, parameters, lambda rows: int(rows[0][0] or 0)


def _converting(compiler: Any) -> Finish:
    """What turns values of the database into those of the fields."""
    found = compiler.get_converters([expression for expression, _, _ in compiler.select])
    if not found:
        return lambda rows: rows
    converters = [(at, _converter(functions, expression)) for at, (functions, expression) in found.items()]

    def converted(row: Row) -> Row:
        values = list(row)
        for at, convert in converters:
            values[at] = convert(values[at])
        return tuple(values)

    return lambda rows: [converted(row) for row in rows]


def _converter(functions: Sequence[Callable[[Any, Any, Any], Any]], expression: Any) -> Callable[[Any], Any]:
    short = _CONVERTERS.get(type(expression.output_field))
    if short and len(functions) == 1:
        return short

    def convert(value: Any) -> Any:
        for function in functions:
            value = function(value, expression, connection)
        return value

    return convert


def _time(value: str | datetime | None) -> datetime | None:
    if value is None:
        return None
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).replace(tzinfo=UTC)


def _flag(value: int | None) -> bool | None:
    return None if value is None else value != 0


# In place of the backends' own, which take several times as long: times are text in SQLite, and UTC everywhere.
_CONVERTERS: Final[Mapping[type[Field[Any, Any]], Callable[[Any], Any]]] = {DateTimeField: _time, BooleanField: _flag}


def _making(compiler: Any, converting: Finish) -> Finish:
    """What turns rows into objects, as Django's ModelIterable does."""
    make = _maker(compiler.klass_info, compiler.select)
    annotations = list(compiler.annotation_col_map.items())

    def made(row: Row) -> Any:
        found = make(row)
        for name, at in annotations:
            setattr(found, name, row[at])
        return found

    return lambda rows: [made(row) for row in converting(rows)]


def _maker(info: Mapping[str, Any], select: Sequence[tuple[Any, Any, Any]]) -> Callable[[Row], Any]:
    """What makes of a row an object of one model, with those that `select_related` joined to it; None where none is."""
    fields = info["select_fields"]
    names = [expression.target.attname for expression, _, _ in select[fields[0] : fields[-1] + 1]]
    key, cut = fields[0] + names.index(info["model"]._meta.pk.attname), slice(fields[0], fields[-1] + 1)
    related = [(_maker(each, select), each) for each in info.get("related_klass_infos", ())]

    def made(row: Row) -> Any:
        if row[key] is None:
            return None
        found = _object(info["model"], names, row[cut])
        for make, other in related:
            joined = make(row)
            other["local_setter"](found, joined)
            if joined is not None:
                other["remote_setter"](joined, found)
        return found

    return made


def _object(model: type[M], names: Sequence[str], values: Row) -> M:
    """As Model.from_db makes it, but for the signals, which nobody here listens to and which take most of its time."""
    made = model.__new__(model)
    state = ModelState()
    state.adding, state.db = False, DEFAULT_DB_ALIAS
    vars(made).update(zip(names, values, strict=True), _state=state)
    return made


class PreparedChange(_Statement):
    """A statement that changes or deletes rows; call it for their number."""

    def __call__(self, *arguments: Any) -> int:
        with connection.cursor() as cursor:
            self._execute(cursor, arguments)
            return int(cursor.rowcount)

    def _compile(self, built: Change) -> tuple[str, Sequence[Any], Finish]:
        query: Any = built.rows.query
        if built.values is None:
            query = query.chain(DeleteQuery)
        else:
            query = query.chain(UpdateQuery)
            query.add_update_values(built.values)
        sql, parameters = query.get_compiler(built.rows.db).as_sql()
        return sql, parameters, lambda rows: None


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
        database = connections[DEFAULT_DB_ALIAS]  # itself: each field asks it several things, a proxy much more slowly
        parameters = [
            field.get_db_prep_save(values[field.attname] if field.attname in values else _unnamed(field), database)
            for field in self._fields
        ]
        with database.cursor() as cursor:
            cursor.execute(self._sql, parameters)
            return int(cursor.lastrowid or 0)


def _unnamed(field: Any) -> Any:
    if getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False):
        return timezone.now()
    return field.get_default()


def _stand_in(kind: str, number: int, widths: Iterator[int]) -> Any:
    one = _STAND_INS[kind.removeprefix("list[").removesuffix("]")]
    return [one(number + offset) for offset in range(next(widths))] if kind.startswith("list[") else one(number)


def _width(argument: list[Any]) -> int:
    """Lists come in two widths, so that there are few statements."""
    if not 0 < len(argument) <= MOST:
        raise ValueError(f"a batch has 1 to {MOST} values")
    return BATCH if len(argument) <= BATCH else MOST


def _flat(argument: Any) -> Sequence[Any]:
    """A list is filled up with its last value, which an `in` does not mind."""
    if not isinstance(argument, list):
        return (argument,)
    return argument + argument[-1:] * (_width(argument) - len(argument))


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


def prepared_models(build: Callable[..., QuerySet[Any]]) -> PreparedModels:
    """See the module's description; the function returns a QuerySet of a model."""
    return PreparedModels(build)


def prepared_count(build: Callable[..., QuerySet[Any]]) -> PreparedTotal:
    """See the module's description; what is counted are the rows of the QuerySet that the function returns."""
    return PreparedTotal(build, Count("*"))


def prepared_sum(column: str) -> Callable[[Callable[..., QuerySet[Any]]], PreparedTotal]:
    """The same for the sum of a column; 0 where there are no rows."""
    return lambda build: PreparedTotal(build, Sum(column))


def prepared_change(build: Callable[..., Change]) -> PreparedChange:
    """See the module's description."""
    return PreparedChange(build)


def gathered(statement: Prepared | PreparedModels, values: Sequence[Any]) -> list[Any]:
    """The rows of a statement that takes one list, however long that is."""
    parts = (values[start : start + MOST] for start in range(0, len(values), MOST))
    return [row for part in parts for row in statement(list(part))]


def columns(model: type[Model]) -> list[str]:
    """What `instance` needs of a row."""
    return [field.attname for field in model._meta.concrete_fields]


def instance(model: type[M], row: Row) -> M:
    return _object(model, columns(model), row)
