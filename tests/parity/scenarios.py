"""Every native use case, written once; the suite compares what came of it on the two protocols."""

from collections.abc import Awaitable, Callable

from tests.parity import scenarios_of_access as access
from tests.parity import scenarios_of_audit as audit
from tests.parity import scenarios_of_budgets as budgets
from tests.parity import scenarios_of_keys as keys
from tests.parity import scenarios_of_tasks as tasks
from tests.parity import scenarios_of_things as things
from tests.parity import scenarios_of_webhooks as webhooks
from tests.parity.recorder import Recorder

SCENARIOS: dict[str, Callable[[Recorder], Awaitable[None]]] = {
    scenario.__name__: scenario
    for scenario in (
        tasks.run_and_watch,
        tasks.submit_and_wait,
        tasks.pages_of_tasks,
        tasks.cancel_pause_resume,
        tasks.a_person_answers,
        tasks.refusals_of_the_planner,
        tasks.all_tasks_in_one_stream,
        tasks.sessions,
        things.sandboxes,
        things.tools,
        things.agents,
        things.configuration,
        things.models_and_server,
        things.bad_input,
        access.who_calls,
        access.tickets,
        keys.keys,
        keys.keys_that_are_wrong,
        budgets.budget,
        audit.acts_and_refusals,
        audit.pages_of_entries,
        webhooks.webhooks,
        webhooks.deliveries,
        webhooks.webhooks_that_are_wrong,
    )
}
