"""The pure translations of the native API."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, cast, get_args

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from app.domain import events as domain_events
from app.domain.artifacts import ArtifactRef
from app.domain.configuration import TaskConfiguration, TaskLimits
from app.domain.errors import InvalidRequestError, NotFoundError
from app.domain.events import JournaledEvent, TaskEvent
from app.domain.identity import TenantId
from app.domain.ids import AgentId, Digest, SandboxId, TaskId
from app.domain.sandboxes import Availability, SandboxState
from app.domain.secrets import MASK, Secret
from app.domain.tasks import InputRequest, Statistics, TaskResult, TaskState
from app.domain.tools import Danger
from grpc_service.gen.agentgateway.v1 import (
    configuration_pb2,
    event_pb2,
    sandbox_service_pb2,
    task_pb2,
    task_service_pb2,
    tool_service_pb2,
)
from grpc_service.native.mapping import sandboxes, tasks, tools, values
from grpc_service.native.mapping.configuration import configuration_from_proto, configuration_to_proto
from grpc_service.native.mapping.events import event_to_entry, event_to_proto

AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
DONE = Statistics(steps=1, turns=2, cost_usd=None)
ARTIFACT = ArtifactRef(digest=Digest("sha256:00"), name="a.png", media_type="image/png", size_bytes=3)
SAMPLES: list[TaskEvent] = [
    domain_events.TaskSubmitted(instruction="go", agent=AgentId("default"), session_id=None),
    domain_events.TaskQueued(cause="submitted"),
    domain_events.TaskStarted(epoch=1),
    domain_events.TurnStarted(turn=1, model="m"),
    domain_events.TextProduced(turn=1, text="héllo \ud800"),
    domain_events.ModelRetried(turn=1, attempt=1, reason="MODEL_UNAVAILABLE", delay_s=0.5),
    domain_events.ModelResponded(turn=1, text="t", tool_calls=1, input_tokens=1, output_tokens=2),
    domain_events.ToolCalled(turn=1, call_id="c", tool="t", arguments_json="{}"),
    domain_events.ToolReturned(turn=1, call_id="c", tool="t", outcome="ok", output="\ud800", duration_s=0.1),
    domain_events.SandboxOpened(sandbox_id=SandboxId("sandbox_1"), kind="local"),
    domain_events.StepFinished(
        step=1, call_id="c", action="click", outcome="ok", duration_s=1, verified=False, screenshot=ARTIFACT
    ),
    domain_events.ArtifactCreated(artifact=ARTIFACT),
    domain_events.ProgressReported(message="half", fraction=0.5),
    domain_events.InputRequested(request=InputRequest(id="i", kind="approval", prompt="may I?", tool="t")),
    domain_events.InputProvided(request_id="i", approved=False, by="desk"),
    domain_events.PauseRequested(),
    domain_events.TaskPaused(),
    domain_events.TaskResumed(),
    domain_events.TaskSucceeded(result=TaskResult(output="o", data={"a": 1}), statistics=DONE),
    domain_events.TaskFailed(reason="STEP_LIMIT", message="no more", statistics=DONE),
    domain_events.TaskCancelled(cause="enough", by="desk", statistics=DONE),
    domain_events.TaskExpired(waited_in="queued", statistics=DONE),
]


def journaled(event: TaskEvent, seq: int = 7) -> JournaledEvent:
    return JournaledEvent(
        task_id=TaskId("task_1"), tenant=TenantId("t"), seq=seq, position=9, at=AT, event=event
    )


def test_the_samples_are_all_there_is() -> None:
    assert {type(sample) for sample in SAMPLES} == set(get_args(TaskEvent))


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: event.type)
def test_an_event_is_sent_under_its_own_name(event: TaskEvent) -> None:
    message = event_to_proto(journaled(event))

    assert (message.task_id, message.seq, message.position) == ("task_1", 7, 9)
    assert message.time.ToDatetime(tzinfo=UTC) == AT
    assert message.WhichOneof("event") == event.type.replace(".", "_")


def test_every_event_of_the_contract_is_sent_by_some_event() -> None:
    oneof = event_pb2.Event.DESCRIPTOR.oneofs_by_name["event"]

    assert {field.name for field in oneof.fields} == {sample.type.replace(".", "_") for sample in SAMPLES}


def test_false_and_unknown_differ() -> None:
    no = event_to_proto(journaled(domain_events.InputProvided(request_id="i", approved=False))).input_provided
    words = event_to_proto(journaled(domain_events.InputProvided(request_id="i", text=""))).input_provided

    assert (no.HasField("approved"), no.HasField("text")) == (True, False)
    assert (words.HasField("approved"), words.HasField("text")) == (False, True)


@given(st.lists(st.tuples(st.sampled_from(SAMPLES), st.integers(1, 2**62)), max_size=8))
def test_entries_put_together_are_a_message(events: list[tuple[TaskEvent, int]]) -> None:
    raw = b"".join(event_to_entry(journaled(event, seq)) for event, seq in events)

    for message in (
        task_service_pb2.WatchTaskResponse,
        task_service_pb2.WatchTasksResponse,
        task_service_pb2.RunTaskResponse,
    ):
        assert list(message.FromString(raw).events) == [
            event_to_proto(journaled(event, seq)) for event, seq in events
        ]


def test_an_entry_longer_than_one_length_byte_is_whole() -> None:
    event = journaled(domain_events.TextProduced(turn=1, text="x" * 70_000))

    parsed = task_service_pb2.WatchTaskResponse.FromString(event_to_entry(event))

    assert parsed.events[0].text_produced.text == "x" * 70_000


def test_every_enum_of_the_domain_has_a_number_and_every_number_a_member() -> None:
    tables = [
        (tasks.STATES, TaskState, task_pb2.TaskState),
        (sandboxes.STATES, SandboxState, sandbox_service_pb2.SandboxState),
        (sandboxes.AVAILABILITIES, Availability, sandbox_service_pb2.Availability),
        (tools.DANGERS, Danger, tool_service_pb2.Danger),
    ]

    for table, members, numbers in tables:
        assert set(table) == set(members)
        assert {0, *table.values()} == set(numbers.values())
        assert all(numbers.Name(number).endswith(f"_{member.name}") for member, number in table.items())


WORDS = st.text('ab é€😀"\\[]{}\n\0', max_size=12)
optional_text = st.none() | WORDS
limits = st.builds(
    TaskLimits,
    max_steps=st.none() | st.integers(-(2**31), 2**31 - 1),
    wall_time_s=st.none() | st.floats(allow_nan=False),
    max_tokens=st.none() | st.integers(-(2**63), 2**63 - 1),
    max_cost_usd=st.none() | st.floats(allow_nan=False),
)
configurations = st.builds(
    TaskConfiguration,
    model=optional_text,
    model_base_url=optional_text,
    temperature=st.none() | st.floats(allow_nan=False),
    max_output_tokens=st.none() | st.integers(-(2**31), 2**31 - 1),
    sandbox_kind=optional_text,
    tools=st.none() | st.lists(WORDS, max_size=3).map(tuple),
    limits=limits,
)


@given(configurations)
def test_a_configuration_survives_the_wire(configuration: TaskConfiguration) -> None:
    raw = configuration_to_proto(configuration).SerializeToString()

    assert configuration_from_proto(configuration_pb2.TaskConfiguration.FromString(raw)) == configuration


def test_a_key_goes_in_and_never_comes_out() -> None:
    inside = configuration_from_proto(configuration_pb2.TaskConfiguration(model_api_key="sk-1"))

    assert inside.model_api_key == Secret("sk-1")
    assert configuration_to_proto(inside).model_api_key == MASK
    assert not configuration_to_proto(TaskConfiguration()).HasField("model_api_key")


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_survives_the_wire(at: datetime) -> None:
    message = values.timestamp_to_proto(at)

    assert message is not None
    assert values.timestamp_from_proto("at", message) == at


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_any_timestamp_is_a_time_or_refused(seconds: int, nanos: int) -> None:
    try:
        at = values.timestamp_from_proto("at", Timestamp(seconds=seconds, nanos=nanos))
    except InvalidRequestError:
        return
    assert 1 <= at.year <= 9999


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_any_duration_is_one_or_refused(seconds: int, nanos: int) -> None:
    try:
        duration = values.duration_from_proto("wait", Duration(seconds=seconds, nanos=nanos))
    except InvalidRequestError:
        return
    assert abs(duration - timedelta(seconds=seconds)) < timedelta(seconds=1)


@given(st.integers(0, 10**17))
def test_an_etag_is_its_version(version: int) -> None:
    assert values.etag_from_proto(values.etag_to_proto(version)) == version


@pytest.mark.parametrize("etag", ["x", "-1", "1.0", '"1"', "١", "1" * 19, " 1"])
def test_a_foreign_etag_is_refused(etag: str) -> None:
    with pytest.raises(InvalidRequestError):
        values.etag_from_proto(etag)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(WORDS, json_values))
def test_a_json_object_survives_the_wire(value: dict[str, object]) -> None:
    assert values.json_object_from_proto("a", values.json_to_proto(value)) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "INVALID_JSON"),
        ("1", "INVALID_JSON"),
        ("{", "INVALID_JSON"),
        ('{"a": NaN}', "INVALID_JSON"),
        ('{"a": "\\ud800"}', "INVALID_JSON"),
        ('{"a":' * 65 + "1" + "}" * 65, "TOO_DEEP"),
        ('{"a":' + "[" * 900 + "]" * 900 + "}", "TOO_DEEP"),
        ('{"a":' + "[" * 400_000 + "]" * 400_000 + "}", "INVALID_JSON"),
        ('{"' + '\\"' * 100_000, "INVALID_JSON"),
        ('{"a": "' + "x" * 1024 * 1024 + '"}', "TOO_LONG"),
    ],
)
def test_json_that_is_no_decent_object_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        values.json_object_from_proto("arguments_json", text)

    assert refused.value.violations[0].reason == reason
    assert refused.value.violations[0].field == "arguments_json"


def test_brackets_in_strings_do_not_nest() -> None:
    text = json.dumps({"a": "[{" * 500 + '"'})

    assert values.json_object_from_proto("a", text) == {"a": "[{" * 500 + '"'}


def test_64_levels_are_allowed() -> None:
    assert values.json_object_from_proto("a", '{"a":' * 64 + "1" + "}" * 64)


def test_odd_values_of_tools_become_json() -> None:
    odd = {"big": 2**70, "lone": "\ud800", "at": AT, 3: [(1, 2)]}

    assert json.loads(values.json_to_proto(odd))["big"] == 2**70


def test_an_unknown_enum_number_is_named() -> None:
    with pytest.raises(InvalidRequestError, match="on_disconnect"):
        tasks.new_task_from_proto(task_service_pb2.TaskInput(on_disconnect=cast("Any", 99)))
    with pytest.raises(InvalidRequestError, match=r"states\.1"):
        tasks.task_filter_from_proto(task_service_pb2.ListTasksRequest(states=cast("Any", [1, 99])))


@pytest.mark.parametrize("value", ["x" * 129, "a\0b", "a\nb"])
def test_what_cannot_be_an_id_is_not_looked_for(value: str) -> None:
    with pytest.raises(NotFoundError):
        values.id_from_proto("task", "task_id", value)
