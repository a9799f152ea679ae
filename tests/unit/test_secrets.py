"""The secrets of a system in containers."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from heed.errors import HeedError
from heed.secrets import _READERS, hand_out

ROOT = Path(__file__).parents[2]


def contents(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_made_once_and_kept(tmp_path: Path) -> None:
    hand_out(tmp_path)
    first = contents(tmp_path)
    hand_out(tmp_path)
    assert contents(tmp_path) == first


def test_two_at_once_make_the_same(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from heed.secrets import hand_out; "
        "print(flush=True); sys.stdin.read(); hand_out(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    pipe = subprocess.PIPE
    several = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)]
    for process in several:
        assert process.stdout is not None
        process.stdout.readline()  # it has started
    for process in several:
        assert process.stdin is not None
        process.stdin.close()
    for process in several:
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(30)) == ("", 0)
    first = contents(tmp_path)
    hand_out(tmp_path)
    assert contents(tmp_path) == first


def test_where_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HeedError, match="cannot be kept in"):
        hand_out(tmp_path / "file")


def test_each_service_gets_its_own_and_no_other(tmp_path: Path) -> None:
    hand_out(tmp_path)
    names = {path.name: {file.name for file in path.iterdir()} for path in tmp_path.iterdir()}
    assert names["feedback"] == {"HEED_SECRET_KEY", "HEED_API_KEY", "HEED_REDIS_URL", "HEED_DATABASE_URL"}
    assert names["sandbox"] == {"HEED_ZENDESK_WEBHOOK_SECRET"}
    for service in names.keys() - {"kept"}:
        for file in (tmp_path / service).iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o444
    assert stat.S_IMODE((tmp_path / "kept").stat().st_mode) == 0o700


def test_the_feedback_site_may_ask_postgres_and_does_not_wait_for_it() -> None:
    compose, stack = (yaml.safe_load((ROOT / name).read_text()) for name in ("docker-compose.yml", "docker-stack.yml"))
    for system in (compose, stack):
        assert set(system["services"]["feedback"]["networks"]) == {"outside", "queue", "database"}
    assert set(compose["services"]["feedback"]["depends_on"]) == {"redis"}
    assert set(stack["services"]["feedback"]["secrets"]) == set(_READERS["feedback"])


def test_what_belongs_together_agrees(tmp_path: Path) -> None:
    hand_out(tmp_path)
    password = (tmp_path / "postgres" / "POSTGRES_PASSWORD").read_text()
    assert f":{password}@postgres:" in (tmp_path / "worker" / "HEED_DATABASE_URL").read_text()
    assert (tmp_path / "redis" / "redis.conf").read_text().split()[1] in (
        tmp_path / "feedback" / "HEED_REDIS_URL"
    ).read_text()


def test_a_deleted_secret_is_renewed_and_the_others_stay(tmp_path: Path) -> None:
    hand_out(tmp_path)
    before = contents(tmp_path)
    (tmp_path / "kept" / "HEED_API_KEY").unlink()
    hand_out(tmp_path)
    after = contents(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {
        "kept/HEED_API_KEY",
        "feedback/HEED_API_KEY",
        "results/HEED_API_KEY",
    }
