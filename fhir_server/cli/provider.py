"""`fhir-server provider …`: the OpenID Connect provider with which people of a tenant may sign in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from fhir_server.auth.discovered import Discovery
from fhir_server.auth.fetching import Fetching, Unfetched
from fhir_server.auth.jwt import InvalidToken
from fhir_server.auth.passwords import Passwords
from fhir_server.auth.people import People
from fhir_server.auth.tokens import issuer as issuer_of
from fhir_server.auth.upstream import CALLBACK, OURS
from fhir_server.cli.common import (
    DataDir,
    Json,
    MongoUrl,
    TenantName,
    fail,
    in_store,
    settings,
    show,
    tenant_of,
)
from fhir_server.cli.recording import recorded
from fhir_server.fhir.outcome import conflict, error
from fhir_server.settings import Settings
from fhir_server.store.connection import Store
from fhir_server.store.upstream import Upstream
from fhir_server.store.users import User, account_at, login

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Let people of a tenant sign in with an identity provider elsewhere.",
)

Username = Annotated[str, typer.Argument(help="The name of the user here; case does not matter.")]


@app.command("set")
def set_(
    tenant: TenantName,
    issuer: Annotated[str, typer.Option(help="The provider, letter by letter as its discovery document says.")],
    client_id: Annotated[str, typer.Option(help="What the provider calls this server.")],
    title: Annotated[str, typer.Option(help="What people call the provider.")] = "",
    secret_file: Annotated[
        Path | None, typer.Option(help="File with the client secret. [default: it is asked for]", dir_okay=False)
    ] = None,
    key: Annotated[
        bool, typer.Option("--key", help="No secret: the key of the tenant signs (private_key_jwt).")
    ] = False,
    match: Annotated[str | None, typer.Option(help="Claim that is the user's name here, for the first time.")] = None,
    scope: Annotated[str, typer.Option(help="What is asked for; 'profile' or 'email' for their claims.")] = "openid",
    trust_second_factor: Annotated[
        bool, typer.Option("--trust-second-factor", help="What 'amr' or --acr says counts as a second factor.")
    ] = False,
    acr: Annotated[list[str] | None, typer.Option(help="Value of 'acr' that is asked for; repeatable.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE that the provider wants to be told besides; repeatable.")
    ] = None,
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Name the provider of a tenant, in place of the one before.

    [bold]Example[/]

      fhir-server provider set -t riverside --issuer https://login.example/riverside --client-id fhir
        --title 'Riverside Health' --match preferred_username --scope 'openid profile' --secret-file secret.txt
    """
    _check(issuer, client_id, scope)
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    made = Upstream(
        tenant,
        issuer,
        client_id,
        title or urlsplit(issuer).hostname or issuer,
        None if key else _secret(secret_file),
        tuple(dict.fromkeys(scope.split())),
        match,
        trust_second_factor,
        tuple(acr or ()),
        _parameters(parameter or ()),
    )

    async def work(found: Store) -> Upstream:
        await tenant_of(found, tenant)
        async with recorded(found, tenant, "provider", made.issuer):
            return await found.upstreams.put(made)

    _show(chosen, in_store(chosen, work), as_json)


@app.command("show")
def show_(tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Show the provider of a tenant, and what to register there; never its secret."""
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)
    _show(chosen, in_store(chosen, lambda found: _of(found, tenant)), as_json)


@app.command()
def check(tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Fetch what the provider publishes, as a sign-in does."""
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work(found: Store) -> dict[str, Any]:
        upstream = await _of(found, tenant)
        discovery = Discovery(Fetching(chosen.internal_hosts))
        try:
            published = await discovery.of(upstream.issuer)
            keys = await discovery.keys(published, None)
        except (Unfetched, InvalidToken) as problem:
            raise error("processing", f"The provider '{upstream.issuer}' cannot be used: {problem}.") from problem
        return {
            "issuer": published.issuer,
            "authorization_endpoint": published.authorization_endpoint,
            "token_endpoint": published.token_endpoint,
            "keys": {kid: each.alg for kid, each in keys.items()},
        }

    seen = in_store(chosen, work)
    show(seen, as_json, lambda: f"{seen['issuer']} answers; it has {len(seen['keys'])} keys that can be used.")


@app.command()
def remove(tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False) -> None:
    """Take the provider away; whoever has an account there is signed out. Accounts stay linked."""
    chosen = settings(mongo_url=mongo_url, data_dir=data_dir)

    async def work(found: Store) -> int:
        await _of(found, tenant)
        async with recorded(found, tenant, "provider", "removed"):
            await found.upstreams.remove(tenant)
        linked = [each for each in await found.users.listed(tenant) if each.upstream is not None]
        await _with_people(found, lambda people: _signed_out(people, linked))
        return len(linked)

    count = in_store(chosen, work)
    show({"removed": tenant, "signedOut": count}, as_json, lambda: f"Nobody signs in to '{tenant}' from elsewhere now.")


@app.command()
def link(
    username: Username,
    tenant: TenantName,
    subject: Annotated[str, typer.Option(help="The account at the provider: its 'sub'.")],
    mongo_url: MongoUrl = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """Say which account at the provider is a user's. It replaces the one before, whose sessions end."""

    async def work(found: Store) -> User:
        upstream = await _of(found, tenant)
        user = await found.users.existing(tenant, username)
        account = account_at(upstream.issuer, subject)
        if user.upstream is not None and user.upstream != account:
            await _with_people(found, lambda people: people.entitle(user, upstream=None))
            user = await found.users.existing(tenant, username)
        async with recorded(found, tenant, "user", login(username), changed="linked"):
            if not await found.users.link(user, account):
                raise conflict(f"The account '{subject}' is linked with another user already.")
        return user

    user = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), work)
    linked = {"username": login(user.username), "subject": subject}
    show(linked, as_json, lambda: f"[bold]{user.username}[/] signs in with the account '{subject}'.")


@app.command()
def unlink(
    username: Username, tenant: TenantName, mongo_url: MongoUrl = None, data_dir: DataDir = None, as_json: Json = False
) -> None:
    """Take a user's account at the provider away; what is signed in ends."""

    async def work(found: Store) -> User:
        user = await found.users.existing(tenant, username)
        async with recorded(found, tenant, "user", login(username), changed="unlinked"):
            await _with_people(found, lambda people: people.entitle(user, upstream=None))
        return user

    user = in_store(settings(mongo_url=mongo_url, data_dir=data_dir), work)
    unlinked = {"username": login(user.username), "subject": None}
    show(unlinked, as_json, lambda: f"[bold]{user.username}[/] has no account at the provider now.")


async def _of(found: Store, tenant: str) -> Upstream:
    await tenant_of(found, tenant)
    upstream = await found.upstreams.get(tenant)
    if upstream is None:
        raise error("not-found", f"'{tenant}' has no identity provider: fhir-server provider set --tenant {tenant}.")
    return upstream


async def _with_people(found: Store, work: Callable[[People], Awaitable[Any]]) -> None:
    passwords = Passwords()
    try:
        await work(People(found, passwords))
    finally:
        passwords.close()


async def _signed_out(people: People, users: list[User]) -> None:
    for each in users:
        await people.sign_out(each)


def _check(issuer: str, client_id: str, scope: str) -> None:
    """OpenID Connect Core §1.2: an issuer is an https address without query and fragment."""
    parts = urlsplit(issuer)
    plain = issuer.isascii() and issuer.isprintable() and not set(issuer) & set(" ?#@")
    if not plain or parts.scheme not in ("https", "http") or not parts.hostname:
        fail(f"'{issuer}' is no issuer, such as https://login.example/riverside.", code=2)
    if not client_id or not client_id.isascii() or not client_id.isprintable():
        fail("The client id is not printable ASCII.", code=2)
    if "openid" not in scope.split():
        fail("The scope has to hold 'openid'.", code=2)


def _parameters(given: Sequence[str]) -> dict[str, str]:
    found = {name: value for name, _, value in (each.partition("=") for each in given)}
    for name, value in found.items():
        if not name or not value:
            fail(f"'{name}' is no parameter, such as NAME=VALUE.", code=2)
        if name in OURS:
            fail(f"The parameter '{name}' is set by the server for each sign-in.", code=2)
    return found


def _secret(file: Path | None) -> str:
    """Never an argument: those are seen by whoever lists processes."""
    try:
        secret = file.read_text().strip() if file else typer.prompt("Client secret", hide_input=True).strip()
    except (OSError, UnicodeDecodeError) as problem:
        fail(f"'{file}' cannot be read: {problem}.", code=2)
    if not secret:
        fail("The secret is empty; use --key where there is none.", code=2)
    return str(secret)


def _described(chosen: Settings, upstream: Upstream) -> dict[str, Any]:
    place = issuer_of(chosen.public_url, upstream.tenant)
    return {
        "issuer": upstream.issuer,
        "client_id": upstream.client_id,
        "title": upstream.title,
        "token_endpoint_auth_method": "private_key_jwt" if upstream.secret is None else "client_secret_basic",
        "scope": " ".join(upstream.scopes),
        "match": upstream.match,
        "second_factor_trusted": upstream.trusted,
        "acr_values": upstream.classes,
        "parameters": upstream.parameters,
        "redirect_uri": f"{place}/{CALLBACK}",
        "post_logout_redirect_uri": f"{place}/signed-out",
        **({"jwks_uri": f"{place}/jwks"} if upstream.secret is None else {}),
        "changed": upstream.changed,
    }


def _show(chosen: Settings, upstream: Upstream, as_json: bool) -> None:
    described = _described(chosen, upstream)

    def human() -> str:
        keys = f"\n  key set:          {described['jwks_uri']}" if "jwks_uri" in described else ""
        return (
            f"People sign in with [bold]{upstream.title}[/] ({upstream.issuer}). Register there:\n"
            f"  redirect address: {described['redirect_uri']}\n"
            f"  after signing out: {described['post_logout_redirect_uri']}{keys}"
        )

    show(described, as_json, human)
