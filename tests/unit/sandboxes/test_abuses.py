"""26 ways to get out of the code sandbox or to wear it down; each must be held.

Held means: the canaries (a TCP server, an abstract unix socket, a file, an environment variable)
stay untouched, the step ends in time with a stated reason, and the same sandbox works afterwards.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import pytest

from app.domain.errors import DomainError
from app.domain.sandboxes import Action
from app.sandboxes.base import OpenSandbox

SECRET = "canary-7f3a9c"
TIME_LIMIT_S = 1.0
QUOTA = 200_000


@dataclass
class Canaries:
    """What no program may reach; `touched` says what it did reach."""

    port: int
    abstract: str
    file: Path
    touched: list[str] = field(default_factory=list)


@pytest.fixture
async def canaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Canaries]:
    file = tmp_path / "secret.txt"
    file.write_text(SECRET)
    monkeypatch.setenv("CANARY", SECRET)
    listening = socket.socket(socket.AF_UNIX)
    name = f"agent-gateway-canary-{os.getpid()}"
    listening.bind(f"\0{name}")
    found = Canaries(port=0, abstract=name, file=file)

    def touch(what: str):
        async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            del reader
            found.touched.append(what)
            writer.close()

        return met

    tcp = await asyncio.start_server(touch("tcp"), "127.0.0.1", 0)
    unix = await asyncio.start_unix_server(touch("unix"), sock=listening)
    found.port = tcp.sockets[0].getsockname()[1]
    async with tcp, unix:
        yield found


ABUSES: dict[str, tuple[str, set[str]]] = {
    # the sixteen of the matrix
    "fork bomb": ("import os\nwhile True: os.fork()", {"CODE_FAILED"}),
    "memory bomb": ("x = []\nwhile True: x.append('y' * 1_000_000)", {"SANDBOX_LIMIT"}),
    "infinite loop": ("while True: pass", {"STEP_TIMEOUT"}),
    "read a host secret": ("open({file!r}).read()", {"SANDBOX_VIOLATION"}),
    "read /etc/passwd": ("open('/etc/passwd').read()", {"SANDBOX_VIOLATION"}),
    "TCP to loopback": (
        "import socket\nsocket.create_connection(('127.0.0.1', {port})).recv(1)",
        {"CODE_FAILED"},
    ),
    "abstract unix socket": (
        "import socket\nsocket.socket(socket.AF_UNIX).connect('\\0' + {abstract!r})",
        {"CODE_FAILED"},
    ),
    "environment": ("import os\nos.environ['CANARY']", {"SANDBOX_VIOLATION", "CODE_FAILED"}),
    "symlink to a secret": ("open('link.txt').read()", {"SANDBOX_VIOLATION"}),
    "1 GB of output": (
        "line = 'x' * 1_000_000\nfor i in range(1000): print(line)",
        {"SANDBOX_LIMIT"},
    ),
    "signal the parent": ("import os\nos.kill(os.getppid(), 9)", {"CODE_FAILED"}),
    "/proc of the host": ("open('/proc/self/environ').read()", {"SANDBOX_VIOLATION"}),
    "disk fill": (
        "for i in range(1000):\n    open(f'fill{{i}}', 'w').write('x' * 50_000)",
        {"SANDBOX_LIMIT"},
    ),
    "a shell": ("import os\nos.system('id')", {"CODE_FAILED"}),
    "ptrace by ctypes": ("import ctypes\nctypes.CDLL(None).ptrace(0, 0, 0, 0)", {"CODE_FAILED"}),
    "a daemon left behind": (
        "import subprocess\nsubprocess.Popen(['sleep', '600'], start_new_session=True)",
        {"CODE_FAILED"},
    ),
    # ten more
    "deep recursion": ("def f(n): return f(n + 1)\nf(0)", {"SANDBOX_LIMIT"}),
    "a million brackets": ("eval('(' * 1_000_000)", {"CODE_FAILED", "SANDBOX_LIMIT"}),
    "a power beyond memory": ("10 ** 10 ** 8", {"SANDBOX_LIMIT", "STEP_TIMEOUT"}),
    "a string beyond memory": ("'x' * 10 ** 10", {"SANDBOX_LIMIT"}),
    "sorting fifty million": ("sorted(range(50_000_000))", {"SANDBOX_LIMIT", "STEP_TIMEOUT"}),
    "catastrophic regex": (
        "import re\nfor i in range(10**9): re.match('(a+)+$', 'a' * 40 + 'b')",
        {"STEP_TIMEOUT", "SANDBOX_LIMIT", "CODE_FAILED"},
    ),
    "sleeping": ("import time\ntime.sleep(30)", {"STEP_TIMEOUT"}),
    "catching the timeout": (
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        {"STEP_TIMEOUT"},
    ),
    "walking the dunders": (
        "().__class__.__base__.__subclasses__()[0].__init__.__globals__['os'].system('id')",
        {"CODE_FAILED"},
    ),
    "500 MB in one print": ("print('x' * (500 * 1024 * 1024))", {"SANDBOX_LIMIT"}),
}


def test_the_list_is_complete() -> None:
    assert len(ABUSES) == 26


@pytest.mark.parametrize("abuse", list(ABUSES))
async def test_an_abuse_is_held(abuse: str, sandbox: OpenSandbox, canaries: Canaries, files: Path) -> None:
    template, reasons = ABUSES[abuse]
    program = template.format(port=canaries.port, abstract=canaries.abstract, file=str(canaries.file))
    (files / "link.txt").symlink_to(canaries.file)
    before = running()
    began = monotonic()

    reason, told = await attempt(sandbox, program)
    took = monotonic() - began

    assert reason in reasons, told
    assert took < TIME_LIMIT_S + 1.5
    assert SECRET not in told
    assert canaries.touched == []
    assert canaries.file.read_text() == SECRET
    assert sum(path.lstat().st_size for path in contents(files)) <= QUOTA + 4_096
    assert not [line for line in running() - before if "sleep 600" in line]
    assert await attempt(sandbox, "print(6 * 7)") == (None, "42")


def code(program: str) -> Action:
    return Action(type="run_code", arguments={"code": program})


async def attempt(sandbox: OpenSandbox, program: str) -> tuple[str | None, str]:
    """The reason it failed with, and all it said."""
    try:
        result = await sandbox.act(code(program), timeout_s=TIME_LIMIT_S)
    except DomainError as error:
        return error.reason, error.message
    return result.error_reason, f"{result.output}{result.data if result.error_reason else ''}"


def contents(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def running() -> set[str]:
    """The command lines of all processes of this machine."""
    return {facts.command for facts in processes()}


@dataclass(frozen=True)
class Process:
    """What /proc tells of one; `ticks` of a processor used (100 a second)."""

    pid: int
    parent: int
    ticks: int
    command: str


def processes() -> list[Process]:
    found: list[Process] = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue  # it ended meanwhile
            found.append(Process(int(folder.name), int(stat[1]), int(stat[11]), command))
    return found


async def test_names_and_folders_made_by_code_count_against_the_quota(
    sandbox: OpenSandbox, files: Path
) -> None:
    many = "import os\nfor i in range(300): os.mkdir(f'd{i}')"
    deep = "import os\nfor i in range(300):\n    os.mkdir('d')\n    os.chdir('d')"

    outcomes = [await attempt(sandbox, program) for program in (many, deep)]

    assert [reason for reason, _ in outcomes] == ["SANDBOX_LIMIT", "SANDBOX_LIMIT"]
    assert contents(files) == []
    assert await attempt(sandbox, "open('a', 'w').write('x')") == (None, "1")


async def test_a_worker_that_dies_is_replaced(sandbox: OpenSandbox) -> None:
    """Somebody kills it from outside: the step says so, the pool goes on."""
    async with asyncio.TaskGroup() as group:
        step = group.create_task(attempt(sandbox, "while True: pass"))
        while not (workers := busy_workers()) and not step.done():
            await asyncio.sleep(0.01)
        for worker in workers:
            os.kill(worker, 9)
    reason, _ = step.result()

    assert reason == "SANDBOX_CRASHED"
    assert await attempt(sandbox, "1 + 1") == (None, "2")


async def test_a_cancelled_program_has_no_process_a_second_later(sandbox: OpenSandbox) -> None:
    async with asyncio.TaskGroup() as group:
        step = group.create_task(sandbox.act(code("while True: pass"), timeout_s=60))
        while not (workers := busy_workers()):
            await asyncio.sleep(0.01)
        step.cancel()
    async with asyncio.timeout(1.0):
        while {process.pid for process in processes()} & set(workers):
            await asyncio.sleep(0.01)

    assert step.cancelled()


def busy_workers() -> list[int]:
    """Code workers of this process that have used at least 50 ms of a processor."""
    return [
        process.pid
        for process in processes()
        if process.parent == os.getpid() and "monty" in process.command and process.ticks >= 5
    ]
