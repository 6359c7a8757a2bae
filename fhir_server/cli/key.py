"""`fhir-server key …`: the keys that a tenant's tokens are signed with."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, run, settings, show, tenant_of
from fhir_server.opening import store_of

app = typer.Typer(no_args_is_help=True, help="Rotate the keys that tokens are signed with.")


@app.callback()
def keys() -> None:
    """Rotate the keys that tokens are signed with."""


@app.command()
def rotate(
    tenant: TenantName,
    drop: Annotated[
        bool, typer.Option("--drop", help="Forget the old keys: every token they signed ends within five seconds.")
    ] = False,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Sign with new keys from now on; the old ones still verify what they signed, unless they are dropped."""
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work() -> str:
        async with store_of(chosen) as found:
            await tenant_of(found, tenant)
            return (await found.keys.rotate(tenant, drop=drop)).kid

    kid = run(work())
    result = {"tenant": tenant, "kid": kid, "dropped": drop}
    show(result, as_json, lambda: f"Tokens of [bold]{tenant}[/] are signed with the key {kid} from now on.")
