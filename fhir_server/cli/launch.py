"""`fhir-server launch …`: launches out of an EHR, to try an application.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fhir_server.access.caller import Caller
from fhir_server.auth.launch import begun, checked
from fhir_server.auth.refusal import OAuthError
from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, fail, run, settings, show, tenant_of
from fhir_server.cli.recording import recorded
from fhir_server.opening import store_of

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Begin launches out of an EHR.")


@app.callback()
def launches() -> None:
    """Begin launches out of an EHR."""


@app.command()
def create(
    client: Annotated[str, typer.Argument(help="Id of the client to launch.")],
    tenant: TenantName,
    patient: Annotated[str | None, typer.Option(help="Id of the patient that is open.")] = None,
    encounter: Annotated[str | None, typer.Option(help="Id of the encounter that is open.")] = None,
    intent: Annotated[str | None, typer.Option(help="What the application is to show first.")] = None,
    base_url: Annotated[str | None, typer.Option(help="Public URL of the server.", envvar="FHIR_BASE_URL")] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Begin a launch, and print the address to open in a browser within five minutes.

    [bold]Example[/]

      fhir-server launch create growth-chart --tenant riverside --patient p1
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir, base_url=base_url)
    said = {"client_id": client, "patient": patient, "encounter": encounter, "intent": intent}
    given = {name: value for name, value in said.items() if value is not None}

    async def work() -> dict[str, Any]:
        async with store_of(chosen) as found:
            await tenant_of(found, tenant)
            caller = Caller.system(tenant, "launch create")
            async with recorded(found, tenant, "launch", client):
                return await begun(found, caller, checked(given), chosen.public_url)

    try:
        made = run(work())
    except OAuthError as problem:
        fail(str(problem))
    show(made, as_json, lambda: made.get("launch_url", made["launch"]))
