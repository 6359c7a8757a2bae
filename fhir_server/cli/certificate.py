"""`fhir-server certificate …`: signed documents that say what was destroyed."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.json import JSON
from rich.table import Table

from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, fail, in_store, settings, show, tenant_of
from fhir_server.store.certificates import Certificate
from fhir_server.store.connection import Store

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="List and show the certificates of what was destroyed."
)


@app.command("list")
def list_(
    tenant: TenantName,
    kind: Annotated[str | None, typer.Option(help="Only of this kind, such as retention.")] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the certificates of a tenant, oldest first."""

    async def work(found: Store) -> list[Certificate]:
        await tenant_of(found, tenant)
        return await found.certificates.listed(tenant, kind)

    listed = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), work)
    show([_described(each) for each in listed], as_json, lambda: _table(listed))


@app.command("show")
def show_(
    name: Annotated[str, typer.Argument(help="Id of the certificate.")],
    tenant: TenantName,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Show what a certificate says, once its signature has been checked; exit code 1 where it is not good."""

    async def work(found: Store) -> tuple[Certificate, str | None]:
        await tenant_of(found, tenant)
        certificate = await found.certificates.get(tenant, name)
        return certificate, await found.certificates.fault(certificate)

    certificate, fault = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), work)
    if fault:
        fail(fault)
    shown = {**_described(certificate), "content": certificate.content, "signed": certificate.signed}
    show(shown, as_json, lambda: JSON.from_data(certificate.content))


def _described(certificate: Certificate) -> dict[str, Any]:
    return {"certificate": certificate.name, "kind": certificate.kind, "issued": certificate.issued}


def _table(listed: list[Certificate]) -> Table:
    table = Table("certificate", "kind", "issued", box=None)
    for each in listed:
        table.add_row(each.name, each.kind, f"{each.issued:%Y-%m-%d %H:%M}")
    return table
