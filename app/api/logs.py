"""The log: one line an event, as text for people or as JSON for programs. Nothing that a client sends begins a line."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """Which request a line is about: its own id, and that of the trace which it belongs to."""

    request_id: str
    trace_id: str


ASKED: ContextVar[Asked | None] = ContextVar("asked", default=None)
_OWN = frozenset((*logging.makeLogRecord({}).__dict__, "message", "asctime", "color_message"))
"""What every record has. Whatever else one holds was given as `extra`, and is a field of its line."""
_PLAIN = re.compile(r"[\w./{}:+-]+", re.ASCII)


class JsonFormatter(logging.Formatter):
    """A line is an object; a traceback is one of its fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _moment(record), "level": record.levelname.lower(), "logger": record.name,
            "message": record.getMessage(), **_fields(record),
        }  # fmt: skip
        if trouble := _traceback(self, record):
            line["exception"] = trouble
        return json.dumps(line, default=str)  # ASCII: no line separator of any script gets through


class TextFormatter(logging.Formatter):
    """Time, level, logger, message, then `name=value`. The lines of a traceback are indented."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join([f" {name}={_shown(value)}" for name, value in _fields(record).items()])
        line = f"{_moment(record)} {record.levelname} {record.name}: {_printable(record.getMessage())}{fields}"
        if trouble := _traceback(self, record):
            line += "".join(f"\n  | {_printable(text)}" for text in trouble.splitlines())
        return line


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    # A line a request: this is written to be fast.
    found = {name: value for name, value in record.__dict__.items() if name not in _OWN}
    if (asked := ASKED.get()) is not None:
        found["request_id"], found["trace_id"] = asked
    return found


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if not (record.exc_info or record.stack_info):
        return ""
    parts = (formatter.formatException(record.exc_info) if record.exc_info else "", record.stack_info or "")
    return "\n".join(filter(None, parts))


def _printable(text: str) -> str:
    """`text` with what moves a cursor, ends a line or has no character escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _shown(value: Any) -> str:
    if value.__class__ in (int, float):
        return repr(value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


_FORMATTERS: Mapping[str, type[logging.Formatter]] = {"text": TextFormatter, "json": JsonFormatter}


def configuration(form: str, level: str) -> dict[str, Any]:
    """What `logging.config.dictConfig` needs: every logger writes to standard error in this form. Uvicorn's own line about a
    request is left out, for `Observed` writes a better one."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": _FORMATTERS[form]}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "concord": {"level": level.upper()},
            "uvicorn": {"level": level.upper()},
            "uvicorn.access": {"level": "CRITICAL", "propagate": False},
        },
    }
