"""Path parts of the REST API."""

from __future__ import annotations

from urllib.parse import unquote

from django.urls import register_converter


class PathNumber(str):
    """A path part that must be a number; the base view turns it into one, or answers 422."""

    __slots__ = ()


class NumberConverter:
    regex = "[^/]+"

    def to_python(self, value: str) -> PathNumber:
        return PathNumber(value)

    def to_url(self, value: int) -> str:
        return str(value)


class RepositoryConverter:
    """The repository's name below its project: `a/b` arrives as `a%252Fb`, or as it is through some proxies."""

    regex = ".+?"

    def to_python(self, value: str) -> str:
        return unquote(value)

    def to_url(self, value: str) -> str:
        return value.replace("/", "%252F")


def register() -> None:
    register_converter(NumberConverter, "number")
    register_converter(RepositoryConverter, "repository")
