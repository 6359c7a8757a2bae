"""The commands of `fhir-server`, one file per group; each file is imported only when its command is called."""

from __future__ import annotations

from fhir_server.cli.program import main

__all__ = ["main"]
