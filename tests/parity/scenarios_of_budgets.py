"""What a tenant may use in a day."""

from tests.parity.recorder import Recorder


async def budget(api: Recorder) -> None:
    found = await api.call("BudgetService/GetBudget")

    nothing = {"used": 0, "reserved": 0}
    assert found.pop("reset_time").endswith("T00:00:00Z")
    assert found == {"tokens": nothing, "micro_usd": nothing, "steps": nothing}
