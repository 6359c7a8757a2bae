"""A browser without scripts: it follows redirects, keeps cookies, and sends the forms that it has been shown."""

from __future__ import annotations

from html.parser import HTMLParser

import httpx

HOME = "http://127.0.0.1:8080"


class Page(HTMLParser):
    """What of a page a test looks at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.forms: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append((tag, found))
        if tag == "form":
            self.forms.append((found["action"], {}))
        elif tag == "input" and found.get("type") == "hidden" and self.forms:
            self.forms[-1][1][found["name"]] = found["value"]

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def form(self, action: str) -> dict[str, str]:
        return next(hidden for found, hidden in self.forms if found == action)

    @property
    def offered(self) -> list[str]:
        """The scopes with a tick."""
        return [each["value"] for each in self.all("input") if each.get("name") == "scope" and "checked" in each]


class Browser:
    def __init__(self, transport: httpx.AsyncBaseTransport, tenant: str, host: str = "192.0.2.1") -> None:
        self.client = httpx.AsyncClient(transport=transport, base_url=f"{HOME}/auth/{tenant}/")
        self.at = ""
        self.response = httpx.Response(0)
        self.seen: list[httpx.Response] = []

    @property
    def page(self) -> Page:
        return Page(self.response.text)

    @property
    def title(self) -> str:
        return self.response.text.partition("<title>")[2].partition("</title>")[0]

    async def open(self, address: str) -> httpx.Response:
        return await self._arrived(await self.client.get(address))

    async def send(self, action: str, **fields: str | list[str]) -> httpx.Response:
        """The form of the page with what is typed into it."""
        return await self.post(action, **{**self.page.form(action), **fields})

    async def post(self, action: str, **fields: str | list[str]) -> httpx.Response:
        return await self._arrived(await self.client.post(action, data=fields))

    async def _arrived(self, response: httpx.Response) -> httpx.Response:
        """Where it ends: a page, or the address of the application."""
        while True:
            self.seen.append(response)
            if response.status_code != 303:
                break
            address = response.headers["location"]
            self.at = address
            if not httpx.URL(address).is_relative_url:
                break
            response = await self.client.get(address)
        self.response = response
        return response

    async def close(self) -> None:
        await self.client.aclose()
