"""Who am I, and how a browser gets in."""

from tests.parity.recorder import Recorder


async def who_calls(api: Recorder) -> None:
    caller = await api.call("AccessService/GetCaller")

    assert caller == {"subject": "local", "tenant": "default", "scopes": ["*"], "credential": "none"}


async def tickets(api: Recorder) -> None:
    """Whichever protocol made it, a ticket is for the REST API."""
    issued = await api.call("AccessService/CreateStreamTicket", path="/v1/events")

    assert issued["ticket"].startswith("agwt_")
    assert len(issued["ticket"]) > 40
    for path in (
        "",
        "v1/events",
        "//host/v1",
        "/v1/events?after=1",
        "/v1/events#x",
        "/v1/\n",
        "/" + "x" * 1_024,
    ):
        await api.refused("AccessService/CreateStreamTicket", "INVALID_REQUEST", "path", path=path)
