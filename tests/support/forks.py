"""Works that begin in processes of their own at the same moment. For a script that a test starts: what forks has no threads."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def at_once(*works: Callable[[], int]) -> None:
    """Do each in a process of its own; what all of them need is loaded before, so that none is late. Raises SystemExit with the
    code of the first that does not return 0."""
    begin, go = os.pipe()
    started = []
    for work in works:
        if (process := os.fork()) == 0:
            os.close(go)
            os.read(begin, 1)  # until all of them are there
            os._exit(work() or sys.stdout.flush() or 0)
        started.append(process)
    os.close(go)
    os.close(begin)
    for process in started:
        if code := os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
            sys.exit(f"{code}")
