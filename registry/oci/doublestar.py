"""Patterns for names: `*` and `?` within a part, `**` over parts, `[…]` and `{one,other}`.

Matching walks all possibilities side by side, so that no pattern makes a name take long, as regular expressions with
several wildcards can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

MAX_LENGTH = 1024
_MAX_ALTERNATIVES = 64

Step = Callable[[str], bool]
_STAR, _GLOBSTAR = "*", "**"
Token = Step | str  # what one character must be, or one of the two wildcards


def matches(pattern: str, text: str) -> bool:
    """Whether all of `text` fits; an empty pattern fits everything."""
    if pattern in {"", _GLOBSTAR}:
        return True
    return any(_fits(tokens, text) for tokens in _compiled(pattern))


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> tuple[tuple[Token, ...], ...]:
    return tuple(tuple(_tokens(alternative)) for alternative in alternatives(pattern[:MAX_LENGTH])[0])


def alternatives(pattern: str) -> tuple[list[str], bool]:
    """The patterns without braces that one with braces stands for, and whether these are all: 64 are looked at."""
    done: list[str] = []
    open_ones = [pattern]
    while open_ones and len(done) + len(open_ones) <= _MAX_ALTERNATIVES:
        current = open_ones.pop()
        end = current.find("}")
        start = current.rfind("{", 0, end) if end >= 0 else -1
        if start < 0:
            done.append(current)
            continue
        options = current[start + 1 : end].split(",")
        open_ones += [current[:start] + option + current[end + 1 :] for option in options]
    return done, not open_ones


def _tokens(pattern: str) -> Iterator[Token]:
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            start = position
            while position < len(pattern) and pattern[position] == "*":
                position += 1
            yield _GLOBSTAR if position > start else _STAR
        elif char == "?":
            yield "/".__ne__
        elif char == "[" and (end := pattern.find("]", position + 1)) > 0:
            yield _set(pattern[position:end])
            position = end + 1
        else:
            if char == "\\" and position < len(pattern):
                char = pattern[position]
                position += 1
            yield char.__eq__


def _set(inside: str) -> Step:
    negated = inside[0] in "!^"
    members = inside[1:] if negated else inside
    wanted: set[str] = set()
    ranges: list[tuple[str, str]] = []
    while members:
        if len(members) > 2 and members[1] == "-":
            ranges.append((members[0], members[2]))
            members = members[3:]
        else:
            wanted.add(members[0])
            members = members[1:]
    return lambda char: (char in wanted or any(low <= char <= high for low, high in ranges)) != negated


def _fits(tokens: tuple[Token, ...], text: str) -> bool:
    places = _skipped({0}, tokens)
    for char in text:
        following: set[int] = set()
        for place in places:
            if place == len(tokens):
                continue
            token = tokens[place]
            if isinstance(token, str):
                if token == _GLOBSTAR or char != "/":
                    following.add(place)
            elif token(char):
                following.add(place + 1)
        places = _skipped(following, tokens)
    return len(tokens) in places


def _skipped(places: set[int], tokens: tuple[Token, ...]) -> set[int]:
    """With the places behind wildcards, which may stand for nothing."""
    for place in list(places):
        while place < len(tokens) and isinstance(tokens[place], str):
            place += 1
            places.add(place)
    return places
