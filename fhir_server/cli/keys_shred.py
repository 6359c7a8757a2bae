"""`fhir-server keys shred`: the keys of one patient destroyed, for good, with a certificate."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, fail, in_store, settings, show
from fhir_server.cli.keys_shared import encrypted, tried
from fhir_server.cli.recording import account
from fhir_server.store.certificates import Certificate
from fhir_server.store.connection import Store
from fhir_server.store.shredding import Order, Shredding


def shred(
    tenant: TenantName,
    patient: Annotated[str, typer.Option("--patient", help="The logical id of the Patient.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the certificate.")],
    approved_by: Annotated[
        list[str], typer.Option("--approved-by", help="A user of the tenant who has approved it; two are needed.")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Destroy the keys of a patient: nobody can read the record again, here or in any copy. There is no way back.

    Refused under a legal hold, before the end of retention, and without two people of the tenant who approve.

    [bold]Example[/]

      fhir-server keys shred --tenant riverside --patient p1 --reason 'Retention has ended' \\
        --approved-by ada --approved-by ben
    """
    if not yes and (as_json or typer.prompt(f"Type the id '{patient}' to destroy the record") != patient):
        fail("Nothing was destroyed.")

    async def done(store: Store) -> Certificate:
        found = await encrypted(store, tenant)
        async with tried(store, found, "shred", key="patient", patient=f"Patient/{patient}"):
            return await Shredding(store, found).shred(Order(patient, reason, tuple(approved_by), account()))

    certificate = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), done)
    result: dict[str, Any] = {**certificate.content, "signed": certificate.signed}
    show(result, as_json, lambda: _said(certificate))


def _said(certificate: Certificate) -> str:
    found = certificate.content
    return (
        f"The record of [bold]{found['patient']}[/] is destroyed: {found['current']:,} resources, and "
        f"{found['superseded']:,} earlier versions. Certificate {certificate.name}:\n{certificate.signed}"
    )
