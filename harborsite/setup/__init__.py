"""Making an installation ready, and telling whether it is: what `prepare`, `serve`, `stop` and `status` stand on.

This belongs to the composition: it may import every app, and no app imports it.
"""

from __future__ import annotations

from harborsite.shelltext import gettext


class SetupError(Exception):
    """Something that the operator has to put right; the message says what is wrong and what to do, in one line."""


def cannot_write(error: OSError) -> SetupError:
    """What to raise where a file could not be written."""
    return SetupError(
        gettext(
            "{filename}: {strerror}. The user that runs Harborsite must be able to write there, "
            "and the disk must have room."
        ).format(filename=error.filename, strerror=error.strerror)
    )
