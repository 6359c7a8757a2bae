"""Pages that everybody can use, and those that say what is wrong."""

from __future__ import annotations

import re

import pytest

from fhir_server.auth.pages.page import stylesheet
from tests.auth.people.browser import HOME, Browser
from tests.auth.people.town import (
    Town,
    to_consent,
)


async def test_places_that_are_not_there(town: Town, browser: Browser) -> None:
    for address in (f"{HOME}/auth/nobody/sign-in", f"{HOME}/auth/nobody/account"):
        assert (await browser.open(address)).status_code == 404
    assert (await browser.open("sign-in?request=nothing")).status_code == 400


async def test_pages_can_be_used_by_everybody(town: Town, browser: Browser) -> None:
    """WCAG 2.2: 1.3.1, 2.4.2, 3.1.1, 3.3.1, 3.3.2, 4.1.2."""
    await to_consent(town, browser)
    await browser.open("account")
    await browser.open("password")
    await browser.send("password", current="x", password="x", repeated="y")
    for response in browser.seen:
        if not response.headers.get("content-type", "").startswith("text/html"):
            continue
        page = type(browser.page)(response.text)
        assert page.all("html") == [{"lang": "en"}]
        assert len(page.all("h1")) == len(page.all("main")) == 1
        labelled = {each.get("for") for each in page.all("label")}
        ids = {each["id"] for _, each in page.tags if "id" in each}
        for each in page.all("input"):
            shown = each.get("type") not in ("hidden", "checkbox") and "hidden" not in each
            assert not shown or each["id"] in labelled
            assert set(each.get("aria-describedby", "").split()) <= ids
        anchors = [each["href"][1:] for each in page.all("a") if each["href"].startswith("#")]
        assert set(anchors) <= ids
        assert ("Error: " in response.text) == bool(anchors)


async def test_the_style_sheet_is_small_and_kept(town: Town, browser: Browser) -> None:
    name, content = stylesheet()
    assert len(content) < 8192
    response = await browser.open(name)
    assert "immutable" in response.headers["cache-control"]
    assert "no-store" in (await browser.open("style-0.css")).headers["cache-control"]


INKS = [("ink", "paper"), ("ink", "around"), ("faint", "paper"), ("faint", "soft"), ("strong", "paper")]
INKS += [("strong", "around"), ("on-strong", "strong"), ("on-strong", "stronger"), ("ink", "soft")]
INKS += [("wrong", "paper"), ("wrong", "wrong-soft"), ("strong", "soft")]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("pair", INKS, ids="-on-".join)
def test_colours_differ_enough(pair: tuple[str, str], scheme: int) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text."""
    block = stylesheet()[1].decode().split(":root {")[scheme + 1].partition("}")[0]
    colours = dict(re.findall(r"--([\w-]+): (#\w+);", block))
    bright, dim = sorted((_luminance(colours[each]) for each in pair), reverse=True)
    assert (bright + 0.05) / (dim + 0.05) >= 4.5


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * each for each in colour[1:])
    parts = [int(digits[start : start + 2], 16) / 255 for start in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
