"""One line per log record: time, level, logger, a fixed message, then its fields as key=value."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class LineFormatter(logging.Formatter):
    """Renders `extra={...}` after the message; values with spaces or quotes are written as JSON strings."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        extras = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        parts = [when, record.levelname, record.name, record.getMessage()]
        parts += [f"{key}={_shown(value)}" for key, value in extras.items() if key not in {"request", "status_code"}]
        line = " ".join(parts).replace("\r", "\\r").replace("\n", "\\n")  # a value must not forge a line
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _shown(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or any(c in text for c in ' "=\r\n') else text
