"""What a failure of the database means: whether the same work may succeed a moment later, and what the caller is told."""

from __future__ import annotations

import sqlite3

from sqlalchemy import exc

from app.kit.engines import READ_ONLY
from app.kit.errors import Again, Conflict, Full, Invalid, Unavailable
from app.kit.sides import AT_COMMIT

SILENT = "The database does not answer at the moment. Nothing was changed by this request."
NO_WRITES = "The database takes no writes at the moment. Nothing was changed by this request."
NO_ROOM = "The disk of the database is full. Nothing was changed by this request."
UNCERTAIN = "The database failed while storing. Read the record before you send this again."

_RETRIED_STATES = frozenset({"40001", "40P01", "55P03"})  # serialization failure, deadlock, lock not available


def is_passing(error: Exception) -> bool:
    """Whether the same work may succeed a moment later. A unique violation counts: seen from a new transaction, the
    other's row is there, and the rule that foresees it says so in better words than the constraint could."""
    if isinstance(error, Again | exc.IntegrityError):
        return True
    if isinstance(error, exc.DBAPIError):
        state = getattr(error.orig, "sqlstate", None)
        return (
            state in _RETRIED_STATES
            or is_busy(error)
            or (error.connection_invalidated and not is_lost_in_commit(error))
        )
    return False


def is_busy(error: exc.DBAPIError) -> bool:
    return "database is locked" in str(error.orig) or "database table is locked" in str(error.orig)


def is_ours(error: Exception) -> bool:
    """Whether SQLite could not make sense of a statement: a fault of this program or of the schema, which waiting will
    not mend. (SQLITE_ERROR; psycopg has a class of its own for these.)"""
    return _sqlite_code(error) == sqlite3.SQLITE_ERROR


def is_full(error: exc.DBAPIError) -> bool:
    """Whether there is no room for what was to be stored."""
    return getattr(error.orig, "sqlstate", None) == _DISK_FULL or _sqlite_code(error) in _NO_ROOM


_DISK_FULL = "53100"
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)  # the file or its log, and the index of the log


def _sqlite_code(error: Exception) -> int:
    return getattr(getattr(error, "orig", None), "sqlite_errorcode", sqlite3.SQLITE_OK)


def is_lost_in_commit(error: Exception) -> bool:
    """Whether the line went dead at a COMMIT: it may have reached the server, and to repeat it could write twice."""
    return isinstance(error, exc.DBAPIError) and error.connection_invalidated and _is_at_commit(error)


def _is_at_commit(error: Exception) -> bool:
    return AT_COMMIT in getattr(error, "__notes__", ())


def _is_uncertain(error: exc.DBAPIError) -> bool:
    """Whether a COMMIT failed that may have been stored all the same: the line was lost on the way, or SQLite has written
    its log and could not make the disk confirm it. The next write goes over that place of the log; but who opens the file
    after a crash would find the transaction there, complete."""
    failed = error.connection_invalidated or _sqlite_code(error) & 0xFF == sqlite3.SQLITE_IOERR
    return _is_at_commit(error) and failed


def refusal(error: Exception, *, reading: bool = False) -> Exception:
    """The registry's own word for a database error that stayed."""
    if isinstance(error, exc.IntegrityError):
        return Conflict("The record contradicts another one that was written at the same time.")
    if isinstance(error, exc.DataError):
        return Invalid("A value is not one that the database can hold.")
    if isinstance(error, exc.DBAPIError) and is_full(error):  # a reading only wanted to sort
        return Unavailable(SILENT) if reading else Full(NO_ROOM)
    if isinstance(error, exc.DBAPIError) and _is_uncertain(error):
        return Unavailable(UNCERTAIN)
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return Unavailable(NO_WRITES if getattr(error.orig, "sqlstate", None) == READ_ONLY else SILENT)
    if isinstance(error, Again | exc.TimeoutError | exc.OperationalError | exc.InterfaceError) and not is_ours(error):
        return Unavailable(SILENT)
    return error
