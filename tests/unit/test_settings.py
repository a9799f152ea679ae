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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEED_DATABASE_URL", "secretly"),
        ("HEED_DATABASE_URL", "mysql://u:secretly@db/heed"),
        ("HEED_DATABASE_URL", "postgresql://u:secretly@db:port/heed"),
        ("HEED_REDIS_URL", "secretly"),
        ("HEED_REDIS_URL", "http://:secretly@redis:6379/0"),
        ("HEED_REDIS_URL", "redis://:secretly/more@redis:6379/0"),
        ("HEED_BACKUP_EVERY_HOURS", "1e300"),
        ("HEED_BACKUP_EVERY_HOURS", "nan"),
    ],
)
def test_what_makes_no_sense_is_named_and_not_shown(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        load()
    said = capsys.readouterr().err
    assert said.startswith(f"{name}: ")
    assert "secretly" not in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEED_DATABASE_URL", "postgresql://postgres:@/heed?host=/run/postgres"),
        ("HEED_DATABASE_URL", "postgresql://u:a?b#c@db:5432/heed"),
        ("HEED_DATABASE_URL", "postgresql://[::1]:5432/heed?application_name=a@b"),
        ("HEED_REDIS_URL", "rediss://u:a%2Fb@redis/1"),
        ("HEED_REDIS_URL", "unix:///run/redis.sock"),
    ],
)
def test_addresses_of_every_kind(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    assert load().need(name.removeprefix("HEED_").lower()) == value
