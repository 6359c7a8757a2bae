"""A reconciliation as one page of HTML that stands alone: no script, no other file, readable on any screen.

https://www.w3.org/TR/WCAG22/"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from fhir_server.cli.report_tables import Shown, sections
from fhir_server.mapping.reconciliation import Reconciled

NUMBER = re.compile(r"(-?\d+(\.\d+)?)?")
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #8c959f; --shade: #f2f4f6; --bad: #a40e26;
  --good: #0a5c2b }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --paper: #16181b; --line: #6e7681; --shade: #22262b;
  --bad: #ff9492; --good: #7ee2a0 } }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; line-height: 1.2 } h2 { font-size: 1.15rem; margin-top: 2rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem } dd { margin: 0; overflow-wrap: anywhere }
.scroll { overflow-x: auto } .scroll:focus-visible { outline: 3px solid }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0 }
caption { text-align: left; font-weight: 600; padding: .25rem 0 }
th, td { padding: .25rem .75rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top }
thead th { background: var(--shade) } tbody th { font-weight: 400 } .n { text-align: right; white-space: nowrap }
.bad { color: var(--bad); font-weight: 600 } .good { color: var(--good); font-weight: 600 }
@media print { .scroll { overflow: visible } }
"""


def page(report: Reconciled) -> str:
    """The whole page."""
    title = f"Migration of {report.title} into {report.tenant}"
    tables = (_table(number, each) for number, each in enumerate(sections(report), 1))
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            _verdict(report),
            _facts(report),
            *tables,
            "</main></body></html>\n",
        ]
    )


def _verdict(report: Reconciled) -> str:
    failed = sum(not each.holds for each in report.checks)
    if failed:
        return f'<p class="bad">{failed} of {len(report.checks)} sums do not add up; they are the first below.</p>'
    return f'<p class="good">All {len(report.checks)} sums add up.</p>'


def _facts(report: Reconciled) -> str:
    facts = {
        "Source": report.source,
        "Tenant": report.tenant,
        "Last run": report.run or "none",
        "Begun": _moment(report.at),
    }
    rows = (f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items() if value)
    return f"<dl>{''.join(rows)}</dl>"


def _moment(at: str | None) -> str | None:
    return at and f"{at[:16].replace('T', ' ')} UTC"


def _table(number: int, shown: Shown) -> str:
    """In a region of its own, so that a wide one is moved sideways by touch or key without the page."""
    name = f"t{number}"
    if not shown.rows:
        return f"<h2>{escape(shown.title)}</h2><p>{escape(shown.nothing)}</p>"
    head = "".join(f'<th scope="col"{_side(shown, at)}>{escape(each)}</th>' for at, each in enumerate(shown.columns))
    body = "".join(f"<tr>{''.join(_cells(shown, row))}</tr>" for row in shown.rows)
    return (
        f'<h2 id="{name}">{escape(shown.title)}</h2><div class="scroll" role="region" tabindex="0" '
        f'aria-labelledby="{name}"><table><caption>{escape(shown.caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(shown: Shown, row: Sequence[Any]) -> Iterator[str]:
    first, *others = row
    yield f'<th scope="row">{escape(str(first))}</th>'
    for at, each in enumerate(others, 1):
        yield f"<td{_side(shown, at)}>{escape(_written(each))}</td>"


def _side(shown: Shown, at: int) -> str:
    """Numbers stand below one another."""
    return ' class="n"' if _is_number(shown.rows, at) else ""


def _is_number(rows: Iterable[Sequence[Any]], at: int) -> bool:
    return all(NUMBER.fullmatch(str(row[at])) for row in rows)


def _written(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
