"""Cases written as YAML beside the tests that run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml


def cases(name: str) -> list[Any]:
    """The rows of a table as parameters, each named by its title."""
    rows = yaml.safe_load(Path(__file__).with_name(name).read_text(encoding="utf-8"))
    return [pytest.param(row, id=row["title"]) for row in rows]
