"""People prove who they are, and those who fail wait ever longer."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from statistics import median
from time import perf_counter, time

import pytest

from fhir_server.auth import lockout, totp
from fhir_server.auth.people import NotProven
from fhir_server.crypto.aead import SealBroken
from fhir_server.fhir.outcome import FhirError
from fhir_server.store.connection import Store
from fhir_server.store.revocations import marked
from fhir_server.store.users import User, login
from tests.auth.people.conftest import Place
from tests.auth.people.town import RIGHT


async def refused(place: Place, times: int = 1, **who: str) -> timedelta:
    """How long there is to wait after the last of so many wrong passwords."""
    for _ in range(times):
        with pytest.raises(NotProven) as problem:
            await place.sign_in("wrong", **who)
    return problem.value.wait


async def test_the_right_password_is_enough_for_the_first_step(place: Place) -> None:
    assert (await place.sign_in()).user_id == place.user.user_id
    assert (await place.sign_in(username=" ANN ")).user_id == place.user.user_id


async def test_o51_ever_longer_pauses_that_end_by_themselves(place: Place) -> None:
    assert await refused(place, 5) == timedelta()
    with pytest.raises(NotProven) as problem:
        await place.sign_in()
    assert timedelta() < problem.value.wait <= timedelta(seconds=5)
    for pause in (5, 10, 20, 40, 80):
        place.clock.wait(seconds=pause + 1)
        await refused(place)
    place.clock.wait(seconds=160)
    with pytest.raises(NotProven):
        await place.sign_in()
    place.clock.wait(minutes=13)
    assert await place.sign_in()
    assert await refused(place, 4) == timedelta()
    assert await place.sign_in()


async def test_o51_tries_at_the_same_time_count_like_tries_one_after_another(place: Place) -> None:
    answers = await asyncio.gather(*(place.sign_in("wrong") for _ in range(20)), return_exceptions=True)
    looked_at = [each for each in answers if isinstance(each, NotProven) and not each.wait]
    assert len(looked_at) == 5


async def test_o51_a_thousand_addresses_do_not_help(place: Place) -> None:
    for number in range(5):
        await refused(place, host=f"198.51.100.{number}")
    assert await refused(place, host="198.51.100.77") > timedelta()


async def test_o51_one_address_cannot_try_many_accounts(place: Place) -> None:
    for number in range(30):
        await refused(place, username=f"somebody-{number}", host="203.0.113.9")
    assert await refused(place, username="another", host="203.0.113.9") > timedelta()
    assert await place.sign_in(host="203.0.113.10")


async def test_o51_strangers_cannot_lock_out_who_has_signed_in_here_before(place: Place) -> None:
    device = await place.people.remember_device(place.user)
    await refused(place, 5)
    assert await refused(place) > timedelta()
    assert await place.people.by_password(place.tenant, "ann", RIGHT, host="192.0.2.1", device=device)
    with pytest.raises(NotProven) as problem:
        await place.people.by_password(place.tenant, "ann", RIGHT, host="192.0.2.1", device="another")
    assert problem.value.wait


def test_o51_no_more_than_a_hundred_failures_in_a_row() -> None:
    assert lockout.PASSWORD.pause(99) == timedelta(hours=1)
    assert lockout.PASSWORD.pause(100) == lockout.SECOND_FACTOR.pause(100) == timedelta(days=30)


def test_addresses_that_one_sender_has() -> None:
    assert lockout.address("2001:db8:1:2::1") == lockout.address("2001:db8:1:2:ffff::9")
    assert lockout.address("2001:db8:1:3::1") != lockout.address("2001:db8:1:2::1")
    assert lockout.address("::ffff:192.0.2.1") == lockout.address("192.0.2.1") == "address:192.0.2.1"
    assert lockout.address("testclient") == "address:unknown"


async def test_o52_nobody_learns_whether_there_is_such_a_user(place: Place) -> None:
    await place.people.disable(await place.people.users.add(User(place.tenant, "gone", "Gone")))
    times: dict[str, list[float]] = {"ann": [], "nobody": [], "gone": []}
    for round_ in range(12):
        for username, taken in times.items():
            started = perf_counter()
            await refused(place, username=username, host=f"198.51.{round_}.1")
            taken.append(perf_counter() - started)
            await place.people._attempts.forgive(place.tenant, lockout.account(username))
    medians = [median(taken) for taken in times.values()]
    assert max(medians) - min(medians) < max(0.005, 0.25 * max(medians)), medians


async def test_o54_a_code_is_good_once(place: Place) -> None:
    secret = totp.new_secret()
    await place.people.enrol(place.user, secret, place.code(secret, steps=-1))
    user = await place.current()
    code = place.code(secret)
    answers = await asyncio.gather(*(place.people.by_code(user, code) for _ in range(5)), return_exceptions=True)
    assert answers.count("otp") == 1
    place.clock.wait(minutes=16)
    assert await place.people.by_code(user, place.code(secret)) == "otp"
    for steps in (-2, 2, -1, 0):
        with pytest.raises(NotProven) as problem:
            await place.people.by_code(user, place.code(secret, steps=steps))
        assert not problem.value.wait


async def test_the_secret_of_a_device_is_sealed(place: Place) -> None:
    secret = totp.new_secret()
    await place.people.enrol(place.user, secret, place.code(secret, steps=-1))
    user = await place.current()
    assert user.secret is not None
    assert secret not in user.secret
    assert await place.people.users.unsealed(user, user.secret) == secret
    with pytest.raises(SealBroken):
        await place.people.users.unsealed(User(place.tenant, "bo", "Bo"), user.secret)


async def test_a_secret_from_before_they_were_sealed_is_sealed_when_it_is_used(place: Place) -> None:
    secret = totp.new_secret()
    user = await place.people.users.change(place.tenant, "ann", secret=secret)
    assert await place.people.by_code(user, place.code(secret)) == "otp"
    sealed = await place.current()
    assert sealed.secret is not None
    assert secret not in sealed.secret
    place.clock.wait(minutes=1)
    assert await place.people.by_code(sealed, place.code(secret)) == "otp"


async def test_o54_five_wrong_codes_are_the_end_for_a_while(place: Place) -> None:
    secret = totp.new_secret()
    await place.people.enrol(place.user, secret, place.code(secret, steps=-1))
    user = await place.current()
    for _ in range(5):
        with pytest.raises(NotProven):
            await place.people.by_code(user, "000000")
    with pytest.raises(NotProven) as problem:
        await place.people.by_code(user, place.code(secret))
    assert problem.value.wait > timedelta(minutes=14)
    place.clock.wait(minutes=15)
    assert await place.people.by_code(user, place.code(secret)) == "otp"


async def test_o55_a_recovery_code_is_good_once_and_kept_as_a_digest(place: Place) -> None:
    secret = totp.new_secret()
    codes = await place.people.enrol(place.user, secret, place.code(secret))
    user = await place.current()
    assert not set(codes) & set(user.recovery)
    assert await place.people.by_code(user, codes[0].upper()) == "kba"
    with pytest.raises(NotProven):
        await place.people.by_code(user, codes[0])
    fresh = await place.people.new_recovery_codes(user)
    with pytest.raises(NotProven):
        await place.people.by_code(user, codes[1])
    assert await place.people.by_code(user, fresh[0]) == "kba"


async def test_a_device_that_shows_another_code_is_not_enrolled(place: Place) -> None:
    with pytest.raises(NotProven):
        await place.people.enrol(place.user, totp.new_secret(), "000000")
    assert (await place.current()).secret is None


async def test_a_password_is_chosen_by_the_rules(place: Place) -> None:
    assert "at least 15" in str(await place.people.choose_password(place.user, "short", second_factor=False))
    assert "have now" in str(await place.people.choose_password(place.user, RIGHT, second_factor=False))
    assert await place.people.choose_password(place.user, "nine anchors of velvet", second_factor=False) is None
    assert await place.sign_in("nine anchors of velvet")
    await refused(place)


async def test_a_given_password_is_good_for_choosing_another(place: Place) -> None:
    given = await place.people.give_password(place.user)
    user = await place.sign_in(given)
    assert user.renew
    await place.people.choose_password(user, "nine anchors of velvet", second_factor=False)
    assert not (await place.current()).renew


async def test_o56_what_changes_a_person_ends_all_sessions(place: Place, people_store: Store) -> None:
    mark = marked(place.tenant, "user", place.user.user_id)
    changes = (
        place.people.disable,
        place.people.enable,
        place.people.forget_second_factor,
        place.people.give_password,
        lambda user: place.people.entitle(user, roles=("nurse",)),
    )
    for change in changes:
        started = time()
        session, _ = await people_store.sessions.begin(place.user, ("pwd",), timedelta(1), None, place.clock())
        await change(place.user)
        assert await people_store.sessions.get(place.tenant, session.session_id) is None
        assert await people_store.revocations.revoked([mark], started - 1)
    with pytest.raises(NotProven):
        await place.sign_in()


async def test_o56_signing_out_ends_what_is_for_while_somebody_is_there(place: Place, people_store: Store) -> None:
    session, _ = await people_store.sessions.begin(place.user, ("pwd",), timedelta(1), None, place.clock())
    await place.people.sign_out(place.user)
    assert await people_store.sessions.get(place.tenant, session.session_id) is None
    assert await people_store.revocations.at(marked(place.tenant, "session", session.session_id))
    assert not await people_store.revocations.at(marked(place.tenant, "user", place.user.user_id))


async def test_who_is_disabled_cannot_sign_in_and_keeps_the_name(place: Place) -> None:
    await place.people.disable(place.user)
    await refused(place)
    with pytest.raises(NotProven):
        await place.sign_in()
    with pytest.raises(FhirError, match="names are given once"):
        await place.people.users.add(User(place.tenant, "Ann", "Another"))


async def test_failures_can_be_forgiven_by_the_operator(place: Place) -> None:
    await refused(place, 5)
    await place.people.unlock(place.user)
    assert await place.sign_in()


@pytest.mark.parametrize("username", ["", "   ", "x" * 129, "a\nb"])
async def test_odd_names_are_refused(place: Place, username: str) -> None:
    with pytest.raises(FhirError, match="no name for a user"):
        await place.people.users.add(User(place.tenant, username, "x"))


def test_names_that_look_alike_are_one() -> None:
    assert login("Ａnn ") == login("ann")
