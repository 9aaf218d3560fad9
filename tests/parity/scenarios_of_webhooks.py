"""Webhooks: made, listed, changed, tested, told of tasks. Nothing is sent here."""

from tests.parity.recorder import Recorder

URL = "http://127.0.0.1:9/hook"
OWN = "whsec_" + "QUJD" * 10


async def webhooks(api: Recorder) -> None:
    made = await api.call(
        "WebhookService/CreateWebhook", url=URL, description="Grüße", events=["task.failed", "task.succeeded"]
    )
    hook, secret = made["webhook"], made["secret"]
    assert secret.startswith("whsec_")
    assert (hook["secret"], hook["enabled"]) == ("********", True)
    assert hook["events"] == ["task.succeeded", "task.failed"]
    assert await api.call("WebhookService/GetWebhook", webhook_id=hook["id"]) == hook
    other = await api.call("WebhookService/CreateWebhook", url=URL, secret=OWN, enabled=False)
    assert (other["secret"], other["webhook"]["disabled_reason"]) == (OWN, "owner")
    page = await api.driver.call("WebhookService/ListWebhooks", page_size=1)
    assert page["webhooks"] == [other["webhook"]]
    page = await api.driver.call("WebhookService/ListWebhooks", page_size=1, cursor=page["next_cursor"])
    assert page["webhooks"] == [hook]
    api.used.add("WebhookService/ListWebhooks")
    changed = await api.call(
        "WebhookService/UpdateWebhook", webhook_id=hook["id"], url=URL + "s", secret="********"
    )
    assert (changed["url"], changed["events"], changed["description"]) == (URL + "s", [], "")
    assert "rotate_time" not in changed
    changed = await api.call("WebhookService/UpdateWebhook", webhook_id=hook["id"], url=URL, secret=OWN)
    assert "rotate_time" in changed
    rotated = await api.call("WebhookService/RotateWebhookSecret", webhook_id=hook["id"], overlap_s=3600)
    assert rotated["secret"] not in (secret, OWN)
    assert "previous_expire_time" in rotated["webhook"]
    for one in (hook, other["webhook"]):
        await api.call("WebhookService/DeleteWebhook", webhook_id=one["id"])
    await api.refused("WebhookService/GetWebhook", "NOT_FOUND", webhook_id=hook["id"])
    await api.refused("WebhookService/DeleteWebhook", "NOT_FOUND", webhook_id=hook["id"])
    assert secret not in repr(api.record[1:])


async def deliveries(api: Recorder) -> None:
    hook = (
        await api.call("WebhookService/CreateWebhook", url=URL, events=["task.queued", "task.succeeded"])
    )["webhook"]["id"]
    task = await api.call("TaskService/SubmitTask", task={"instruction": "x", "agent_id": "echo"}, wait="20s")
    ping = await api.call("WebhookService/TestWebhook", webhook_id=hook)
    assert (ping["type"], ping["state"], ping["attempts"]) == ("webhook.ping", "pending", 0)
    told = (await api.call("WebhookService/ListWebhookDeliveries", webhook_id=hook))["deliveries"]
    assert [one["type"] for one in told] == ["webhook.ping", "task.succeeded", "task.queued"]
    assert [(one.get("task_id"), one["seq"]) for one in told][1:] == [
        (task["id"], task["last_seq"]),
        (task["id"], 2),
    ]
    page = await api.call("WebhookService/ListWebhookDeliveries", webhook_id=hook, page_size=2)
    rest = await api.call(
        "WebhookService/ListWebhookDeliveries", webhook_id=hook, page_size=2, cursor=page["next_cursor"]
    )
    assert [*page["deliveries"], *rest["deliveries"]] == told
    redeliver = "WebhookService/RedeliverWebhook"
    await api.refused(redeliver, "ILLEGAL_STATE", webhook_id=hook, delivery_id=ping["id"])
    off = await api.call("WebhookService/UpdateWebhook", webhook_id=hook, url=URL, enabled=False)
    assert (off["enabled"], off["disabled_reason"]) == (False, "owner")
    dead = await api.call("WebhookService/ListWebhookDeliveries", webhook_id=hook, states=["dead"])
    assert len(dead["deliveries"]) == 3
    await api.refused(redeliver, "ILLEGAL_STATE", webhook_id=hook, delivery_id=ping["id"])
    await api.refused("WebhookService/TestWebhook", "ILLEGAL_STATE", webhook_id=hook)
    await api.call("TaskService/SubmitTask", task={"instruction": "x", "agent_id": "echo"}, wait="20s")
    await api.call("WebhookService/UpdateWebhook", webhook_id=hook, url=URL, enabled=True)
    again = await api.call(redeliver, webhook_id=hook, delivery_id=ping["id"])
    assert (again["id"], again["state"]) == (ping["id"], "pending")
    told = await api.call(
        "WebhookService/ListWebhookDeliveries", webhook_id=hook, states=["pending", "failed", "succeeded"]
    )
    assert [one["id"] for one in told["deliveries"]] == [ping["id"]]
    await api.call("WebhookService/DeleteWebhook", webhook_id=hook)


async def webhooks_that_are_wrong(api: Recorder) -> None:
    create = "WebhookService/CreateWebhook"
    for url in (
        "",
        "nonsense",
        "ftp://127.0.0.1/",
        "https://user:pass@127.0.0.1/",
        "https://10.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest",
        "http://93.184.216.34/",
        "https://" + "x" * 2_048,
    ):
        await api.refused(create, "INVALID_REQUEST", "url", url=url)
    await api.refused(create, "INVALID_REQUEST", "events.1", url=URL, events=["task.failed", "task.flew"])
    await api.refused(create, "INVALID_REQUEST", "events", url=URL, events=["task.failed"] * 11)
    await api.refused(create, "INVALID_REQUEST", "description", url=URL, description="d" * 501)
    for secret in ("secret", "whsec_AAAA", "whsec_?", "whsec_" + "QUJD" * 30):
        await api.refused(create, "INVALID_REQUEST", "secret", url=URL, secret=secret)
    hook = (await api.call(create, url=URL))["webhook"]["id"]
    rotate = "WebhookService/RotateWebhookSecret"
    for overlap_s in (-1, 2_592_001):
        await api.refused(rotate, "INVALID_REQUEST", "overlap_s", webhook_id=hook, overlap_s=overlap_s)
    await api.refused(
        "WebhookService/RedeliverWebhook", "NOT_FOUND", webhook_id=hook, delivery_id="delivery_none"
    )
    await api.refused("WebhookService/ListWebhooks", "INVALID_CURSOR", "cursor", cursor="nonsense")
    await api.refused(
        "WebhookService/ListWebhookDeliveries", "INVALID_CURSOR", "cursor", webhook_id=hook, cursor="nonsense"
    )
    for rpc in ("GetWebhook", "DeleteWebhook", "RotateWebhookSecret", "TestWebhook", "ListWebhookDeliveries"):
        await api.refused(f"WebhookService/{rpc}", "NOT_FOUND", webhook_id="webhook_none")
    await api.call("WebhookService/DeleteWebhook", webhook_id=hook)
