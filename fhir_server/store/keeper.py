"""Keeps the embedded `mongod` up: one that ends without having been asked to is started again, on the same port.

What was acknowledged is in its journal; requests in between are answered 503.
"""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable
from time import monotonic

LOGGER = logging.getLogger("fhir_server.store")

Spawn = Callable[[], "subprocess.Popen[bytes]"]

STEADY_SECONDS = 2.0
"""One that lived longer is started again at once; after a shorter life each start waits longer."""
LONGEST_PAUSE = 30.0


class Keeper(threading.Thread):
    """Waits in a thread, because some commands keep no event loop running while `mongod` serves others."""

    def __init__(self, process: subprocess.Popen[bytes], spawn: Spawn):
        super().__init__(name="mongod-keeper", daemon=True)
        self._process = process
        self._spawn = spawn
        self._changing = threading.Lock()
        self._released = threading.Event()

    def run(self) -> None:
        pause = 0.0
        while True:
            started = monotonic()
            code = self._process.wait()
            pause = 0.0 if monotonic() - started > STEADY_SECONDS else min(LONGEST_PAUSE, pause * 2 + 0.1)
            if self._released.wait(pause):
                return
            LOGGER.error("mongod ended with code %s; it is started again", code)
            with self._changing:
                if not self._released.is_set():
                    self._process = self._spawn()

    def release(self) -> subprocess.Popen[bytes]:
        """The process, from now on somebody else's to stop."""
        self._released.set()
        with self._changing:
            return self._process
