"""R1: whatever the description of the API allows and forbids, generated and sent; and walks along its links.

Schemathesis makes the requests from the description alone: its examples, the bounds of every parameter and field, random values
that fit and that do not, and chains of operations along the links (create, read, withdraw, read again, …). After each answer it
asks all of its checks.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import events
from schemathesis.engine.recorder import ScenarioRecorder

from app.api.limits import Failures
from tests.support.proofs import Proof
from tests.support.wire import AUTHORIZED

SEED = 1
