"""The metrics render under the names that dashboards rely on, one registry for each gateway."""

from app.telemetry.metrics import Metrics


def test_what_happened_is_rendered() -> None:
    metrics = Metrics()

    metrics.answered("grpc", "agentgateway.v1.TaskService/GetTask", "ok", 0.004)
    metrics.task_ended("succeeded", 1.0)
    metrics.active_tasks.set(3)
    metrics.queue_depth.set(2)
    metrics.events_appended.inc(5)
    metrics.stream_readers.labels("sse").inc()

    lines = metrics.render().decode().splitlines()
    method = 'method="agentgateway.v1.TaskService/GetTask"'
    for line in (
        f'agentgateway_requests_total{{{method},outcome="ok",protocol="grpc"}} 1.0',
        f'agentgateway_request_duration_seconds_bucket{{le="0.005",{method},protocol="grpc"}} 1.0',
        'agentgateway_tasks_total{state="succeeded"} 1.0',
        "agentgateway_active_tasks 3.0",
        "agentgateway_queue_depth 2.0",
        "agentgateway_events_appended_total 5.0",
        'agentgateway_stream_readers{protocol="sse"} 1.0',
    ):
        assert line in lines


def test_two_gateways_in_one_process_count_apart() -> None:
    one, other = Metrics(), Metrics()

    one.task_ended("failed", 1.0)

    assert b'state="failed"' not in other.render()
