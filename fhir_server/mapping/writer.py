"""Python source, line by line, and the objects that it names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PRIMITIVES = (str, int, bool, type(None))


class Writer:
    """The source of one module; `names` is what it runs with."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.traces: list[Any] | None = None
        """The leaves by number, where the values of a row are to be traced back to them."""
        self.names: dict[str, Any] = {}
        self._depth = 0
        self._counted = 0
        self._constants: dict[str, str] = {}
        self._made: dict[str, str] = {}

    @property
    def depth(self) -> int:
        return self._depth

    def line(self, text: str) -> None:
        self.lines.append("    " * self._depth + text)

    def insert(self, at: int, text: str) -> None:
        """A line that turns out to be needed before what is written already, as deep as the line it comes before."""
        after = self.lines[at]
        self.lines.insert(at, after[: len(after) - len(after.lstrip())] + text)

    @contextmanager
    def block(self, head: str, end: str = ":") -> Iterator[None]:
        """`head:` and what is written inside, indented."""
        self.line(f"{head}{end}")
        self._depth += 1
        written = len(self.lines)
        yield
        if len(self.lines) == written:
            self.line("pass")
        self._depth -= 1

    def fresh(self, prefix: str = "v") -> str:
        self._counted += 1
        return f"{prefix}{self._counted}"

    def function(self, name: str, function: Any) -> str:
        """Makes a function known under its name."""
        self.names[name] = function
        return name

    def made(self, name: str, key: str, make: Callable[[], Any]) -> str:
        """Makes a function once for each key, and known under a name of its own."""
        if key not in self._made:
            self._made[key] = f"{name}_{len(self._made) + 1}"
            self.names[self._made[key]] = make()
        return self._made[key]

    def constant(self, value: Any) -> str:
        """The source of a value: itself when it is short and plain, else the name of a shared object."""
        if isinstance(value, PRIMITIVES) or (isinstance(value, tuple) and all(isinstance(each, str) for each in value)):
            return repr(value)
        known = repr(value)
        if known not in self._constants:
            self._constants[known] = f"K{len(self._constants) + 1}"
            self.names[self._constants[known]] = value
        return self._constants[known]

    def source(self) -> str:
        return "\n".join(self.lines) + "\n"

    def legend(self) -> str:
        """The shared objects, as comments: what K1, K2 … stand for."""
        return "".join(f"# {name} = {known}\n" for known, name in self._constants.items())
