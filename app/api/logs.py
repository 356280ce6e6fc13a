"""The log: one line an event, as text for people or as JSON for programs. Nothing that a client sends begins a line."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from select import PIPE_BUF
from typing import Any, NamedTuple, TextIO, cast


class Asked(NamedTuple):
    """Which request a line is about: its own id, and that of the trace which it belongs to."""

    request_id: str
    trace_id: str


ASKED: ContextVar[Asked | None] = ContextVar("asked", default=None)
_OWN = frozenset((*logging.makeLogRecord({}).__dict__, "message", "asctime", "color_message"))
"""What every record has. Whatever else one holds was given as `extra`, and is a field of its line."""
_PLAIN = re.compile(r"[\w./{}:+-]+", re.ASCII)


class Line(NamedTuple):
    """What a line tells, in the order in which it does."""

    created: float
    level: str
    logger: str
    message: str
    fields: Mapping[str, Any]
    asked: Asked | None = None
    trouble: str = ""


class LineFormatter(logging.Formatter):
    """A record is written as a line; what every request says of itself is one without having been a record."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {name: value for name, value in record.__dict__.items() if name not in _OWN}
        trouble = _traceback(self, record)
        told = record.created, record.levelname, record.name, record.getMessage()
        return self.line(Line(*told, fields, ASKED.get(), trouble))

    def line(self, line: Line) -> str:
        raise NotImplementedError


class JsonFormatter(LineFormatter):
    """A line is an object; a traceback is one of its fields."""

    def line(self, line: Line) -> str:
        told = {
            "time": _moment(line.created), "level": line.level.lower(), "logger": line.logger, "message": line.message,
            **line.fields, **(line.asked._asdict() if line.asked is not None else {}),
        }  # fmt: skip
        if line.trouble:
            told["exception"] = line.trouble
        return _ENCODER.encode(told)


_ENCODER = json.JSONEncoder(default=str)
"""ASCII: no line separator of any script gets through."""


class TextFormatter(LineFormatter):
    """Time, level, logger, message, then `name=value`. The lines of a traceback are indented."""

    def line(self, line: Line) -> str:
        fields = "".join([_part(name, value) for name, value in line.fields.items()])
        if line.asked is not None:  # what they are made of needs no quotes
            fields += f" request_id={line.asked[0]} trace_id={line.asked[1]}"
        text = f"{_moment(line.created)} {line.level} {line.logger}: {_printable(line.message)}{fields}"
        if line.trouble:
            text += "".join(f"\n  | {_printable(each)}" for each in line.trouble.splitlines())
        return text


class Standing:
    """A line that is written again and again: what stands in it is written once. New each time are its moment, the field
    `changing` and whom it is about."""

    def __init__(self, formatter: LineFormatter, line: Line, changing: str) -> None:
        self.formatter = formatter
        marks = [secrets.token_hex(16) for _ in Asked._fields]  # nobody can have sent them
        number = secrets.randbits(100)
        text = formatter.line(
            line._replace(created=0.0, fields={**line.fields, changing: number}, asked=Asked(*marks))
        ).replace("%", "%%")
        for mark in (_moment(0.0), str(number), *marks):
            text = text.replace(mark, "%s", 1)
        self._text = text

    def at(self, created: float, value: float, asked: Asked) -> str:
        return self._text % (_moment(created), value, *asked)


class Lines(logging.StreamHandler[TextIO]):
    """Standard error. Of lines there are as many as requests: those of one turn of the event loop are written together, as
    far as a pipe takes them in one piece, so that those of another worker come before or behind and not in between."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[str] = []

    def tell(self, line: Line) -> None:
        """Write a line, on the event loop, soon."""
        self._add(cast(LineFormatter, self.formatter).line(line))

    def standing(self, line: Line, changing: str) -> Standing:
        """A line to be told `again`."""
        return Standing(cast(LineFormatter, self.formatter), line, changing)

    def again(self, standing: Standing, created: float, value: float, asked: Asked) -> bool:
        """Write it once more, soon. False if it is no longer how lines are written here."""
        if standing.formatter is not self.formatter:
            return False
        self._add(standing.at(created, value, asked))
        return True

    def _add(self, text: str) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        self._waiting.append(text + self.terminator)

    def emit(self, record: logging.LogRecord) -> None:
        self.flush()  # in the order in which it happened
        super().emit(record)

    def flush(self) -> None:
        """Write what waits. What cannot be written (the disk of the log is full) is lost, and nobody is kept from anything."""
        with cast(Any, self.lock), suppress(OSError, ValueError):
            waiting, self._waiting = self._waiting, []
            for piece in _pieces(waiting):
                self.stream.write(piece)
            super().flush()


def _pieces(lines: Sequence[str]) -> Iterator[str]:
    """These lines, in pieces that a pipe takes whole, unless a line alone is longer. (They are ASCII but for messages.)"""
    if sum(map(len, lines)) <= PIPE_BUF:
        yield "".join(lines)
        return
    piece = ""
    for line in lines:
        if piece and len(piece) + len(line) > PIPE_BUF:
            yield piece
            piece = ""
        piece += line
    yield piece


def direct(logger: logging.Logger) -> Lines | None:
    """Where the lines of this logger go, if they go there and nowhere else."""
    root, each = logging.root.handlers, logger
    if len(root) != 1 or root[0].__class__ is not Lines:
        return None
    while each is not logging.root:
        if each.handlers or not each.propagate:
            return None
        each = cast(logging.Logger, each.parent)
    return root[0]


@lru_cache(2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def _moment(created: float) -> str:
    seconds = int(created)
    return f"{_second(seconds)}.{int((created - seconds) * 1000):03d}Z"


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if not (record.exc_info or record.stack_info):
        return ""
    parts = (formatter.formatException(record.exc_info) if record.exc_info else "", record.stack_info or "")
    return "\n".join(filter(None, parts))


def _printable(text: str) -> str:
    """`text` with what moves a cursor, ends a line or has no character escaped."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _part(name: str, value: Any) -> str:
    if value.__class__ is str:
        return _quoted(name, value)
    return f" {name}={value!r}" if value.__class__ in (int, float) else _quoted(name, str(value))


@lru_cache(4096)
def _quoted(name: str, text: str) -> str:
    return f" {name}={text if _PLAIN.fullmatch(text) else json.dumps(text)}"


_FORMATTERS: Mapping[str, type[LineFormatter]] = {"text": TextFormatter, "json": JsonFormatter}


def configuration(form: str, level: str) -> dict[str, Any]:
    """What `logging.config.dictConfig` needs: every logger writes to standard error in this form. Uvicorn's own line about a
    request is left out, for `Observed` writes a better one."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": _FORMATTERS[form]}},
        "handlers": {"stderr": {"()": Lines, "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "concord": {"level": level.upper()},
            "uvicorn": {"level": level.upper()},
            "uvicorn.access": {"level": "CRITICAL", "propagate": False},
        },
    }
