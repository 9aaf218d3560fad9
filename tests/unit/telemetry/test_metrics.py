"""What happened is rendered under the names that dashboards rely on, with label values that have an end."""

from datetime import UTC, datetime

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from app.domain.breaker import CircuitState
from app.domain.events import JournaledEvent, StepFinished, TaskEvent, TaskFailed, TaskSucceeded
from app.domain.identity import DEFAULT_TENANT
from app.domain.ids import TaskId
from app.domain.tasks import Statistics, TaskResult
from app.telemetry.metrics import Metrics

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def journaled(*events: TaskEvent) -> list[JournaledEvent]:
    return [
        JournaledEvent(
            task_id=TaskId("task_1"),
            tenant=DEFAULT_TENANT,
            seq=seq,
            position=seq,
            at=datetime.now(UTC),
            event=event,
        )
        for seq, event in enumerate(events, 1)
    ]


def step(action: str) -> StepFinished:
    return StepFinished(step=1, call_id="c", action=action, outcome="ok", duration_s=0.1)


def lines(metrics: Metrics) -> set[str]:
    return set(metrics.render().decode().splitlines())


def test_calls_are_counted_by_code_and_outcome_and_timed_by_method() -> None:
    metrics = Metrics()

    series = metrics.calls.series("grpc", "agentgateway.v1.TaskService/GetTask")
    series.over("OK", "ok", 0.004)
    series.over("NOT_FOUND", "NOT_FOUND", 0.004)

    method = 'method="agentgateway.v1.TaskService/GetTask"'
    assert {
        f'agentgateway_requests_total{{code="OK",{method},outcome="ok",protocol="grpc"}} 1.0',
        f'agentgateway_requests_total{{code="NOT_FOUND",{method},outcome="NOT_FOUND",protocol="grpc"}} 1.0',
        f'agentgateway_request_duration_seconds_bucket{{le="0.005",{method},protocol="grpc"}} 2.0',
        'agentgateway_requests_in_flight{protocol="grpc"} 0.0',
    } <= lines(metrics)


def test_a_sampled_call_is_the_exemplar_of_its_bucket_for_who_reads_openmetrics() -> None:
    metrics = Metrics()
    metrics.calls.series("rest", "GET /v1/server").over("200", "ok", 0.004, TRACE_ID)

    text, content_type = metrics.exposition("application/openmetrics-text;version=1.0.0,text/plain;q=0.1")
    plain, plain_type = metrics.exposition("")

    exemplars = [
        sample.exemplar.labels
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.exemplar is not None
    ]
    assert exemplars == [{"trace_id": TRACE_ID}]
    assert content_type.startswith("application/openmetrics-text")
    assert plain_type.startswith("text/plain")
    assert TRACE_ID.encode() not in plain


def test_tasks_and_their_steps_are_told_from_what_was_committed() -> None:
    metrics = Metrics()
    statistics = Statistics(steps=2, running_s=1.0)

    metrics.tasks.committed(
        journaled(
            step("read_file"),
            step("made up by a model"),
            TaskSucceeded(result=TaskResult(output=""), statistics=statistics),
            TaskFailed(reason="STEP_LIMIT", message="", statistics=statistics),
        )
    )

    assert {
        "agentgateway_events_appended_total 4.0",
        'agentgateway_steps_total{action="read_file",outcome="ok"} 1.0',
        'agentgateway_steps_total{action="other",outcome="ok"} 1.0',
        'agentgateway_tasks_total{state="succeeded"} 1.0',
        'agentgateway_task_duration_seconds_sum{state="failed"} 1.0',
        'agentgateway_task_failures_total{reason="STEP_LIMIT"} 1.0',
        'agentgateway_task_steps_bucket{le="5.0"} 2.0',
    } <= lines(metrics)


def test_models_that_callers_name_do_not_grow_the_metrics_without_end() -> None:
    metrics = Metrics()

    for number in range(1_000):
        metrics.work.model_called(
            "openai",
            f"model-{number}",
            outcome="ok",
            duration_s=1.0,
            input_tokens=3,
            output_tokens=2,
            cost_usd=0.5 if number else None,
        )

    text = metrics.render().decode()
    assert 'agentgateway_model_tokens_total{model="other",provider="openai",type="input"} 2808.0' in text
    assert 'agentgateway_model_cost_usd_total{model="model-1",provider="openai"} 0.5' in text
    assert 'agentgateway_model_calls_unpriced_total{model="model-0",provider="openai"} 1.0' in text
    assert text.count("agentgateway_model_calls_total{") == 65


def test_a_circuit_is_in_one_state_at_a_time() -> None:
    metrics = Metrics()

    metrics.breakers.changed("model", "openai", CircuitState.CLOSED, CircuitState.OPEN)
    metrics.breakers.changed("model", "openai", CircuitState.OPEN, CircuitState.HALF_OPEN)

    assert {
        'agentgateway_breaker_circuits{kind="model",label="openai",state="open"} 0.0',
        'agentgateway_breaker_circuits{kind="model",label="openai",state="half_open"} 1.0',
        'agentgateway_breaker_transitions_total{kind="model",label="openai",to="half_open"} 1.0',
    } <= lines(metrics)


def test_a_refusal_tells_whose_limit_and_of_what() -> None:
    metrics = Metrics()

    metrics.limits.refused("principal-submit")
    metrics.limits.refused("tenant-open-streams")

    assert {
        'agentgateway_limiter_refused_total{class="submit",scope="principal"} 1.0',
        'agentgateway_limiter_refused_total{class="open-streams",scope="tenant"} 1.0',
    } <= lines(metrics)


def test_two_gateways_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()

    one.tasks.ended.labels("failed").inc()

    assert b'state="failed"' not in other.render()
