"""API keys: made, listed, rotated, revoked."""

from datetime import UTC, datetime, timedelta

from tests.parity.recorder import Recorder


async def keys(api: Recorder) -> None:
    made = await api.call("KeyService/CreateKey", name="Grüße", scopes=["tools:read", "tasks:*"])
    key, secret = made["key"], made["secret"]
    assert secret.startswith(f"agw_{key['prefix']}_")
    assert (key["subject"], key["created_by"]) == ("local", "local")
    assert "expire_time" not in key
    other = await api.call(
        "KeyService/CreateKey", scopes=["*"], subject="ci", expire_time="2999-01-01T00:00:00Z"
    )
    assert other["key"]["expire_time"] == "2999-01-01T00:00:00Z"
    assert await api.call("KeyService/GetKey", key_id=key["id"]) == key
    page = await api.driver.call("KeyService/ListKeys", page_size=1)
    assert page["keys"] == [other["key"]]
    page = await api.driver.call("KeyService/ListKeys", page_size=1, cursor=page["next_cursor"])
    assert page["keys"] == [key]
    api.used.add("KeyService/ListKeys")
    rotated = await api.call("KeyService/RotateKey", key_id=key["id"], overlap_s=3600)
    assert rotated["secret"] != secret
    assert {"rotate_time", "previous_expire_time"} <= set(rotated["key"])
    rotated = await api.call("KeyService/RotateKey", key_id=key["id"])
    assert "previous_expire_time" not in rotated["key"]
    await api.call("KeyService/RevokeKey", key_id=key["id"])
    revoked = await api.call("KeyService/GetKey", key_id=key["id"])
    await api.call("KeyService/RevokeKey", key_id=key["id"])
    assert await api.call("KeyService/GetKey", key_id=key["id"]) == revoked
    await api.refused("KeyService/RotateKey", "ILLEGAL_STATE", key_id=key["id"])
    assert secret not in repr(api.record[2:])


async def keys_that_are_wrong(api: Recorder) -> None:
    create = "KeyService/CreateKey"
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat().replace("+00:00", "Z")
    await api.refused(create, "INVALID_REQUEST", "scopes", scopes=[])
    await api.refused(create, "INVALID_REQUEST", "scopes", name="x")
    await api.refused(create, "INVALID_REQUEST", "scopes.1", scopes=["tasks:read", "tasks:fly"])
    await api.refused(create, "INVALID_REQUEST", "scopes.0", scopes=["*:*"])
    await api.refused(create, "INVALID_REQUEST", "scopes", scopes=["*"] * 1_000)
    await api.refused(create, "INVALID_REQUEST", "expire_time", scopes=["*"], expire_time=past)
    await api.refused(
        create, "INVALID_REQUEST", "name", "subject", scopes=["*"], name="n" * 201, subject="s" * 129
    )
    await api.refused(create, "INVALID_REQUEST", "name", scopes=["*"], name="a\0b")
    key = (await api.call(create, scopes=["*"]))["key"]
    for overlap_s in (-1, 2_592_001):
        await api.refused(
            "KeyService/RotateKey", "INVALID_REQUEST", "overlap_s", key_id=key["id"], overlap_s=overlap_s
        )
    for rpc in ("KeyService/GetKey", "KeyService/RotateKey", "KeyService/RevokeKey"):
        await api.refused(rpc, "NOT_FOUND", key_id="key_none")
        await api.refused(rpc, "NOT_FOUND", key_id="x" * 200)
    await api.refused("KeyService/ListKeys", "INVALID_CURSOR", "cursor", cursor="nonsense")
    await api.refused("KeyService/ListKeys", "INVALID_REQUEST", "page_size", page_size=1_001)
