"""The Grafana dashboard, written as rows of panels; `scripts.export_docs` keeps the JSON true to it."""

import json
from typing import Any, Final

HALF, THIRD = 12, 8
"""Widths, of 24."""
HEIGHT: Final = 8
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
PICK: Final = 'instance=~"$instance"'

Query = tuple[str, str]
"""An expression, in which `$` stands for the chosen instances, and the legend."""
Panel = tuple[str, str, list[Query]]
"""Title, unit, queries."""


def quantile(share: float, metric: str, by: str = "le") -> str:
    """The time that this share of the calls does not exceed."""
    return f"histogram_quantile({share}, sum by ({by}) (rate({metric}_bucket{{$}}[$__rate_interval])))"


def rate(metric: str, by: str, more: str = "") -> str:
    """Of a counter, for each second."""
    return f"sum by ({by}) (rate({metric}{{$@}}[$__rate_interval]))".replace("@", f",{more}" if more else "")


def latest(metric: str, by: str, how: str = "sum") -> str:
    """Of a gauge."""
    return f"{how} by ({by}) ({metric}{{$}})"


REQUESTS, DURATION = "agentgateway_requests_total", "agentgateway_request_duration_seconds"
COMMIT, LAG = "agentgateway_store_commit_duration_seconds", "agentgateway_event_loop_lag_seconds"
BAD: Final = 'outcome!="ok"'

ROWS: Final[list[tuple[str, int, list[Panel]]]] = [
    ("Calls", HALF, [
        ("Calls", "reqps", [(rate(REQUESTS, "protocol, method"), "{{protocol}} {{method}}")]),
        ("Not ok", "reqps", [
            (rate(REQUESTS, "protocol, code, outcome", BAD), "{{protocol}} {{code}} {{outcome}}"),
        ]),
        ("Time, p50 and p99", "s", [
            (quantile(0.5, DURATION, "le, protocol"), "p50 {{protocol}}"),
            (quantile(0.99, DURATION, "le, protocol"), "p99 {{protocol}}"),
        ]),
        ("In flight", "short", [
            (latest("agentgateway_requests_in_flight", "protocol"), "{{protocol}}"),
            (latest("agentgateway_stream_readers", "protocol"), "streams {{protocol}}"),
        ]),
    ]),
    ("Tasks", THIRD, [
        ("Tasks", "ops", [
            (rate("agentgateway_tasks_submitted_total", "job"), "submitted"),
            (rate("agentgateway_tasks_total", "state"), "{{state}}"),
        ]),
        ("Running and waiting", "short", [
            (latest("agentgateway_active_tasks", "instance"), "running {{instance}}"),
            (latest("agentgateway_queue_depth", "job", "max"), "waiting"),
        ]),
        ("Waiting", "s", [
            (latest("agentgateway_queue_oldest_age_seconds", "job", "max"), "oldest"),
            (quantile(0.99, "agentgateway_task_queue_wait_seconds"), "p99 of claimed"),
        ]),
        ("Time of tasks", "s", [
            (quantile(0.5, "agentgateway_task_duration_seconds"), "p50"),
            (quantile(0.99, "agentgateway_task_duration_seconds"), "p99"),
        ]),
        ("Failures", "ops", [(rate("agentgateway_task_failures_total", "reason"), "{{reason}}")]),
        ("Steps", "ops", [(rate("agentgateway_steps_total", "action, outcome"), "{{action}} {{outcome}}")]),
    ]),
    ("Models, tools, sandboxes", THIRD, [
        ("Model calls", "ops", [
            (rate("agentgateway_model_calls_total", "provider, model, outcome"), "{{model}} {{outcome}}"),
            (rate("agentgateway_model_retries_total", "reason"), "retry {{reason}}"),
        ]),
        ("Tokens", "short", [(rate("agentgateway_model_tokens_total", "model, type"), "{{model}} {{type}}")]),
        ("US dollars an hour", "currencyUSD", [
            ("3600 * " + rate("agentgateway_model_cost_usd_total", "model"), "{{model}}"),
        ]),
        ("Model time, p99", "s", [
            (quantile(0.99, "agentgateway_model_call_duration_seconds", "le, model"), "{{model}}"),
        ]),
        ("Tool calls", "ops", [
            (rate("agentgateway_tool_calls_total", "tool, outcome"), "{{tool}} {{outcome}}"),
        ]),
        ("Sandbox actions", "ops", [
            (rate("agentgateway_sandbox_actions_total", "action, outcome"), "{{action}} {{outcome}}"),
        ]),
    ]),
    ("Limits and circuits", THIRD, [
        ("Let in and refused", "reqps", [
            (rate("agentgateway_limiter_allowed_total", "class"), "in {{class}}"),
            (rate("agentgateway_limiter_refused_total", "scope, class"), "refused {{scope}} {{class}}"),
        ]),
        ("Places held", "short", [(latest("agentgateway_leases", "policy"), "{{policy}}")]),
        ("Circuits not closed", "short", [
            (latest("agentgateway_breaker_circuits", "kind, label, state"), "{{kind}} {{label}} {{state}}"),
        ]),
    ]),
    ("Store and streams", THIRD, [
        ("Commits", "s", [(quantile(0.5, COMMIT), "p50"), (quantile(0.99, COMMIT), "p99")]),
        ("Commands in a commit", "short", [(quantile(0.5, "agentgateway_store_commit_commands"), "p50")]),
        ("Events and lag", "short", [
            (rate("agentgateway_events_appended_total", "job"), "committed each second"),
            (latest("agentgateway_stream_lag_events_max", "instance", "max"), "lag {{instance}}"),
        ]),
    ]),
    ("Process", THIRD, [
        ("Ready", "short", [
            (latest("agentgateway_ready", "instance", "min"), "{{instance}}"),
            (latest("agentgateway_dependency_up", "dependency", "min"), "{{dependency}}"),
        ]),
        ("Event loop", "s", [(quantile(0.99, LAG, "le, instance"), "lag p99 {{instance}}")]),
        ("Asyncio tasks", "short", [(latest("agentgateway_event_loop_tasks", "instance"), "{{instance}}")]),
        ("Memory", "bytes", [(latest("process_resident_memory_bytes", "instance"), "{{instance}}")]),
        ("CPU", "percentunit", [(rate("process_cpu_seconds_total", "instance"), "{{instance}}")]),
        ("Open files", "short", [(latest("process_open_fds", "instance"), "{{instance}}")]),
    ]),
]  # fmt: skip


def dashboard() -> str:
    """The JSON to import."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, width, row in ROWS:
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "panels": [],
             "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}}
        )  # fmt: skip
        y += 1
        for number, panel in enumerate(row):
            place = number * width
            panels.append(
                _panel(len(panels) + 1, panel, x=place % 24, y=y + place // 24 * HEIGHT, width=width)
            )
        y += -(-len(row) * width // 24) * HEIGHT
    board = {
        "title": "agent-gateway",
        "uid": "agent-gateway",
        "tags": ["agent-gateway"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"},
                {
                    "name": "instance",
                    "label": "Instance",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": "label_values(agentgateway_build_info, instance)",
                    "refresh": 2,
                    "multi": True,
                    "includeAll": True,
                    "allValue": ".*",
                },
            ]
        },
        "panels": panels,
    }
    return json.dumps(board, indent=2) + "\n"


def _panel(number: int, panel: Panel, *, x: int, y: int, width: int) -> dict[str, Any]:
    title, unit, queries = panel
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": width, "h": HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": SOURCE,
                "expr": expression.replace("{$", "{" + PICK),
                "legendFormat": legend,
                "exemplar": DURATION in expression,
            }
            for index, (expression, legend) in enumerate(queries)
        ],
    }
