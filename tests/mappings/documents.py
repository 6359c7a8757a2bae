"""What the documents of the five systems say: their tables, their columns, and the values that columns may have.

Each document has a form of its own; where it only tells in prose, what a phrase is about stands in a table here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parents[3] / "shared/seeds"
TITLES: Mapping[str, str] = {
    "pms": "Practice Management System (PMS)",
    "emr": "HIPAA-compliant EMR system",
    "ivr": "Healthcare IVR Platform",
    "hpms": "Healthcare Practice Management System (HPMS)",
    "mk": "MediKeep Database Schema Documentation",
}
WORD = re.compile(r"[A-Za-z0-9+][\w+/' -]{0,30}")
NOT_VALUES = frozenset({"etc", "future use", "future"})
Value = tuple[str, str, str]
"""Table, column, value."""


@dataclass
class Document:
    tables: set[str] = field(default_factory=set)
    columns: set[tuple[str, str]] = field(default_factory=set)
    values: set[Value] = field(default_factory=set)

    def says(self, table: str, column: str, values: Iterator[str] | list[str]) -> None:
        self.values |= {(table, column, value) for value in values}


def read(source: str) -> Document | None:
    """The document of a system; None where it is not here."""
    for path in sorted(FOLDER.glob("*.txt")):
        text = path.read_text("utf-8")
        if TITLES[source] in text:
            return PARSERS[source](text)
    return None


def _listed(text: str) -> list[str]:
    """The words of `a, b, or c`; none where it is a sentence."""
    parts = [each.strip(" .`'\"") for each in re.split(r",\s*(?:or\s+)?|\s+or\s+", text)]
    found = [each for each in parts if each.rstrip(".") not in NOT_VALUES]
    return found if len(found) > 1 and all(WORD.fullmatch(each) for each in found) else []


def _sections(text: str, heading: str) -> Iterator[tuple[str, str]]:
    """Each table's name with what is said of it, up to the next heading of any rank."""
    pieces = re.split(r"^#{1,4} ", text, flags=re.MULTILINE)
    for piece in pieces:
        first, _, body = piece.partition("\n")
        found = re.fullmatch(heading, first.strip())
        if found:
            yield found[1], body


PMS_PHRASES: Mapping[tuple[str, str], str] = {
    ("appointments", "Status tracking"): "status",
    ("appointments", "Appointment types"): "appointment_type",
    ("notes", "Multiple note types"): "note_type",
    ("ledger", "Multiple transaction types"): "transaction_type",
    ("auth_tokens", "Multiple token types"): "token_type",
    ("encryption_keys", "Multiple key types"): "key_type",
    ("encryption_keys", "External KMS integration"): "kms_provider",
    ("key_rotation_policies", "Multiple rotation triggers"): "rotation_trigger",
}
"""What the lists of the practice system are about; those of features (`name, DOB, gender, etc.`) are not values."""


def _pms(text: str) -> Document:
    """Tables, and lists in brackets; it names no columns."""
    found = Document()
    for table, body in _sections(text, r"\d+\. `(\w+)` Table"):
        found.tables.add(table)
        for phrase, listed in re.findall(r"^- ([^(\n]+) \(([^)]+)\)", body, re.MULTILINE):
            if (table, phrase) in PMS_PHRASES:
                found.says(table, PMS_PHRASES[table, phrase], _listed(listed))
    return found


def _emr(text: str) -> Document:
    """`- `column` - description`; columns that belong together share a line."""
    found = Document()
    for title, body in _sections(text, r"\d+\. ([A-Z][\w ]+)"):
        table = title.lower().replace(" ", "_")
        if "**Key Fields:**" not in body:
            continue
        found.tables.add(table)
        fields = body.split("**Key Fields:**")[1].split("\n\n")[0]
        for line in fields.strip().splitlines():
            names, _, said = line.partition(" - ")
            columns = re.findall(r"`(\w+\*?)`", names)
            found.columns |= {(table, each) for each in columns}
            if len(columns) == 1:
                found.says(table, columns[0], _listed(said))
    return found


IVR_HEADINGS: Mapping[str, tuple[str, str]] = {
    "Roles Supported": ("users", "role"),
    "Status Values": ("ivr_requests", "status"),
    "Priority Levels": ("ivr_requests", "priority"),
}


def _ivr(text: str) -> Document:
    """CREATE TABLE statements with values in comments and defaults, and lists below."""
    found = Document()
    for table, body in re.findall(r"^CREATE TABLE (\w+) \((.*?)^\);", text, re.MULTILINE | re.DOTALL):
        found.tables.add(table)
        for line in body.splitlines():
            column = re.match(r"\s+([a-z]\w*) [A-Z]", line)
            if column:
                found.columns.add((table, column[1]))
                found.says(table, column[1], re.findall(r"(?:--|DEFAULT|,) '([^']+)'", line))
    for heading, body in re.findall(r"^\*\*([\w ]+):\*\*\n((?:- .*\n)+)", text, re.MULTILINE):
        if heading in IVR_HEADINGS:
            found.says(*IVR_HEADINGS[heading], re.findall(r"^- `(\w+)`", body, re.MULTILINE))
    return found


def _hpms(text: str) -> Document:
    """Tables of Markdown; `Enum: …`, and words with what they mean in brackets."""
    found = Document()
    for table, body in _sections(text, r"`(\w+)`"):
        found.tables.add(table)
        for column, _, said in re.findall(r"^\| \*\*(\w+)\*\*[^|]*\|([^|]*)\|([^|]*)\|", body, re.MULTILINE):
            found.columns.add((table, column))
            found.says(table, column, _listed(re.sub(r"\([^)]*\)", "", said.replace("Enum:", "")).strip()))
        for listed in re.findall(r"^Static table defining permissions: (.*)\.$", body, re.MULTILINE):
            found.says(table, "Name", _listed(listed))
    return found


MK_HEADINGS: Mapping[str, str] = {
    "Status Values": "status",
    "Severity Values": "severity",
    "Priority Values": "priority",
    "Insurance Type Values": "insurance_type",
    "Relationship Values": "relationship",
    "Condition Type Values": "condition_type",
    "Entity Types": "entity_type",
    "Sync Status Values": "sync_status",
    "Invitation Types": "invitation_type",
    "Permission Levels": "permission_level",
}
MK_KINDS = frozenset({"file_type", "test_code", "contact_info", "coverage_details", "report_settings"})
"""Columns whose description lists what kind of thing they hold, not values."""
MK_LOG = {"user_id": "user_id", "action type": "action", "entity type": "entity_type", "entity ID": "entity_id"}
"""What is said of the activity log, which is described and not listed."""


def _mk(text: str) -> Document:
    """Tables of Markdown; values as lists below, in the description, or as the default."""
    found, enums = Document(), dict(re.findall(r"^\*\*(\w+)\*\*:\n((?:- .*\n)+)", text, re.MULTILINE))
    for table, body in _sections(text, r"([a-z]\w+)"):
        if "**Purpose**" not in body:
            continue
        found.tables.add(table)
        for column, constraints, said in re.findall(
            r"^\| (\w+) \| [^|]+ \|([^|]*)\|([^|]*)\|$", body.replace("\\|", ""), re.MULTILINE
        ):
            if column != "Column":
                found.columns.add((table, column))
                found.says(table, column, re.findall(r"DEFAULT '([^']+)'", constraints))
                found.says(table, column, [] if column in MK_KINDS else _described(said, enums))
        for heading, listed in re.findall(r"^\*\*([\w ]+)\*\*(?: \(\w+ enum\))?:\n((?:- .*\n)+)", body, re.MULTILINE):
            if heading in MK_HEADINGS:
                found.says(table, MK_HEADINGS[heading], _bullets(listed))
    log = text.split("### activity_log")[1].split("\n## ")[0]
    found.columns |= {("activity_log", column) for phrase, column in MK_LOG.items() if phrase in log}
    return found


def _described(said: str, enums: Mapping[str, str]) -> list[str]:
    """`User role (admin, user)`, `Auth method: local, sso`, nothing but the list, or `SeverityLevel enum value`."""
    named = re.search(r"(\w+) enum value", said)
    if named:
        return list(_bullets(enums[named[1]]))
    inside = re.search(r"\(([^)]*)\)", said)
    return _listed(inside[1] if inside else said.rpartition(":")[2])


def _bullets(listed: str) -> Iterator[str]:
    for line in listed.splitlines():
        for each in line.removeprefix("- ").partition(":")[0].split(","):
            if not each.strip().startswith("("):
                yield each.strip()


PARSERS: Mapping[str, Callable[[str], Document]] = {"pms": _pms, "emr": _emr, "ivr": _ivr, "hpms": _hpms, "mk": _mk}
