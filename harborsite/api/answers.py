"""The kinds of answers that a method of the API gives. Its return annotation names one, or several joined by `|`.

mypy holds the method against the annotation, and the OpenAPI document is read from it: the shape of an answer is
written once, as a TypedDict beside the function that renders it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeAlias, TypeVar

from django.http import HttpResponse
from rest_framework.response import Response

T = TypeVar("T")


class Format(NamedTuple):
    """The format of a text, in JSON Schema's words."""

    name: str


Time: TypeAlias = Annotated[str, Format("date-time")]


class Answer(Generic[T], Response):
    """200 with a T as JSON: a TypedDict, or a dataclass where a service has one that says it all."""

    documented_status: ClassVar[int] = 200
    documented_headers: ClassVar[tuple[str, ...]] = ()

    def __init__(self, data: T, *, headers: Mapping[str, str] | None = None) -> None:
        shown = asdict(data) if is_dataclass(data) and not isinstance(data, type) else data
        super().__init__(shown, headers=headers, status=self.documented_status)


class Paged(Answer[list[T]]):
    """200 with a part of a list, the number of all there are, and where its neighbours are."""

    documented_headers = ("X-Total-Count", "Link")


class Done(Response):
    """200 without a word."""

    documented_status = 200
    documented_headers: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__(status=self.documented_status)


class Created(Response):
    """201 with the path of what was made, if it has one."""

    documented_status = 201
    documented_headers = ("Location",)

    def __init__(self, location: str = "") -> None:
        super().__init__(status=self.documented_status, headers={"Location": location} if location else None)


class CreatedWith(Answer[T]):
    """201 with the path of what was made, and what only its maker is told."""

    documented_status = 201
    documented_headers = ("Location",)

    def __init__(self, data: T, *, location: str) -> None:
        super().__init__(data, headers={"Location": location})


class Missing(Answer[T]):
    """404 with what is not there, where the rest has been done."""

    documented_status = 404


class Nothing(HttpResponse):
    """Like Done, but said to be JSON: what Harbor sends where there is no object to show."""

    documented_status = 200

    def __init__(self) -> None:
        super().__init__(content_type="application/json")


class Refused(HttpResponse):
    """400 without a word, which is all that Harbor says of some things."""

    documented_status = 400

    def __init__(self) -> None:
        super().__init__(status=self.documented_status, content_type="application/json")


class Text(HttpResponse):
    """200 with plain text that no browser takes for anything else."""

    documented_status = 200

    def __init__(self, text: str) -> None:
        super().__init__(text, content_type="text/plain", headers={"X-Content-Type-Options": "nosniff"})


class Content(HttpResponse):
    """200 with bytes of the kind that they are."""

    documented_status = 200

    def __init__(self, content: Any, *, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, content_type=content_type, headers=dict(headers or {}))
