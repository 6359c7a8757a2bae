"""The program and the list of its commands.  https://typer.tiangolo.com"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

COMMANDS = {
    "serve": "Run the server.",
    "demo": "Run the server with two demo tenants, fed from sample legacy databases.",
    "tenant": "Create, list, clone, suspend, resume and erase tenants.",
    "token": "Mint an access token.",
    "client": "Register, list, rotate, approve and disable clients.",
    "launch": "Begin launches out of an EHR.",
    "keys": "Rotate, rewrap and destroy keys: of stored data, of patients, of tokens.",
    "user": "Add, list, change and disable the people who may sign in.",
    "provider": "Let people of a tenant sign in with an identity provider elsewhere.",
    "hold": "Place, list and release legal holds.",
    "retention": "Show which records may go when, and destroy those whose time is over.",
    "certificate": "List and show the certificates of what was destroyed.",
    "package": "Add, list and remove FHIR packages: profiles and value sets to check against.",
    "load": "Store bundles, resources and NDJSON from files.",
    "terminology": "Load code systems from files, and the code tables of the mappings.",
    "reindex": "Make the search index of tenants again, and show how far that is.",
    "backup": "Make, check, list and restore encrypted backups.",
    "audit": "Verify, follow and export the record of what was done.",
    "migrate": "Translate legacy rows into resources.",
    "seed": "Write a sample legacy database.",
}
"""Names and what `--help` says of them. The command `x` is the Typer application `app` of the module `cli.x`."""


class Commands(TyperGroup):
    """Knows every command by name and imports the one that is called."""

    def __init__(self, **attributes: Any):
        super().__init__(**attributes)
        for name, described in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=described)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] in COMMANDS:
            self.commands[args[0]] = get_command(import_module(f"fhir_server.cli.{args[0]}").app)
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def program() -> None:
    """A FHIR R4 server on MongoDB that translates the rows of legacy practice databases.

    Start with [bold]fhir-server demo[/bold], or step by step:

      fhir-server tenant create riverside
      fhir-server load --tenant riverside bundle.json
      fhir-server serve
      fhir-server token --tenant riverside --scope 'system/*.rs'
    """


def main() -> None:
    app()
