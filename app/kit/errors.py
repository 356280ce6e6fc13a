"""What can go wrong in the registry, as plain exceptions. The HTTP floor maps them to problems in one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one place of the input: a JSON Pointer (RFC 6901) into the body, or a parameter's name."""

    code: str
    message: str
    pointer: str | None = None
    parameter: str | None = None

    def under(self, prefix: str) -> Fault:
        """The same fault, seen from a document that holds the faulty one at `prefix`."""
        return self if self.pointer is None else replace(self, pointer=prefix + self.pointer)


class RegistryError(Exception):
    """The parent of all below. `detail` is worded for the person who must fix the request."""

    def __init__(self, detail: str, *, faults: Iterable[Fault] = (), **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)
        self.extra: Mapping[str, Any] = extra

    def under(self, prefix: str) -> Self:
        """The same error, its pointers moved below `prefix` (an operation of a batch, a line of a file)."""
        self.faults = tuple(fault.under(prefix) for fault in self.faults)
        return self


class Malformed(RegistryError):
    """The request cannot be read: syntax, encoding, cursor, header, an unknown parameter."""


class Invalid(RegistryError):
    """The request can be read and breaks a rule."""

    @classmethod
    def at(cls, pointer: str, code: str, message: str) -> Invalid:
        return cls(message, faults=[Fault(code, message, pointer=pointer)])

    @classmethod
    def parameter(cls, name: str, code: str, message: str) -> Invalid:
        return cls(message, faults=[Fault(code, message, parameter=name)])


class NotFound(RegistryError):
    """No record has this id or slug."""


class Gone(RegistryError):
    """The record has been withdrawn. `extra["tombstone"]` says when and why."""


class Moved(Gone):
    """The record was withdrawn because another took its place: `extra["moved_to"]` is that one's slug."""


class Conflict(RegistryError):
    """The write contradicts another record: a name, identifier or slug that is taken, a record still in use."""


class Outstanding(RegistryError):
    """A request with the same key has not been answered yet."""


class Reused(RegistryError):
    """The key belongs to another request."""


class Stale(RegistryError):
    """The record has changed since the caller last saw it. `extra` holds the current version and the changed fields."""


class PreconditionMissing(RegistryError):
    """The write must say which version it means."""


class NotAcceptable(RegistryError):
    """What was asked for is not there in a form that the caller takes."""


class Unauthenticated(RegistryError):
    """Nobody knows who asks, and this is not for everybody."""


class Forbidden(RegistryError):
    """The caller may not do this."""


class Unavailable(RegistryError):
    """The database does not answer, or not in time: try again later."""


class Full(Unavailable):
    """The database has no room for what was to be stored: somebody has to make some."""


class Busy(Unavailable):
    """Too much is going on at once: this is refused before anything is done."""


class TooMany(RegistryError):
    """The caller asks too often. `extra["headers"]` says when to come again."""


class ReadOnly(RegistryError):
    """The registry takes no writes for a while."""


class NotReady(RegistryError):
    """The database answers, and is not one that this program can serve."""


class IssuerUnavailable(RegistryError):
    """Whether a token is genuine cannot be known: its issuer does not answer, or not in time. Try again later."""


class Again(Exception):
    """Another writer was faster: the unit of work runs the whole function once more, on what it now finds."""
