"""The audit log: the same act leaves the same entry, whatever the protocol."""

from tests.parity.drivers import Plain
from tests.parity.recorder import Recorder

LIST = "AuditService/ListAuditEntries"


async def _entries(api: Recorder, **where: object) -> list[Plain]:
    return (await api.call(LIST, **where))["entries"]


async def acts_and_refusals(api: Recorder) -> None:
    session = await api.call("SessionService/CreateSession", title="audited")
    await api.call("SessionService/DeleteSession", session_id=session["id"])
    await api.refused("SessionService/DeleteSession", "NOT_FOUND", session_id=session["id"])
    await api.refused("SessionService/DeleteSession", "NOT_FOUND", session_id=session["id"])
    entries = await _entries(api, resource_id=session["id"])
    assert [(one["action"], one["outcome"], one["reason"], one["count"]) for one in entries] == [
        ("SessionService/DeleteSession", "refused", "NOT_FOUND", 2),
        ("SessionService/DeleteSession", "ok", "", 1),
        ("SessionService/CreateSession", "ok", "", 1),
    ]
    for one in entries:
        assert (one["subject"], one["credential"], one["resource"]) == ("local", "none", "session")
        assert (one["protocol"], one["peer"]) == (api.driver.name, "127.0.0.1")

    task = {"instruction": "say hello", "agent_id": "echo"}
    run = await api.stream("TaskService/RunTask", task=task)
    task_id = run[0]["task"]["id"]
    once = {"task": task, "request_id": f"audit-{api.driver.name}", "wait": "20s"}
    await api.call("TaskService/SubmitTask", **once)
    again = await api.call("TaskService/SubmitTask", **once)
    assert [one["reason"] for one in await _entries(api, resource_id=again["id"])] == ["REPLAYED", ""]
    await api.call("TaskService/DeleteTask", task_id=task_id)
    assert [one["action"] for one in await _entries(api, resource_id=task_id)] == [
        "TaskService/DeleteTask",
        "TaskService/RunTask",
    ]
    made = await api.call("KeyService/CreateKey", scopes=["tools:read"], name="a name that is nowhere else")
    await api.call("KeyService/RevokeKey", key_id=made["key"]["id"])
    of_key = await _entries(api, resource="key", resource_id=made["key"]["id"])
    assert [one["action"] for one in of_key] == ["KeyService/RevokeKey", "KeyService/CreateKey"]
    assert made["secret"] not in repr(of_key)
    assert "nowhere else" not in repr(of_key)


async def pages_of_entries(api: Recorder) -> None:
    ids = [(await api.driver.call("SessionService/CreateSession"))["id"] for _ in range(3)]
    where = {"action": "SessionService/CreateSession", "outcome": "ok", "subject": "local"}
    first = await api.driver.call(LIST, **where, page_size=2)
    rest = await api.driver.call(LIST, **where, page_size=1, cursor=first["next_cursor"])
    assert [one["resource_id"] for one in [*first["entries"], *rest["entries"]]] == ids[::-1]
    since = rest["entries"][0]["time"]
    oldest = await api.driver.call(LIST, **where, since=since, oldest_first=True)
    assert [one["resource_id"] for one in oldest["entries"]] == ids
    assert await _entries(api, until=since, resource_id=ids[0]) == []
    assert await _entries(api, subject="nobody") == []
    await api.refused(LIST, "INVALID_CURSOR", "cursor", cursor="nonsense")
    await api.refused(LIST, "INVALID_CURSOR", "cursor", cursor=first["next_cursor"], oldest_first=True)
    await api.refused(LIST, "INVALID_REQUEST", "page_size", page_size=1_001)
    await api.refused(LIST, "INVALID_REQUEST", "subject", subject="s" * 257)
    await api.refused(
        LIST, "INVALID_REQUEST", "until", since="2026-01-02T00:00:00Z", until="2026-01-01T00:00:00Z"
    )
