"""The dirt that real legacy columns hold: blanks, odd spellings, impossible dates, codes that no table lists."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

Spoil = Callable[[Random, str], str | None]


def blank(_: Random, __: str) -> str | None:
    return None


def spaces(_: Random, value: str) -> str | None:
    return f"  {value} "


def shouted(_: Random, value: str) -> str | None:
    return value.upper()


def nothing(random: Random, _: str) -> str | None:
    return random.choice(("N/A", "unknown", "-", "", "null"))


def odd_phone(random: Random, value: str) -> str | None:
    digits = "".join(each for each in value if each.isdigit())
    return random.choice(
        (
            digits,
            f"{value} x{random.randint(1, 99)}",
            digits[3:],
            f"1-{value}",
            "call mother",
            f"+44 20 7946 0{digits[-3:]}",
        )
    )


def bad_date(random: Random, value: str) -> str | None:
    return random.choice(("0000-00-00", "1066-10-14", f"{value[:4]}-02-31", "31/12/1999", "2999-01-01", ""))


def unknown_code(random: Random, value: str) -> str | None:
    return random.choice((f"{value}_old", "zz", "migrated", "9"))


def sometimes(random: Random, share: float, value: str | None, *ways: Spoil) -> str | None:
    """The value, spoiled in one of the ways now and then."""
    if value is None or random.random() >= share:
        return value
    return random.choice(ways)(random, value)
