"""`fhir-server keys …`: what tenants are encrypted with, and the keys that their tokens are signed with."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from fhir_server.cli import keys_policy, keys_shred
from fhir_server.cli.common import DataDir, Json, MongoUrl, TenantName, fail, in_store, settings, show, tenant_of
from fhir_server.cli.following import followed, progress_bar
from fhir_server.cli.keys_shared import encrypted, tried
from fhir_server.cli.recording import account
from fhir_server.crypto.rotation import KeyUse, next_time
from fhir_server.fhir.outcome import bad_value
from fhir_server.jobs import reencrypt as work
from fhir_server.store.connection import Store
from fhir_server.store.jobs import Job
from fhir_server.store.kek.adapters import kek_of
from fhir_server.store.kek.port import Kek
from fhir_server.store.key_records import KeyRecords
from fhir_server.store.retirement import Retirement
from fhir_server.store.tenants import Tenant
from fhir_server.store.vault import DATA

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Rotate, rewrap and destroy keys.")
app.add_typer(keys_policy.app, name="policy")
app.command("shred")(keys_shred.shred)

Why = Annotated[str, typer.Option("--because", help="Why, for the record.")]


@app.callback()
def keys() -> None:
    """Rotate, rewrap and destroy keys.

    What a tenant stores is sealed by versions of its data key and by a key of each patient; FHIR_KEK names the key
    that wraps them all.
    """


@app.command("list")
def list_(tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List the keys of a tenant: which they are, what wraps them, how much they have sealed."""

    async def found(store: Store) -> dict[str, Any]:
        return await _listed(store, await encrypted(store, tenant))

    listed = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), found)
    show(listed, as_json, lambda: _table(listed))


@app.command()
def rotate(
    tenant: TenantName,
    because: Why = "",
    signing: Annotated[bool, typer.Option("--signing", help="The keys that tokens are signed with.")] = False,
    drop: Annotated[
        bool,
        typer.Option("--drop", help="With --signing, forget the old ones: every token ends within five seconds."),
    ] = False,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Seal with a new version of the data key from now on; a job seals anew what the older ones have sealed.

    [bold]Examples[/]

      fhir-server keys rotate --tenant riverside --because 'Yearly rotation'
      fhir-server keys rotate --tenant riverside --signing
    """
    if drop and not signing:
        raise typer.BadParameter("--drop is about keys that sign: give --signing as well.")

    async def done(store: Store) -> dict[str, Any]:
        return await (_signing(store, tenant, drop) if signing else _rotated(store, tenant, because))

    result = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), done)
    what = "Tokens of [bold]{}[/] are signed with" if signing else "[bold]{}[/] is sealed with"
    said = f"{what.format(tenant)} the key {result['key']} from now on."
    more = "" if signing else " 'fhir-server keys reencrypt' shows how far the older ones are."
    show(result, as_json, lambda: said + more)


@app.command()
def rewrap(
    tenant: Annotated[list[str] | None, typer.Option("--tenant", "-t", help="Only this tenant; repeatable.")] = None,
    formerly: Annotated[
        str | None, typer.Option("--from", help="What wraps them now, written like FHIR_KEK, if it is another.")
    ] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Wrap all keys by the newest version of the key that FHIR_KEK names, or by another; no resource is touched.

    [bold]Examples[/]

      fhir-server keys rewrap
      FHIR_KEK=vault:https://vault.example.org:8200/transit/fhir fhir-server keys rewrap --from file:/etc/fhir/kek
    """
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def done(store: Store) -> list[dict[str, Any]]:
        old = kek_of(formerly, _directory(chosen.mongo_url, chosen.data_dir))
        known = {each.name: each for each in await store.tenants.list()}
        missing = [name for name in tenant or [] if name not in known]
        if missing:
            raise bad_value(f"There is no tenant '{missing[0]}'.")
        return [await _rewrapped(store, known[name], old) for name in tenant or known]

    results = in_store(chosen, done)
    lines = [f"[bold]{each['tenant']}[/]: {each['rewrapped']} keys are wrapped by {each['by']}." for each in results]
    show(results, as_json, lambda: "\n".join(lines) or "There are no tenants.")


@app.command()
def reencrypt(
    tenant: TenantName,
    patients: Annotated[
        bool, typer.Option("--patients", help="Give each patient another key as well, as after a compromise.")
    ] = False,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Seal anew what older keys have sealed: current versions, history and large bodies.

    Resources are read and written meanwhile, and versions stay what they are. Whatever ends this command, the work
    goes on where it stopped: in a server that is running, or when the command is given again.
    """

    async def done(store: Store) -> Job:
        await encrypted(store, tenant)
        job = await work.ask(store, tenant, patients=patients)
        with progress_bar(as_json) as progress:
            return await followed(store, job, work.run, progress)

    job = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), done)
    result = {"tenant": tenant, "state": job.state, "done": job.done, "rate": round(job.rate, 1), "error": job.error}
    show(result, as_json, lambda: f"{job.done:,} versions of [bold]{tenant}[/] were sealed anew, {job.rate:,.0f}/s.")
    if job.state != "finished":
        fail(job.error or f"The work is {job.state}.")


@app.command()
def retire(
    tenant: TenantName,
    key: Annotated[str | None, typer.Option("--key", help="A version that was replaced, such as data/1.")] = None,
    patients: Annotated[
        bool, typer.Option("--patients", help="The keys of patients that were replaced and open nothing any more.")
    ] = False,
    window: Annotated[int, typer.Option(min=0, help="Days for which backups are kept.")] = 35,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Destroy a key that was replaced; refused while anything is left that only it opens, here or in a backup."""
    if (key is None) != patients:
        raise typer.BadParameter("Name a key with --key, or give --patients.")

    async def done(store: Store) -> dict[str, Any]:
        found = await encrypted(store, tenant)
        async with tried(store, found, "destroy", key=key or "patient"):
            count = await _retired(Retirement(store, found), key, timedelta(days=window))
        await KeyRecords(store, found).tell("destroyed", account(), key=key or "patient", count=count)
        return {"tenant": tenant, "key": key, "destroyed": count}

    result = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), done)
    show(result, as_json, lambda: f"{result['destroyed']} keys of [bold]{tenant}[/] are destroyed.")


@app.command()
def events(tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """List what has happened to the keys of a tenant."""

    async def found(store: Store) -> list[dict[str, Any]]:
        return await KeyRecords(store, await encrypted(store, tenant)).events()

    listed = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), found)
    table = Table("at", "what", "key", "by", "why", box=None)
    for each in listed:
        table.add_row(each["at"], each["action"], each.get("key"), each["by"], each.get("why") or each.get("event"))
    show(listed, as_json, lambda: table)


async def _listed(store: Store, tenant: Tenant) -> dict[str, Any]:
    versions, records, bodies = store.key_versions(tenant), KeyRecords(store, tenant), store.reencryption(tenant)
    current = await versions.current()
    when = next_time(KeyUse(current.created, current.uses), await records.holding())
    found = [
        {**asdict(each), "versions": await bodies.count([each.key_id]) if each.kind == DATA else None}
        for each in await versions.listed()
    ]
    return {
        "tenant": tenant.name,
        "kek": store.vault.required(tenant.name).name,
        "keys": found,
        "patients": dict(await versions.patients()),
        "next_rotation": when,
        "legacy": await records.legacy(),
    }


def _table(listed: dict[str, Any]) -> Table:
    about = ", ".join(f"{count:,} {state}" for state, count in sorted(listed["patients"].items())) or "none"
    when = f"; next rotation {listed['next_rotation']:%Y-%m-%d}" if listed["next_rotation"] else ""
    caption = f"Keys of patients: {about}; keys of legacy systems: {len(listed['legacy'])}{when}"
    table = Table("key", "state", "wrapped by", "uses", "seals", "made", box=None, caption=caption)
    for each in listed["keys"]:
        seals = "" if each["versions"] is None else f"{each['versions']:,}"
        made = f"{each['created']:%Y-%m-%d %H:%M}"
        table.add_row(each["key_id"], each["state"], each["wrapped_by"], f"{each['uses']:,}", seals, made)
    return table


async def _retired(retirement: Retirement, key: str | None, window: timedelta) -> int:
    if key is None:
        return await retirement.retire_patients(window)
    await retirement.retire(key, window)
    return 1


async def _rotated(store: Store, name: str, because: str) -> dict[str, Any]:
    tenant = await encrypted(store, name)
    version = await store.key_versions(tenant).rotate()
    await KeyRecords(store, tenant).tell("rotated", account(), key=version.key_id, why=because)
    job = await work.ask(store, name)
    return {"tenant": name, "key": version.key_id, "job": job.job_id}


async def _signing(store: Store, name: str, drop: bool) -> dict[str, Any]:
    tenant = await tenant_of(store, name)
    kid = (await store.keys.rotate(name, drop=drop)).kid
    await KeyRecords(store, tenant).tell("rotated", account(), key="signing", why="dropped" if drop else "")
    return {"tenant": name, "key": kid, "dropped": drop}


async def _rewrapped(store: Store, tenant: Tenant, formerly: Kek | None) -> dict[str, Any]:
    count = await store.key_versions(tenant).rewrap(formerly)
    by = store.vault.required(tenant.name).name
    if count:
        await KeyRecords(store, tenant).tell("rewrapped", account(), key="all", why=f"wrapped by {by}", count=count)
    return {"tenant": tenant.name, "rewrapped": count, "by": by}


def _directory(mongo_url: str | None, data_dir: Path) -> Path | None:
    return None if mongo_url else data_dir.expanduser()
