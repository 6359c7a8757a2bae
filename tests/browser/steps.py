"""What somebody does on the pages for people."""

from __future__ import annotations

from typing import Any

from tests.browser.conftest import PASSWORD, Person, seen


def settle(page: Any, person: Person) -> None:
    """The first sign-in: a device, recovery codes and a password of one's own."""
    page.fill("#username", person.username)
    page.fill("#password", "not the password")
    page.click('button:has-text("Sign in")')
    page.wait_for_selector(".summary")
    seen(page, "sign-in-refused")
    page.fill("#password", person.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_selector(".key")
    seen(page, "device")
    person.secret = page.text_content(".key")
    page.fill("#code", person.code())
    page.get_by_role("button", name="Set up").click()
    page.wait_for_selector(".codes")
    seen(page, "recovery-codes")
    person.recovery = page.locator(".codes code").all_text_contents()
    page.get_by_role("link", name="I have kept them").click()
    page.wait_for_selector("#repeated")
    seen(page, "password")
    page.fill("input[name=password]", PASSWORD)
    page.fill("#repeated", PASSWORD)
    page.get_by_role("button", name="Change password").click()
    person.password = PASSWORD
    # What is given in the same second as a new password ends with the old one.
    page.wait_for_timeout(1_100)


def sign_in(page: Any, person: Person) -> None:
    page.fill("#username", person.username)
    page.fill("#password", person.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_selector("#code")
    seen(page, "code")
    page.fill("#code", person.code())
    page.get_by_role("button", name="Go on").click()
