"""The generator of grpc_service/gen: the trees it finds, the imports it rewrites, the types it writes."""

from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from scripts.gen_proto import differences, grpc_stub, python_names, rewrite_imports, trees_of

OURS = ["agentgateway/v1/task.proto", "agentgateway/v1/task_service.proto"]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (
            "from agentgateway.v1 import task_pb2 as agentgateway_dot_v1_dot_task__pb2",
            "from house.gen.agentgateway.v1 import task_pb2 as agentgateway_dot_v1_dot_task__pb2",
        ),
        (
            "from agentgateway.v1.task_pb2 import *",
            "from house.gen.agentgateway.v1.task_pb2 import *",
        ),
        (
            "from google.protobuf import timestamp_pb2 as _timestamp_pb2",
            "from google.protobuf import timestamp_pb2 as _timestamp_pb2",
        ),
        (
            "from agentgateway.v1 import task_pb2_grpc",
            "from agentgateway.v1 import task_pb2_grpc",
        ),
        ("    from agentgateway.v1 import task_pb2", "    from agentgateway.v1 import task_pb2"),
    ],
)
def test_only_imports_of_the_trees_own_modules_move_into_the_package(written: str, wanted: str) -> None:
    assert rewrite_imports(written, OURS, "house.gen") == wanted


def test_a_file_at_the_root_of_its_tree_moves_too() -> None:
    text = (
        "import agent_worker_pb2 as agent__worker__pb2\nimport grpc\nfrom agent_worker_pb2 import Message\n"
    )

    moved = rewrite_imports(text, ["agent-worker.proto"], "house.gen.autogen")

    assert moved == (
        "from house.gen.autogen import agent_worker_pb2 as agent__worker__pb2\n"
        "import grpc\n"
        "from house.gen.autogen.agent_worker_pb2 import Message\n"
    )


def test_our_own_files_share_the_root_and_each_dialect_has_its_own(tmp_path: Path) -> None:
    for file in ("agentgateway/v1/task.proto", "lybic/agent.proto", "empty/readme.txt"):
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()

    ours, lybic = trees_of(tmp_path)

    assert (ours.root, ours.files, ours.package) == (
        tmp_path,
        ("agentgateway/v1/task.proto",),
        "grpc_service.gen",
    )
    assert (lybic.root, lybic.files, lybic.package) == (
        tmp_path / "lybic",
        ("agent.proto",),
        "grpc_service.gen.lybic",
    )


def test_the_types_of_a_service_are_those_of_grpc_aio() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="a/v1/door.proto", package="a.v1")
    file.message_type.add(name="Ask").nested_type.add(name="In")
    file.message_type.add(name="Tell")
    service = file.service.add(name="Door")
    service.method.add(name="Get", input_type=".a.v1.Ask.In", output_type=".a.v1.Tell")
    service.method.add(name="Watch", input_type=".a.v1.Ask", output_type=".a.v1.Tell", server_streaming=True)

    stub = grpc_stub(file, python_names([file]))

    assert "from a.v1 import door_pb2\n" in stub
    assert "Get: grpc.aio.UnaryUnaryMultiCallable[door_pb2.Ask.In, door_pb2.Tell]" in stub
    assert "Watch: grpc.aio.UnaryStreamMultiCallable[door_pb2.Ask, door_pb2.Tell]" in stub
    assert "async def Get(self, request: door_pb2.Ask.In, " in stub
    assert " def Watch(self, request: door_pb2.Ask, " in stub
    assert ") -> AsyncIterator[door_pb2.Tell]: ..." in stub


def test_what_is_missing_left_over_or_changed_is_a_difference(tmp_path: Path) -> None:
    fresh, committed = tmp_path / "fresh", tmp_path / "committed"
    for folder, files in (
        (fresh, {"a": "1", "b": "1", "d": "1"}),
        (committed, {"a": "1", "b": "2", "c": "1"}),
    ):
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)

    assert differences(fresh, committed) == ["missing: d", "left over: c", "different: b"]
