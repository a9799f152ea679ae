"""Where settings come from: the environment first, then files of the same names."""

from pathlib import Path

import pytest

from heed.settings import load


def test_a_secret_may_be_a_file_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "HEED_API_KEY").write_text("from-the-file\n")
    (tmp_path / "HEED_ADMIN_PASSWORD").write_text("from-the-file")
    monkeypatch.setenv("HEED_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("HEED_API_KEY", "")  # Compose hands on a variable that nobody set as an empty one
    monkeypatch.setenv("HEED_ADMIN_PASSWORD", "from-the-environment")
    settings = load()
    assert settings.need("api_key") == "from-the-file"
    assert settings.need("admin_password") == "from-the-environment"


def test_a_folder_that_is_not_there_is_no_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEED_SECRETS_DIR", str(tmp_path / "none"))
    assert load().api_key is None


def test_a_file_that_makes_no_sense_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "HEED_SECRET_KEY").write_text("short")
    monkeypatch.setenv("HEED_SECRETS_DIR", str(tmp_path))
    with pytest.raises(SystemExit):
        load()
    assert "HEED_SECRET_KEY" in capsys.readouterr().err
