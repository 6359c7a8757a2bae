"""`fhir-server user …`: the people who may sign in to a tenant."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer
from rich.table import Table

from fhir_server.access import roles
from fhir_server.auth.passwords import Passwords
from fhir_server.auth.people import People
from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, console, fail, run, settings, show, tenant_of
from fhir_server.cli.recording import recorded
from fhir_server.fhir.resource import ID
from fhir_server.opening import store_of
from fhir_server.settings import Settings
from fhir_server.store.connection import Store
from fhir_server.store.features import FeatureRecords
from fhir_server.store.users import User, login

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Add, list, change and disable the people who may sign in to a tenant.",
)

Username = Annotated[str, typer.Argument(help="The name to sign in with; case does not matter.")]
FhirUser = Annotated[str | None, typer.Option("--fhir-user", help="The resource of this person: Practitioner/p1.")]
Roles = Annotated[list[str] | None, typer.Option("--role", "-r", help="A role; may be given several times.")]
Patients = Annotated[
    list[str] | None,
    typer.Option("--patient", "-p", help="Id of a patient that the person may act for; else the roles decide."),
]

Work = Callable[[People, User], Awaitable[Any]]

PERSON_TYPES = ("Patient", "Person", "Practitioner", "PractitionerRole", "RelatedPerson")


@app.command()
def add(
    username: Username,
    tenant: TenantName,
    name: Annotated[str, typer.Option(help="What others call this person.")] = "",
    fhir_user: FhirUser = None,
    role: Roles = None,
    patient: Patients = None,
    account: Annotated[str | None, typer.Option(help="Id of a legacy account that this person had.")] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Add a person and print a password that is good for choosing one's own.

    [bold]Examples[/]

      fhir-server user add ann --tenant riverside --name 'Ann Lee' --role physician --fhir-user Practitioner/p1
      fhir-server user add bo --tenant riverside --name 'Bo Berg' --role patient --patient p7 --fhir-user Patient/p7
    """
    _check(fhir_user, patient, role)
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work() -> dict[str, Any]:
        async with _people(chosen, tenant) as (store, people):
            known = await _account(store, tenant, account)
            patients = None if patient is None else tuple(patient)
            user = User(
                tenant, username, name or known or username, fhir_user=fhir_user, roles=tuple(role or ()),
                patients=patients, account=account,
            )  # fmt: skip
            async with recorded(store, tenant, "user", login(username), roles=" ".join(user.roles), added=True):
                await people.users.add(user)
                given = await people.give_password(user)
            return {**_described(user), "password": given}

    added = run(work())
    show(added, as_json, lambda: _given(added))


@app.command("list")
def list_(
    tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False
) -> None:  # fmt: skip
    """List the people of a tenant."""
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work() -> list[User]:
        async with _people(chosen, tenant) as (_, people):
            return await people.users.listed(tenant)

    users = run(work())
    show([_described(each) for each in users], as_json, lambda: _table(users, tenant))


@app.command("set")
def set_(
    username: Username,
    tenant: TenantName,
    role: Roles = None,
    patient: Patients = None,
    fhir_user: FhirUser = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Change the roles, the patients or the resource of a person; what is signed in ends."""
    _check(fhir_user, patient, role)
    given = {"roles": role, "patients": patient, "fhir_user": fhir_user}
    changes = {field: value for field, value in given.items() if value}
    if not changes:
        fail("Nothing to change: give --role, --patient or --fhir-user.", code=2)
    _do(
        username,
        tenant,
        lambda people, user: people.entitle(user, **changes),
        "is changed",
        mongo_url,
        data_dir,
        as_json,
    )


@app.command()
def disable(
    username: Username, tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Let nobody sign in under a name any more; what is signed in ends. The name is not given again."""
    _do(username, tenant, People.disable, "is disabled", mongo_url, data_dir, as_json)


@app.command()
def enable(
    username: Username, tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Let a disabled person sign in again."""
    _do(username, tenant, People.enable, "can sign in again", mongo_url, data_dir, as_json)


@app.command()
def unlock(
    username: Username, tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Forget the failures of a person, who need not wait any more."""
    _do(username, tenant, People.unlock, "need not wait any more", mongo_url, data_dir, as_json)


@app.command("reset-mfa")
def reset_mfa(
    username: Username, tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Forget the device and the recovery codes of a person, who sets up another at the next sign-in."""
    said = "sets up another device at the next sign-in"
    _do(username, tenant, People.forget_second_factor, said, mongo_url, data_dir, as_json)


@app.command("reset-password")
def reset_password(
    username: Username, tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Print a new password that is good for choosing one's own; the old one and what is signed in with it end."""
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work() -> dict[str, Any]:
        async with _people(chosen, tenant) as (store, people):
            user = await people.users.existing(tenant, username)
            async with recorded(store, tenant, "user", login(username), changed="password"):
                given = await people.give_password(user)
                await people.unlock(user)
            return {**_described(user), "password": given}

    changed = run(work())
    show(changed, as_json, lambda: _given(changed))


def _do(
    username: str, tenant: str, work: Work, said: str, mongo_url: str | None, data_dir: Any, as_json: bool
) -> None:  # fmt: skip
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def done() -> User:
        async with _people(chosen, tenant) as (store, people):
            user = await people.users.existing(tenant, username)
            async with recorded(store, tenant, "user", login(username), changed=said):
                await work(people, user)
            return await people.users.existing(tenant, username)

    user = run(done())
    show(_described(user), as_json, lambda: f"[bold]{user.username}[/] {said}.")


@asynccontextmanager
async def _people(chosen: Settings, tenant: str) -> AsyncIterator[tuple[Store, People]]:
    async with store_of(chosen) as found:
        await tenant_of(found, tenant)
        passwords = Passwords()
        try:
            yield found, People(found, passwords)
        finally:
            passwords.close()


async def _account(store: Store, tenant: str, account: str | None) -> str | None:
    """The name of whoever had the legacy account: nothing of how they signed in there is used."""
    if account is None:
        return None
    records = await FeatureRecords(store, await tenant_of(store, tenant)).of("accounts/user")
    found = next((each for each in records if each["id"] == account), None)
    if found is None:
        fail(f"There is no legacy account '{account}' in '{tenant}'.")
    return str(found.get("name") or found["username"])


def _check(fhir_user: str | None, patients: list[str] | None, names: list[str] | None) -> None:
    kind, _, resource_id = (fhir_user or "Person/x").partition("/")
    if kind not in PERSON_TYPES or not ID.match(resource_id):
        fail(f"'{fhir_user}' is not the resource of a person, such as Practitioner/p1.", code=2)
    for each in patients or ():
        if not ID.match(each):
            fail(f"'{each}' is not the id of a patient; give it without 'Patient/'.", code=2)
    for each in names or ():
        if each not in roles.known():
            fail(f"'{each}' is no role; there are {', '.join(roles.known())}.", code=2)


def _described(user: User) -> dict[str, Any]:
    return {
        "username": login(user.username),
        "name": user.name,
        "id": user.user_id,
        "roles": user.roles,
        "patients": user.patients,
        "fhirUser": user.fhir_user,
        "account": user.account,
        "disabled": user.disabled,
        "secondFactor": user.secret is not None,
        "created": user.created,
    }


def _given(user: dict[str, Any]) -> str:
    return f"[bold]{user['username']}[/] signs in with [bold]{user['password']}[/] and then chooses a password."


def _table(users: list[User], tenant: str) -> Table:
    table = Table("username", "name", "roles", "patients", "second factor", "status", box=None)
    for each in users:
        patients = "by role" if each.patients is None else ", ".join(each.patients)
        status = "disabled" if each.disabled else "active"
        second = "yes" if each.secret else "not yet"
        table.add_row(login(each.username), each.name, ", ".join(each.roles), patients, second, status)
    if not users:
        console.print(f"There is nobody yet: fhir-server user add NAME --tenant {tenant}")
    return table
