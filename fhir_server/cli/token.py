"""`fhir-server token`: an access token minted by whoever has the store.  RFC 9068"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from fhir_server.access.clearance import EVERYTHING, Clearance, InvalidClearance
from fhir_server.access.scopes import InvalidScope
from fhir_server.auth.jwt import ACCESS_TOKEN
from fhir_server.auth.keyring import Keyring
from fhir_server.auth.tokens import issue
from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, fail, run, settings, show, tenant_of
from fhir_server.cli.recording import recorded
from fhir_server.fhir.resource import ID
from fhir_server.opening import store_of
from fhir_server.settings import Settings

app = typer.Typer(add_completion=False)

HOUR = 3600


@app.command()
def token(
    tenant: TenantName,
    scope: Annotated[str, typer.Option("--scope", "-s", help="Scopes, separated by spaces.")] = "system/*.cruds",
    patient: Annotated[str | None, typer.Option(help="Id of the patient that patient/ scopes are about.")] = None,
    user: Annotated[str, typer.Option(help="Who it stands for, such as Practitioner/p1.")] = "operator",
    client: Annotated[str, typer.Option(help="The client it is given to.")] = "fhir-server",
    clearance: Annotated[
        str | None, typer.Option(help="Labels it may see, such as 'R HIV'; system/ scopes see all unless told.")
    ] = None,
    purpose: Annotated[str | None, typer.Option(help="What for, such as HRESCH; TREAT unless told.")] = None,
    ttl: Annotated[int, typer.Option(min=1, max=ACCESS_TOKEN.lifetime, help="Seconds until it expires.")] = HOUR,
    base_url: Annotated[str | None, typer.Option(help="Public URL of the server.", envvar="FHIR_BASE_URL")] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Mint an access token and print it, nothing else, so that it can be used as it is.

    [bold]Examples[/]

      TOKEN=$(fhir-server token --tenant riverside --scope 'system/*.rs')
      fhir-server token --tenant riverside --scope 'patient/*.rs' --patient p1 --ttl 300
      curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:8080/fhir/riverside/Patient
    """
    if patient is not None and not ID.match(patient):
        fail(f"'{patient}' is not the id of a patient; give it without 'Patient/'.", code=2)
    if patient is None and "patient/" in scope.replace("launch/patient", ""):
        fail("A scope that starts with patient/ is about one patient: add --patient ID.", code=2)
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir, base_url=base_url)
    more = {**_cleared(scope, clearance), **({"purpose": purpose} if purpose else {})}
    minted = run(_minted(chosen, tenant, user, client, scope, patient, ttl, more))
    result = {"token": minted, "tenant": tenant, "scope": scope, "expires_in": ttl}
    show(result, as_json, lambda: minted)


def _cleared(scope: str, clearance: str | None) -> dict[str, list[str]]:
    """Whoever has the store is bound by neither labels nor consents, unless the token is to stand for somebody."""
    if clearance is None:
        operator = all(each.startswith("system/") for each in scope.split())
        return {"clearance": [EVERYTHING]} if operator else {}
    try:
        Clearance.parse(clearance.split())
    except InvalidClearance as problem:
        fail(str(problem), code=2)
    return {"clearance": clearance.split()}


async def _minted(
    chosen: Settings,
    tenant: str,
    user: str,
    client: str,
    scope: str,
    patient: str | None,
    ttl: int,
    more: Mapping[str, Any],
) -> str:
    async with store_of(chosen) as found:
        await tenant_of(found, tenant)
        async with recorded(found, tenant, "token-issued", client, subject=user, scope=scope, ttl=ttl):
            key = await Keyring(found.tenants, found.keys).signing(tenant)
    try:
        return issue(
            key,
            base_url=chosen.issuer_url,
            tenant=tenant,
            subject=user,
            client_id=client,
            scope=scope,
            patient=patient,
            ttl=ttl,
            more=more,
        )
    except InvalidScope as problem:
        fail(str(problem), code=2)
