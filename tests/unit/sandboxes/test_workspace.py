"""Files of the local sandbox: links, quotas, atomic writes, trees that are hard to remove."""

import os
from pathlib import Path

import pytest

from app.domain.errors import DomainError, SandboxLimitError, SandboxViolationError, TargetNotFoundError
from app.domain.sandboxes import Action
from app.sandboxes.base import OpenSandbox
from app.sandboxes.local.files import Workspace, remove_tree

SECRET = b"canary-7f3a9c"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    made = Workspace(tmp_path / "box", max_bytes=1_000, max_files=5)
    made.make()
    return made


@pytest.mark.parametrize("target", ["../../secret.txt", "{tmp}/secret.txt", "inside.txt"])
def test_a_link_is_never_followed_wherever_it_leads(
    workspace: Workspace, tmp_path: Path, target: str
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_bytes(SECRET)
    (workspace.files / "link").symlink_to(target.format(tmp=tmp_path))

    for attempt in (
        lambda: workspace.read("link", offset=0, max_bytes=100),
        lambda: workspace.write("link", b"x"),
        lambda: workspace.write("link", b"x", append=True),
        lambda: workspace.checked("link"),
    ):
        with pytest.raises(SandboxViolationError):
            attempt()
    assert workspace.snapshot().files == []
    workspace.delete("link")
    assert secret.read_bytes() == SECRET
    assert list(workspace.files.iterdir()) == []


def test_a_linked_folder_is_never_entered(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_bytes(SECRET)
    (workspace.files / "folder").symlink_to(tmp_path)

    for attempt in (
        lambda: workspace.read("folder/secret.txt", offset=0, max_bytes=100),
        lambda: workspace.write("folder/new.txt", b"x"),
        lambda: workspace.delete("folder/secret.txt"),
        lambda: workspace.snapshot("folder"),
    ):
        with pytest.raises(SandboxViolationError):
            attempt()
    assert (tmp_path / "secret.txt").read_bytes() == SECRET
    assert not (tmp_path / "new.txt").exists()


def test_a_pipe_or_a_socket_in_a_files_place_is_refused_at_once(workspace: Workspace) -> None:
    os.mkfifo(workspace.files / "pipe")

    with pytest.raises(SandboxViolationError):
        workspace.read("pipe", offset=0, max_bytes=1)


def test_the_quota_holds_for_bytes_and_for_names(workspace: Workspace) -> None:
    workspace.write("a", b"x" * 900)
    with pytest.raises(SandboxLimitError):
        workspace.write("b", b"x" * 101)
    workspace.write("a", b"x" * 1_000)  # in place of the 900
    with pytest.raises(SandboxLimitError):
        workspace.write("a", b"x", append=True)
    workspace.write("a", b"")
    for name in "bcde":
        workspace.write(name, b"x")
    with pytest.raises(SandboxLimitError):
        workspace.write("f", b"x")

    assert workspace.snapshot().size_bytes == 4


def test_a_refused_write_changes_nothing(workspace: Workspace) -> None:
    workspace.write("a", b"before")

    with pytest.raises(SandboxLimitError):
        workspace.write("a", b"x" * 2_000)

    assert workspace.read("a", offset=0, max_bytes=100).data == b"before"
    assert list((workspace.files.parent / "staging").iterdir()) == []


def test_a_folder_is_no_file_and_a_full_one_is_not_deleted(workspace: Workspace) -> None:
    workspace.write("folder/a", b"x")

    for attempt in (
        lambda: workspace.read("folder", offset=0, max_bytes=1),
        lambda: workspace.write("folder", b"x"),
        lambda: workspace.delete("folder"),
    ):
        with pytest.raises(TargetNotFoundError):
            attempt()
    with pytest.raises(SandboxViolationError):
        workspace.read("folder/a/b", offset=0, max_bytes=1)


def test_a_tree_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    """Programs choose the depth: neither recursion nor the length of a path may stop the removal."""
    yard = tmp_path / "yard"
    yard.mkdir()
    where = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3_000):
        os.mkdir("deep", dir_fd=where)
        inner = os.open("deep", os.O_RDONLY, dir_fd=where)
        os.close(where)
        where = inner
    os.close(where)

    remove_tree(tmp_path / "deep", yard)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["yard"]
    assert list(yard.iterdir()) == []


def query(sql: str, *parameters: object, path: str = "a.db") -> Action:
    arguments: dict[str, object] = {"path": path, "sql": sql, "parameters": list(parameters)}
    return Action(type="query_database", arguments=arguments)


async def test_a_database_is_made_filled_and_asked(sandbox: OpenSandbox) -> None:
    await sandbox.act(query("CREATE TABLE t (a INTEGER, b TEXT)"), timeout_s=10)
    added = await sandbox.act(query("INSERT INTO t VALUES (?, ?), (2, NULL)", 1, "x"), timeout_s=10)

    asked = await sandbox.act(query("SELECT a, b FROM t ORDER BY a"), timeout_s=10)

    assert (added.status, added.output) == ("ok", "done, 2 rows changed")
    assert asked.data is not None
    assert asked.data["rows"] == [[1, "x"], [2, None]]
    assert asked.output == "a | b\n1 | x\n2 | NULL"


async def test_full_text_search_works(sandbox: OpenSandbox) -> None:
    await sandbox.act(query("CREATE VIRTUAL TABLE notes USING fts5(body)"), timeout_s=10)
    await sandbox.act(query("INSERT INTO notes VALUES ('the quick fox'), ('a slow dog')"), timeout_s=10)

    found = await sandbox.act(query("SELECT body FROM notes WHERE notes MATCH 'fox'"), timeout_s=10)

    assert found.output == "body\nthe quick fox"


async def test_wrong_sql_is_a_failed_step(sandbox: OpenSandbox) -> None:
    asked = await sandbox.act(query("SELEC 1"), timeout_s=10)

    assert (asked.status, asked.error_reason) == ("failed", "CODE_FAILED")
    assert "syntax error" in asked.output


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("ATTACH DATABASE '/etc/passwd' AS p", "SANDBOX_VIOLATION"),
        ("VACUUM INTO '/tmp/stolen.db'", "SANDBOX_VIOLATION"),
        ("SELECT load_extension('/tmp/x.so')", "SANDBOX_VIOLATION"),
        ("PRAGMA writable_schema = ON", "SANDBOX_VIOLATION"),
        ("PRAGMA max_page_count = 100000000", "SANDBOX_VIOLATION"),
        ("PRAGMA temp_store_directory = '/etc'", "SANDBOX_VIOLATION"),
        ("SELECT zeroblob(2000000000)", "SANDBOX_LIMIT"),
        ("CREATE TABLE fill AS SELECT zeroblob(10000000) AS z", "SANDBOX_LIMIT"),
        (
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
            "SELECT x, zeroblob(10000) FROM c ORDER BY 1 DESC",
            "SANDBOX_LIMIT",
        ),
        (
            "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT count(*) FROM c",
            "STEP_TIMEOUT",
        ),
        ("SELECT 1; SELECT 2", "CODE_FAILED"),
    ],
)
async def test_a_hostile_statement_is_held(sandbox: OpenSandbox, sql: str, reason: str) -> None:
    try:
        found = (await sandbox.act(query(sql), timeout_s=3)).error_reason
    except DomainError as error:
        found = error.reason

    assert found == reason
    assert (await sandbox.act(query("SELECT 6 * 7", path="b.db"), timeout_s=10)).output == "6 * 7\n42"


@pytest.mark.parametrize("name", ["a.db", "a.db-journal", "a.db-wal"])
async def test_a_database_behind_a_link_is_refused(
    sandbox: OpenSandbox, files: Path, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside.db"
    (files / name).symlink_to(outside)

    with pytest.raises(SandboxViolationError):
        await sandbox.act(query("CREATE TABLE t (a)"), timeout_s=10)

    assert not outside.exists()


async def test_rows_and_bytes_of_an_answer_are_bounded(sandbox: OpenSandbox) -> None:
    many = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"
    wide = many.replace("SELECT x FROM c", "SELECT hex(zeroblob(300000)) FROM c LIMIT 1000")

    by_rows = await sandbox.act(query(many), timeout_s=10)
    by_bytes = await sandbox.act(query(wide), timeout_s=10)

    assert by_rows.data is not None
    assert by_bytes.data is not None
    assert (len(by_rows.data["rows"]), by_rows.data["truncated"]) == (1_000, True)  # type: ignore[arg-type]
    assert (len(by_bytes.data["rows"]), by_bytes.data["truncated"]) == (1, True)  # type: ignore[arg-type]
