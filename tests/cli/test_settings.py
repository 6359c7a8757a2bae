"""Settings from the environment and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from fhir_server.settings import Settings, is_loopback


@pytest.mark.parametrize(
    ("given", "public", "issuer"),
    [
        ({}, "http://127.0.0.1:8080", ""),
        ({"port": 9000}, "http://127.0.0.1:9000", ""),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:8080", ""),
        ({"host": "::1"}, "http://[::1]:8080", ""),
        ({"base_url": "https://fhir.example/"}, "https://fhir.example", "https://fhir.example"),
    ],
)
def test_where_clients_find_the_server(given: dict[str, object], public: str, issuer: str) -> None:
    chosen = Settings(**given)  # type: ignore[arg-type]
    assert (chosen.public_url, chosen.issuer_url) == (public, issuer)


def test_the_environment_is_read_once_and_nothing_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_PORT", "9001")
    monkeypatch.setenv("FHIR_CORS_ORIGINS", '["https://a.example"]')
    chosen = Settings()
    assert chosen.port == 9001
    assert chosen.cors_origins == {"https://a.example"}
    with pytest.raises(ValidationError):
        chosen.port = 1  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Settings(prot=1)  # type: ignore[call-arg]


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


@pytest.mark.parametrize(
    ("host", "local"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("example", False)]
)
def test_loopback_is_told_apart(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_what_is_guarded_and_kept_is_recorded() -> None:
    assert Settings().audited
    assert not any(Settings(**{name: value}).audited for name, value in OFF.items())  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="without audit nobody learns who saw what"):
        Settings(audit=False, host="0.0.0.0")


OFF = {"audit": False, "no_auth": True, "memory": True}


def test_a_mongodb_of_our_own_has_an_anchor_beside_its_data(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).anchor == tmp_path / "audit-anchor.jsonl"
    assert Settings(data_dir=tmp_path, audit_anchor=tmp_path / "a").anchor == tmp_path / "a"
    assert Settings(memory=True).anchor is None
    assert Settings(mongo_url="mongodb://db").anchor is None
