"""`fhir-server client …`: applications that may ask people, or act by themselves.  RFC 7591"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from fhir_server.access.clearance import Clearance, InvalidClearance
from fhir_server.auth import registration
from fhir_server.auth.register import metadata
from fhir_server.auth.registration import Registered, Unregistrable
from fhir_server.auth.server import digest
from fhir_server.cli.common import (
    DataDir,
    Json,
    MongoUrl,
    TenantName,
    console,
    fail,
    in_store,
    settings,
    show,
    tenant_of,
)
from fhir_server.cli.recording import recorded
from fhir_server.fhir.outcome import conflict
from fhir_server.settings import Settings
from fhir_server.store.clients import Client, Kind
from fhir_server.store.connection import Store

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Register, list, rotate, approve and disable clients."
)

ClientId = Annotated[str, typer.Argument(help="Id of the client.")]
KeyFile = Annotated[
    Path | None, typer.Option("--jwks", help="File with the client's public keys.", exists=True, dir_okay=False)
]
KeyUrl = Annotated[str | None, typer.Option("--jwks-uri", help="Where the client publishes its public keys.")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="What people are shown when it asks them.")],
    tenant: TenantName,
    scope: Annotated[str, typer.Option("--scope", "-s", help="All that it may ask for, separated by spaces.")],
    redirect_uri: Annotated[
        list[str] | None, typer.Option("--redirect-uri", help="Where it is answered; repeatable.")
    ] = None,
    secret: Annotated[bool, typer.Option("--secret", help="It keeps a secret, which is printed once.")] = False,
    backend: Annotated[bool, typer.Option("--backend", help="It acts by itself, for nobody.")] = False,
    jwks: KeyFile = None,
    jwks_uri: KeyUrl = None,
    client_id: Annotated[str | None, typer.Option("--id", help="Its id. [default: a random one]")] = None,
    launch_url: Annotated[str | None, typer.Option(help="Where an EHR launches it.")] = None,
    origin: Annotated[
        list[str] | None, typer.Option("--origin", help="Of pages whose scripts may call; repeatable.")
    ] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Register a client: a public one, or with --secret or keys one that proves who it is.

    [bold]Examples[/]

      fhir-server client add 'Growth Chart' -t riverside --redirect-uri https://app.example/cb
        --scope 'launch launch/patient openid fhirUser offline_access patient/*.rs'
      fhir-server client add 'Nightly report' -t riverside --backend --jwks keys.json --scope 'system/*.rs'
    """
    kind: Kind = "key" if jwks or jwks_uri else "secret" if secret else "public"
    made = _made(
        tenant,
        name,
        kind=kind,
        scopes=scope,
        redirect_uris=redirect_uri or (),
        client_id=client_id,
        backend=backend,
        launch_url=launch_url,
        origins=origin or (),
        jwks=_key_set(jwks),
        jwks_uri=jwks_uri,
    )
    _add(settings(mongo_url=mongo_url, data_dir=data_dir), made.client)
    show(metadata(made), as_json, lambda: _said(made))


def _made(tenant: str, name: str, **given: Any) -> Registered:
    try:
        return registration.new(tenant, name, **given)
    except Unregistrable as problem:
        fail(str(problem), code=2)


def _add(chosen: Settings, client: Client) -> None:
    async def work(found: Store) -> None:
        await tenant_of(found, client.tenant)
        async with recorded(found, client.tenant, "client", client.client_id, scopes=client.scopes, secret=client.kind):
            await found.clients.add(client)

    in_store(chosen, work)


@app.command("list")
def list_(tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the clients of a tenant."""

    async def work(found: Store) -> list[Client]:
        await tenant_of(found, tenant)
        return await found.clients.listed(tenant)

    clients = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), work)
    show([_described(each) for each in clients], as_json, lambda: _table(clients))


@app.command()
def rotate(
    client_id: ClientId,
    tenant: TenantName,
    jwks: KeyFile = None,
    jwks_uri: KeyUrl = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Give a client a new secret, which is printed once, or other keys. What it had is good no more."""
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    fresh = registration.new_secret()
    keys = {"jwks": _key_set(jwks), "jwks_uri": jwks_uri}

    async def work(found: Store) -> Registered:
        kind = (await found.clients.existing(tenant, client_id)).kind
        if kind == "public" or (kind == "key") != bool(jwks or jwks_uri):
            raise conflict(f"The client '{client_id}' has {_HAS[kind]}.")
        async with recorded(found, tenant, "client", client_id, changed="keys" if kind == "key" else "secret"):
            if kind == "key":
                return Registered(await found.clients.change(tenant, client_id, **keys))
            return Registered(await found.clients.change(tenant, client_id, secret=digest(fresh)), fresh)

    made = in_store(chosen, work)
    show(metadata(made), as_json, lambda: _said(made))


_HAS = {
    "public": "neither secret nor keys, so that there is nothing to rotate",
    "secret": "a secret, which is rotated without keys",
    "key": "keys: name the new ones with --jwks or --jwks-uri",
}


@app.command()
def disable(
    client_id: ClientId, tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Switch a client off, with all its tokens, everywhere within a second."""
    _changed(settings(mongo_url=mongo_url, data_dir=data_dir), tenant, client_id, as_json, disabled=True)


@app.command()
def enable(
    client_id: ClientId, tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Switch a client on again; it needs new tokens."""
    _changed(settings(mongo_url=mongo_url, data_dir=data_dir), tenant, client_id, as_json, disabled=False)


@app.command()
def approve(
    client_id: ClientId, tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Approve a client that registered itself."""
    _changed(settings(mongo_url=mongo_url, data_dir=data_dir), tenant, client_id, as_json, approved=True)


@app.command()
def clear(
    client_id: ClientId,
    clearance: Annotated[str, typer.Argument(help="Labels, such as 'R HIV'; 'N' is what a service has without.")],
    tenant: TenantName,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Clear a backend service for labelled resources; tokens that it has now are good no more.

    [bold]Example[/]

      fhir-server client clear nightly 'R clinical' --tenant riverside
    """
    try:
        words = str(Clearance.parse(clearance.split()))
    except InvalidClearance as problem:
        fail(str(problem), code=2)
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work(found: Store) -> Client:
        async with recorded(found, tenant, "client", client_id, clearance=words):
            changed = await found.clients.change(tenant, client_id, clearance=words)
            await found.revocations.revoke(tenant, "client", client_id)
        return changed

    client = in_store(chosen, work)
    show(_described(client), as_json, lambda: f"The client [bold]{client_id}[/] is cleared for {words}.")


def _changed(chosen: Settings, tenant: str, client_id: str, as_json: bool, **changes: bool) -> None:
    async def work(found: Store) -> Client:
        async with recorded(found, tenant, "client", client_id, **changes):
            changed = await found.clients.change(tenant, client_id, **changes)
            if not changed.active:
                await found.revocations.revoke(tenant, "client", client_id)
        return changed

    client = in_store(chosen, work)
    show(_described(client), as_json, lambda: f"The client [bold]{client_id}[/] is {_state(client)}.")


def _key_set(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except ValueError:
        fail(f"'{file}' is not JSON; a key set looks like {{\"keys\": […]}}.", code=2)
    return found


def _state(client: Client) -> str:
    if client.disabled:
        return "disabled"
    return "active" if client.approved else "waiting for approval"


def _described(client: Client) -> dict[str, Any]:
    return {
        **metadata(Registered(client)),
        "kind": client.kind,
        "status": _state(client),
        "clearance": client.clearance or "N",
    }


def _said(made: Registered) -> str:
    secret = f"\nIts secret, shown this once: {made.secret}" if made.secret else ""
    return f"Client [bold]{made.client.client_id}[/] ({made.client.name}){secret}"


def _table(clients: list[Client]) -> Table:
    table = Table("id", "name", "kind", "status", "scopes", box=None)
    for each in clients:
        table.add_row(each.client_id, each.name, each.kind, _state(each), each.scopes)
    if not clients:
        console.print("There are no clients yet: fhir-server client add NAME")
    return table
