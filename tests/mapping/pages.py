"""Pages whose blocks are what the commands print: `python -m tests.mapping.pages` writes them anew.

A block of `console` begins with the command, and of `bash` has commands whose output is not shown; a block of `sql` is
done to the sample database; all in their order.
"""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from pathlib import Path

from pymongo import MongoClient
from rich.console import Console
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from fhir_server.cli import common
from fhir_server.cli.program import app
from seed.systems import SYSTEMS

DOCS = Path(__file__).parents[2] / "docs"
WRITTEN = ("reconciling.md",)
SAMPLE = "sqlite:///practice.db"
BLOCK = re.compile(r"^```(console|bash|sql)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WIDTH = 112
KEYS = " ".join(f"{name}={key}" for name, key in SYSTEMS["pms"].keys.items())


def performed(line: str, url: str, folder: Path) -> str:
    """What a command prints, on the sample; files that it names are written into the folder."""
    words = [word.replace(SAMPLE, url) for word in shlex.split(line)]
    words = words[words.index("fhir-server") + 1 :]
    words = [str(folder / word) if word.endswith(".html") else word for word in words]
    before, common.console = common.console, Console(width=WIDTH)
    try:
        result = CliRunner().invoke(app, words, catch_exceptions=False)
    finally:
        common.console = before
    return "".join(f"{each.rstrip()}\n" for each in result.stdout.splitlines())


def rewritten(page: str, url: str, folder: Path) -> str:
    """The page with what its commands print now."""

    def block(found: re.Match[str]) -> str:
        kind, body = found[1], found[2]
        if kind == "sql":
            with create_engine(url).begin() as connection:
                for statement in filter(str.strip, body.split(";")):
                    connection.execute(text(statement))
            return found[0]
        if kind == "bash":
            for line in body.splitlines():
                performed(line, url, folder)
            return found[0]
        command = body.partition("\n")[0]
        return f"```console\n{command}\n{performed(command.removeprefix('$ '), url, folder)}```"

    return BLOCK.sub(block, page)


def main() -> None:
    """Into a database of its own, of the MongoDB that FHIR_MONGO_URL names."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["FHIR_DATABASE"] = f"pages_{os.getpid()}"
        os.environ["FHIR_LEGACY_KEYS"] = KEYS
        for each in WRITTEN:
            path, folder = DOCS / each, Path(name)
            path.write_text(rewritten(path.read_text("utf-8"), f"sqlite:///{folder / 'practice.db'}", folder), "utf-8")
        with MongoClient[dict[str, object]](os.environ["FHIR_MONGO_URL"]) as client:
            client.drop_database(os.environ["FHIR_DATABASE"])


if __name__ == "__main__":
    main()
