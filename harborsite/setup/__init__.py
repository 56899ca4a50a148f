"""Making an installation ready, and telling whether it is: what `prepare`, `serve`, `stop` and `status` stand on.

This belongs to the composition: it may import every app, and no app imports it.
"""


class SetupError(Exception):
    """Something that the operator has to put right; the message says what is wrong and what to do, in one line."""
