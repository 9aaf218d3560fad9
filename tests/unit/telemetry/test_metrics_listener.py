"""Metrics on a port of their own."""

import urllib.request

from app.telemetry.metrics import Metrics


def test_the_metrics_are_served_while_the_block_lasts() -> None:
    metrics = Metrics()
    metrics.tasks.events.inc(3)

    with (
        metrics.listening("127.0.0.1", 0) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        text = answer.read().decode()

    assert "agentgateway_events_appended_total 3.0" in text
