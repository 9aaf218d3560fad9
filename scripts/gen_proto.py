"""Generates grpc_service/gen from proto/, or with --check says what a fresh run would change.

Run it by `make gen`: it needs exactly grpcio-tools 1.71.2, whose code loads on protobuf 5.29, 6 and 7,
in an environment of its own (that package would otherwise pin our protobuf).

`proto/agentgateway` is ours and becomes `grpc_service.gen.agentgateway`. Every other folder of proto/ is the
contract of a dialect: a root of its own, so its files keep the names its own clients know, and it becomes
`grpc_service.gen.<folder>`.
"""

import argparse
import filecmp
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

HOUSE = Path(__file__).resolve().parent.parent
PROTO = HOUSE / "proto"
GEN = HOUSE / "grpc_service" / "gen"
OURS = "agentgateway"
GEN_DOCSTRING = '"""Generated from proto/ by scripts/gen_proto.py: never edited, for adapters only."""\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One protoc run: files compiled against one root into one Python package."""

    root: Path
    files: tuple[str, ...]
    """Paths as other proto files and clients name them: relative to `root`, with `/`."""
    package: str
    """The Python package that stands for `root`."""

    def out(self, gen: Path) -> Path:
        """Where this tree's code lands when `grpc_service.gen` is the folder `gen`."""
        return gen.joinpath(*self.package.split(".")[2:])


def trees_of(proto: Path) -> list[Tree]:
    """Our own tree and one for each dialect found under `proto`."""
    trees: list[Tree] = []
    for folder in sorted(path for path in proto.iterdir() if path.is_dir()):
        root = proto if folder.name == OURS else folder
        files = tuple(sorted(path.relative_to(root).as_posix() for path in folder.rglob("*.proto")))
        package = "grpc_service.gen" if folder.name == OURS else f"grpc_service.gen.{folder.name}"
        if files:
            trees.append(Tree(root=root, files=files, package=package))
    return trees


def module_of(file: str) -> str:
    """The dotted module protoc writes for `file`: `a/b/x.proto` becomes `a.b.x_pb2`."""
    return file.removesuffix(".proto").replace("-", "_").replace("/", ".") + "_pb2"


def rewrite_imports(text: str, files: Iterable[str], package: str) -> str:
    """Point imports of the modules made from `files` into `package`; all others stay as they are.

    protoc writes imports as if its output folder were on sys.path, in three forms: `from a.b import x_pb2`,
    `from a.b.x_pb2 import Name` (public imports) and, for a file at the root, `import x_pb2 as y`.
    """
    for module in sorted({module_of(file) for file in files}):
        parent, _, name = module.rpartition(".")
        inside = f"{package}.{parent}" if parent else package
        if parent:
            text = re.sub(
                rf"^from {re.escape(parent)} import {re.escape(name)}\b",
                f"from {inside} import {name}",
                text,
                flags=re.MULTILINE,
            )
        else:
            text = re.sub(
                rf"^import {re.escape(name)}\b", f"from {inside} import {name}", text, flags=re.MULTILINE
            )
        text = re.sub(
            rf"^from {re.escape(module)} import ", f"from {inside}.{name} import ", text, flags=re.MULTILINE
        )
    return text


def python_names(files: Iterable["FileDescriptorProto"]) -> dict[str, tuple[str, str]]:
    """Full protobuf name of each message -> (module, name within the module)."""
    names: dict[str, tuple[str, str]] = {}

    def add(module: str, prefix: str, scope: str, messages: Iterable[object]) -> None:
        for message in messages:
            name = f"{scope}{message.name}"  # type: ignore[attr-defined]
            names[f".{prefix}{name}"] = (module, name)
            add(module, prefix, f"{name}.", message.nested_type)  # type: ignore[attr-defined]

    for file in files:
        add(module_of(file.name), f"{file.package}." if file.package else "", "", file.message_type)
    return names


def grpc_stub(file: "FileDescriptorProto", names: Mapping[str, tuple[str, str]]) -> str:
    """The .pyi of a `_pb2_grpc` module as we use it: grpc.aio on both sides.

    protoc writes none, and mypy-protobuf's types allow sync and async at once, so that a stub's call must be
    cast before it can be awaited.
    """
    imports: set[str] = set()
    body: list[str] = []

    def typed(full_name: str) -> str:
        module, name = names[full_name]
        parent, _, tail = module.rpartition(".")
        imports.add(f"from {parent} import {tail}" if parent else f"import {tail}")
        return f"{tail}.{name}"

    for service in file.service:
        stub, servicer = [f"class {service.name}Stub:"], [f"class {service.name}Servicer:"]
        stub.append("    def __init__(self, channel: grpc.aio.Channel) -> None: ...")
        for method in service.method:
            asked, answered = typed(method.input_type), typed(method.output_type)
            shape = ("Stream" if method.client_streaming else "Unary") + (
                "Stream" if method.server_streaming else "Unary"
            )
            stub.append(f"    {method.name}: grpc.aio.{shape}MultiCallable[{asked}, {answered}]")
            request = (
                f"request_iterator: AsyncIterator[{asked}]"
                if method.client_streaming
                else f"request: {asked}"
            )
            result = f"AsyncIterator[{answered}]" if method.server_streaming else answered
            word = "def" if method.server_streaming else "async def"
            context = f"context: grpc.aio.ServicerContext[{asked}, {answered}]"
            servicer.append(f"    {word} {method.name}(self, {request}, {context}) -> {result}: ...")
        if not service.method:
            servicer.append("    ...")
        add = f"def add_{service.name}Servicer_to_server"
        body += [*stub, "", *servicer, ""]
        body += [f"{add}(servicer: {service.name}Servicer, server: grpc.aio.Server) -> None: ...", ""]
    head = ["# Generated by scripts/gen_proto.py. DO NOT EDIT!"]
    if body:
        head += ["from collections.abc import AsyncIterator", "", "import grpc.aio", "", *sorted(imports), ""]
    return "\n".join([*head, *body])


def generate(proto: Path, gen: Path) -> None:
    """Write all generated code into the empty folder `gen`.

    Raises:
        CalledProcessError: protoc refused the sources; it has said why on stderr.
    """
    (gen / "__init__.py").write_text(GEN_DOCSTRING)
    for tree in trees_of(proto):
        _generate_tree(tree, tree.out(gen))
    for folder in (path for path in gen.rglob("*") if path.is_dir()):
        (folder / "__init__.py").touch()


def _generate_tree(tree: Tree, out: Path) -> None:
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        described, fresh = Path(scratch, "all.binpb"), Path(scratch, "out")
        fresh.mkdir()
        command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={tree.root}"]
        command += [f"--{kind}_out={fresh}" for kind in ("python", "pyi", "grpc_python")]
        command += [f"--descriptor_set_out={described}", "--include_imports", *tree.files]
        subprocess.run(command, check=True)
        _write_grpc_stubs(tree, _read_descriptors(described), fresh)
        for file in (path for path in fresh.rglob("*") if path.is_file()):
            file.write_text(rewrite_imports(file.read_text(), tree.files, tree.package))
        shutil.copytree(fresh, out, dirs_exist_ok=True)


def _read_descriptors(path: Path) -> "FileDescriptorSet":
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    return FileDescriptorSet.FromString(path.read_bytes())


def _write_grpc_stubs(tree: Tree, described: "FileDescriptorSet", out: Path) -> None:
    names = python_names(described.file)
    for file in described.file:
        if file.name not in tree.files:
            continue
        stem = out.joinpath(*module_of(file.name).split("."))
        if file.service:
            stem.with_name(f"{stem.name}_grpc.pyi").write_text(grpc_stub(file, names))
        else:  # protoc writes an empty module for a file without services
            stem.with_name(f"{stem.name}_grpc.py").unlink()


def differences(fresh: Path, committed: Path) -> list[str]:
    """Files that are missing, left over or different in `committed`, one line each."""

    def files(root: Path) -> set[str]:
        return {
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }

    new, old = files(fresh), files(committed)
    lines = [f"missing: {name}" for name in sorted(new - old)]
    lines += [f"left over: {name}" for name in sorted(old - new)]
    changed = (name for name in sorted(new & old) if not filecmp.cmp(fresh / name, committed / name, False))
    return lines + [f"different: {name}" for name in changed]


def main() -> int:
    """Generate, or compare with a fresh generation; 1 when the comparison finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="change nothing; fail when gen/ is not up to date"
    )
    check: bool = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch)
        generate(PROTO, fresh)
        if check:
            lines = differences(fresh, GEN)
            for line in lines:
                print(f"grpc_service/gen: {line}", file=sys.stderr)
            if lines:
                print("run `make gen` and commit the result", file=sys.stderr)
            return 1 if lines else 0
        if GEN.exists():
            shutil.rmtree(GEN)
        shutil.copytree(fresh, GEN)
    return 0


if __name__ == "__main__":
    sys.exit(main())
