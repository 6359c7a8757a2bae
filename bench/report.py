"""The result of a run as a table for people and as JSON for machines."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured thing: ours, the yardstick in the same run, and the target where there is one."""

    name: str
    ours: float
    unit: str
    bare: float | None = None
    target: float | None = None
    at_most: bool = False
    more: dict[str, float] = field(default_factory=dict)
    rounds: tuple[tuple[float, float], ...] = ()
    """Both of each round, where they took turns: what slows the machine down for a while slows both."""

    @property
    def ratio(self) -> float | None:
        """The median of those of the rounds."""
        if self.rounds:
            return statistics.median(ours / bare for ours, bare in self.rounds)
        return self.ours / self.bare if self.bare else None

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        value = self.ratio if self.ratio is not None else self.ours
        return value <= self.target if self.at_most else value >= self.target


def show(figures: list[Figure], stages: dict[str, dict[str, float]]) -> None:
    console = Console()
    table = Table("measured", "ours", "bare", "ratio", "target", "met", title="fhir-server benchmark")
    for each in figures:
        ratio = f"{each.ratio:.2f}" if each.ratio is not None else ""
        bare = f"{each.bare:,.0f} {each.unit}" if each.bare else ""
        target = "" if each.target is None else f"{'≤' if each.at_most else '≥'} {each.target:g}"
        met = {None: "", True: "yes", False: "[red]no[/red]"}[each.met]
        table.add_row(each.name, f"{each.ours:,.2f} {each.unit}".replace(".00 ", " "), bare, ratio, target, met)
    console.print(table)
    if not stages:
        return
    names = list(next(iter(stages.values())))
    costs = Table("µs per resource", *names, title="CPU of each stage")
    for resource_type, cost in stages.items():
        costs.add_row(resource_type, *(f"{cost[name]:.0f}" for name in names))
    console.print(costs)


def write(path: Path, figures: list[Figure], stages: dict[str, dict[str, float]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(each), "ratio": each.ratio, "met": each.met} for each in figures]
    path.write_text(json.dumps({"figures": rows, "stages": stages}, indent=2) + "\n")
