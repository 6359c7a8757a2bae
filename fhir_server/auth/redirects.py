"""Where an application may be sent its answer.  RFC 6749 §3.1.2, RFC 9700 §4.1.3, RFC 8252 §7.3"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlencode, urlsplit

_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::\d{1,5})?(/.*)?\Z")


def permitted(uri: str, registered: Iterable[str]) -> bool:
    """Letter by letter; only the port of a loopback address is chosen when a native application starts."""
    return uri in registered or any(_any_port(uri) == _any_port(each) is not None for each in registered)


def _any_port(uri: str) -> tuple[str, str] | None:
    form = _LOOPBACK.match(uri)
    return (form[1], form[2] or "/") if form else None


def registrable(uri: str) -> bool:
    """Absolute, without fragment, user and spaces; https, or http on this machine, or the scheme of an application."""
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError:
        return False
    plain = uri.isascii() and uri.isprintable() and " " not in uri and "#" not in uri and "*" not in uri
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    web = parts.scheme == "https" and bool(parts.hostname)
    # RFC 8252 §7.1: a scheme of one's own is a reversed domain name.
    own = "." in parts.scheme
    return plain and (web or local or own) and parts.username is None


def origin(uri: str) -> str | None:
    """The web origin of an address, if it has one."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else None


def answered(uri: str, **parameters: str) -> str:
    """The address with the parameters in its query."""
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(parameters)}"
