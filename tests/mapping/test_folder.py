"""Folders of files as sources: how files are written, and what is told of those that cannot be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fhir_server.mapping.catalogue import Catalogue
from fhir_server.mapping.database import SourceError
from fhir_server.mapping.records import dialect, tables
from fhir_server.mapping.source import Source

ODD = {
    "a column twice": ("id,id\n1,2\n", "line 1: the column 'id' is there twice"),
    "no header": ("", "line 1: there is no header"),
    "a value too many": ("id,name\n1,a\n2,b,c\n", "line 3: 3 values for 2 columns"),
    "a quote that does not end": ('id,name\n1,"a\n', "line 2: unexpected end of data"),
    "another encoding": ("id,name\n1,M\xfcller\n", "is not in utf-8"),
}


@pytest.mark.parametrize("case", ODD)
def test_files_that_cannot_be_read_are_told_by_their_line(case: str, tmp_path: Path) -> None:
    written, message = ODD[case]
    (tmp_path / "things.csv").write_text(written, encoding="latin-1")
    file = tables(tmp_path, dialect(""))["things"]
    with pytest.raises(SourceError, match=re.escape(message)):
        list(file.records())


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("id,tenant_id\n1,a\n2,a\n1,b\n", "clients.csv, line 4: the key 1 was there before"),
        ("id,tenant_id\n1,a\n,a\n", "clients.csv, line 3: the key id is missing"),
    ],
)
def test_each_row_of_a_file_has_a_key_of_its_own(written: str, message: str, tmp_path: Path, pms: Catalogue) -> None:
    (tmp_path / "clients.csv").write_text(written)
    source = Source(str(tmp_path))
    source.expect(pms.tables)
    found = [str(each) for each in source.problems(pms.tables["clients"])]
    assert any("clients of the source has no column 'last_name'" in each for each in found)
    with pytest.raises(SourceError, match=re.escape(message)):
        source.count(pms.tables["clients"], None)


@pytest.mark.parametrize(
    ("options", "encoding", "written"),
    [
        ("", "utf-8-sig", "id,name\n1,Müller\n2,\\N\n"),
        ("", "utf-16", "id\tname\n1\tMüller\n2\t\n"),
        ("delimiter=pipe&null=NULL&encoding=cp1252", "cp1252", 'id|name\n1|"Müller"\n2|NULL\n'),
        ("encoding=latin-1", "latin-1", "id;name\r\n1;Müller\r\n\r\n2;\r\n"),
    ],
)
def test_files_are_read_as_they_are_written(options: str, encoding: str, written: str, tmp_path: Path) -> None:
    (tmp_path / "things.csv").write_bytes(written.encode(encoding))
    file = tables(tmp_path, dialect(options))["things"]
    assert [record for _, record in file.records()] == [{"id": "1", "name": "Müller"}, {"id": "2", "name": None}]


def test_members_of_json_lines_keep_how_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "things.ndjson").write_text('{"n": 1.50, "o": {"b": 1.0, "a": null}, "t": "\\u00e9", "f": true}\n')
    ((line, record),) = tables(tmp_path, dialect(""))["things"].records()
    assert (line, record) == (1, {"n": "1.50", "o": '{"b": 1.0, "a": null}', "t": "é", "f": 1})
    (tmp_path / "things.ndjson").write_text('{"n": 1}\n[1]\n')
    with pytest.raises(SourceError, match=r"things.ndjson, line 2: it is no JSON object"):
        list(tables(tmp_path, dialect(""))["things"].records())


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("csv:///nowhere/at/all", "There is no folder /nowhere/at/all"),
        ("csv:///tmp?separator=;", "A folder has no option 'separator'"),
        ("csv:///tmp?delimiter=ab", "The delimiter 'ab' is not one character"),
        ("csv:///tmp?encoding=klingon", "There is no encoding 'klingon'"),
        ("sqlite:///nowhere.db", "There is no database nowhere.db"),
        ("mssql://sa@host/x", r"its driver is missing; install fhir-server\[sqlserver\]"),
    ],
)
def test_a_source_that_is_not_there_is_a_sentence(url: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        Source(url)
