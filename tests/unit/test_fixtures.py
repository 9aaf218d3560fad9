"""What the shared fixtures promise: a database of one's own, and no skip in silence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

CONFTEST = Path(__file__).resolve().parent.parent / "conftest.py"
SKIPPING = """
import pytest

def test_needs_a_moon():
    pytest.skip("no moon here")

@pytest.mark.optional("moons are rare")
def test_would_like_a_moon():
    pytest.skip("no moon here")

@pytest.mark.xfail(reason="known")
def test_known():
    assert False
"""


def run_pytest(folder: Path, source: str, *, ci: str) -> str:
    shutil.copy(CONFTEST, folder / "conftest.py")
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = optional(reason): x\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder)],
        env={**os.environ, "CI": ci},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return done.stdout


def test_a_skip_is_said_aloud(tmp_path: Path) -> None:
    told = run_pytest(tmp_path, SKIPPING, ci="")

    assert "NOT TESTED HERE: 2 x no moon here" in told
    assert "2 skipped, 1 xfailed" in told


def test_in_ci_a_skip_is_a_failure_unless_it_is_optional(tmp_path: Path) -> None:
    told = run_pytest(tmp_path, SKIPPING, ci="true")

    assert "skipped although CI=true: no moon here" in told
    assert "1 failed, 1 skipped, 1 xfailed" in told


def test_in_ci_a_module_may_not_skip_itself(tmp_path: Path) -> None:
    source = "import pytest\npytest.importorskip('no_such_module')\n"

    assert "1 error" in run_pytest(tmp_path, source, ci="true")
    assert "1 skipped" in run_pytest(tmp_path, source, ci="")


@pytest.mark.postgres
async def test_a_database_of_its_own_is_empty(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    try:
        tables = await connection.fetch("select from pg_tables where schemaname = 'public'")
        await connection.execute("create table left_behind ()")
    finally:
        await connection.close()

    assert tables == []


@pytest.mark.postgres
def test_a_test_that_is_not_async_gets_one_too(postgres_url: str) -> None:
    assert postgres_url.startswith("postgresql://")
