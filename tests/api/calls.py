"""Calling the REST API in tests, and reading what it answers."""

from __future__ import annotations

from typing import Any

from django.test import Client

API = "/api/v2.0"
JSON = "application/json"


def get(client: Client, path: str, **query: Any) -> Any:
    return client.get(f"{API}{path}", query)


def post(client: Client, path: str, body: Any = None, **headers: str) -> Any:
    return client.post(f"{API}{path}", {} if body is None else body, content_type=JSON, headers=headers)


def put(client: Client, path: str, body: Any = None) -> Any:
    return client.put(f"{API}{path}", {} if body is None else body, content_type=JSON)


def patch(client: Client, path: str, body: Any = None) -> Any:
    return client.patch(f"{API}{path}", {} if body is None else body, content_type=JSON)


def delete(client: Client, path: str) -> Any:
    return client.delete(f"{API}{path}")


def made(answer: Any) -> int:
    """The id at the end of the Location of something that was made."""
    assert answer.status_code == 201, answer.content
    return int(answer["Location"].rpartition("/")[2])


def names(answer: Any, key: str = "name") -> list[str]:
    assert answer.status_code == 200, answer.content
    return [item[key] for item in answer.json()]
