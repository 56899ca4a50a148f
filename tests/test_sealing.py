"""Secrets that have to be read again: with this installation's key alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harborsite import sealing
from projects import params
from projects.models import Setting


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    class Settings:
        secretkey_path = tmp_path

    monkeypatch.setattr(sealing, "current", Settings)
    (tmp_path / sealing.KEY_FILE).write_text("0123456789abcdef")  # as short as Harbor's
    sealing._box.cache_clear()
    yield tmp_path / sealing.KEY_FILE
    sealing._box.cache_clear()


def test_a_secret_comes_back_and_is_not_in_what_is_stored(key: Path) -> None:
    sealed = sealing.seal("Geheim-密码")
    assert "Geheim" not in sealed
    assert sealing.unseal(sealed) == "Geheim-密码"
    assert sealing.seal("") == sealing.unseal("") == ""


def test_another_key_opens_nothing(key: Path) -> None:
    sealed = sealing.seal("Geheim")
    key.write_text("another key")
    sealing._box.cache_clear()
    assert sealing.unseal(sealed) == ""


def test_settings_that_are_secrets_are_sealed_in_their_row(db: None) -> None:
    params.update({"ldap_search_password": "Geheim"})
    params.forget()
    assert params.get(params.LDAP_SEARCH_PASSWORD) == "Geheim"
    assert "Geheim" not in Setting.objects.get(key="ldap_search_password").value
