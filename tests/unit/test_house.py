"""The rules of the house that no linter knows."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from app.settings import Settings
from app.settings.sections import Section
from scripts import export_docs

HOUSE = Path(__file__).resolve().parent.parent.parent
OURS = ("app", "grpc_service", "rest_api", "scripts", "tests")
GENERATED = HOUSE / "grpc_service" / "gen"
MAX_LINES = 400
SAYS_NOTHING = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "manager",
    "managers",
    "shared",
    "stuff",
}
READS_SETTINGS = ("app/__main__", "app/settings", "app/bootstrap", "app/cli")
"""Modules, or packages of that name."""


def python_files(*roots: str) -> Iterator[Path]:
    for root in roots:
        for path in sorted((HOUSE / root).rglob("*.py")):
            if not path.is_relative_to(GENERATED):
                yield path


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything `path` imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def may_read_settings(path: Path) -> bool:
    module = f"{told(path).removesuffix('.py')}/"
    return any(module.startswith(f"{door}/") for door in READS_SETTINGS)


def told(path: Path, line: int | None = None) -> str:
    place = path.relative_to(HOUSE).as_posix()
    return place if line is None else f"{place}:{line}"


def test_no_source_file_is_too_long_to_read_in_one_go() -> None:
    sources = [*python_files(*OURS), *(HOUSE / "proto").rglob("*.proto")]
    sources += [path for kind in ("*.js", "*.css", "*.html") for path in (HOUSE / "rest_api").rglob(kind)]

    lengths = {told(path): len(path.read_text().splitlines()) for path in sources}

    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_module_name_says_what_lives_there() -> None:
    names = (
        (path, path.parent.name if path.stem == "__init__" else path.stem) for path in python_files(*OURS)
    )

    assert [told(path) for path, name in names if set(name.lower().split("_")) & SAYS_NOTHING] == []


def test_every_module_says_in_one_sentence_what_lives_there() -> None:
    silent = [
        told(path)
        for path in python_files("app", "grpc_service", "rest_api", "scripts")
        if (source := path.read_text()).strip() and ast.get_docstring(ast.parse(source)) is None
    ]

    assert silent == []


def test_proto_is_no_python_package() -> None:
    """The name would shadow the module `proto` of proto-plus."""
    assert list((HOUSE / "proto").rglob("*.py")) == []


def test_the_domain_needs_the_standard_library_only() -> None:
    foreign = [
        f"{told(path, line)} imports {name}"
        for path in python_files("app/domain")
        for line, name in imports_of(path)
        if name.split(".")[0] not in sys.stdlib_module_names and not name.startswith("app.domain")
    ]

    assert foreign == []


def test_settings_are_read_where_the_process_is_put_together_and_nowhere_else() -> None:
    readers = [
        told(path, line)
        for path in python_files("app", "grpc_service", "rest_api")
        for line, name in imports_of(path)
        if f"{name}.".startswith("app.settings.") and not may_read_settings(path)
    ]

    assert readers == []


def test_the_environment_is_read_by_the_settings_only() -> None:
    """A setting read where it is needed cannot be validated, documented or shown by `config show`."""
    readers = [
        told(path, node.lineno)
        for path in python_files("app", "grpc_service", "rest_api")
        if not may_read_settings(path)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "getenv"}
        and ast.unparse(node.value) == "os"
    ]

    assert readers == []


def test_no_span_is_current_around_a_yield() -> None:
    """Whoever resumes or closes a generator does so in another context: the detach fails, the trace tears."""
    users = [
        told(path, node.lineno)
        for path in python_files("app", "grpc_service", "rest_api")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in {"start_as_current_span", "use_span"}
    ]

    assert users == []


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"])
def test_the_papers_are_there(name: str) -> None:
    assert (HOUSE / name).stat().st_size > 0


def test_every_direct_dependency_is_explained() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())
    groups = [
        project["project"]["dependencies"],
        project["dependency-groups"]["dev"],
        *project["project"]["optional-dependencies"].values(),
    ]
    names = {re.split(r"[\[<>=;\s]", dependency, maxsplit=1)[0] for group in groups for dependency in group}

    rows = [
        line.split("|")[1]
        for line in (HOUSE / "docs/dependencies.md").read_text().splitlines()
        if "|" in line
    ]
    explained = {name.strip() for row in rows for name in row.split(",")}

    assert names - {"agent-gateway"} - explained == set()


def test_every_decision_is_in_the_index() -> None:
    folder = HOUSE / "docs" / "adr"
    index = (folder / "README.md").read_text()

    assert [path.name for path in sorted(folder.glob("0*.md")) if f"({path.name})" not in index] == []


def sections_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[Section]]]:
    for name, field in model.model_fields.items():
        if isinstance(section := field.annotation, type) and issubclass(section, Section):
            yield prefix + name, section
            yield from sections_of(section, f"{prefix}{name}.")


SECTIONS = dict(sections_of(Settings))


def test_every_setting_is_read() -> None:
    """One that nobody reads looks like a promise and does nothing."""
    read = {
        node.attr
        for path in [*python_files("app/bootstrap"), *python_files("app/cli")]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
    }

    unread = {name: section.model_fields.keys() - read for name, section in SECTIONS.items()}

    assert {name: keys for name, keys in unread.items() if keys} == {}


def test_every_setting_says_what_it_does() -> None:
    silent = [
        f"{name}.{key}"
        for name, section in SECTIONS.items()
        for key, field in section.model_fields.items()
        if not field.description and f"{name}.{key}" not in SECTIONS
    ]

    assert silent == []


def test_the_docs_repeat_what_the_code_says() -> None:
    stale = [
        told(path)
        for path, text in export_docs.documents().items()
        if not path.is_file() or path.read_text() != text
    ]

    assert stale == [], "run `make docs`"


PAPERS = [*sorted(HOUSE.glob("*.md")), *sorted((HOUSE / "docs").rglob("*.md"))]
TEMPLATE = HOUSE / "docs" / "adr" / "0000-template.md"


@pytest.mark.parametrize("paper", [path for path in PAPERS if path != TEMPLATE], ids=told)
def test_what_a_paper_names_is_there(paper: Path) -> None:
    """Links, and paths in code marks: a reader who follows one must arrive."""
    text = paper.read_text()
    linked = re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
    named = re.findall(r"`((?:app|docs|grpc_service|openapi|proto|rest_api|scripts|tests)/[\w./-]+)`", text)

    missing = [link for link in linked if not (paper.parent / link).exists()]
    missing += [path for path in named if not (HOUSE / path).exists()]

    assert missing == []
