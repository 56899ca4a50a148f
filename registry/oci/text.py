"""How text that a client sent is quoted in an error message."""

_LONGEST = 100


def excerpt(value: object) -> str:
    """`value` quoted on one line, cut short, and plain ASCII: fit for logs and JSON whatever it held."""
    text = ascii(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
