"""The native REST API, one module per gRPC service."""

from fastapi.routing import APIRoute

from rest_api.routes import (
    access,
    agents,
    artifacts,
    audit,
    budgets,
    configuration,
    health,
    keys,
    sandboxes,
    server,
    sessions,
    task_events,
    tasks,
    tools,
    webhooks,
)

_MODULES = (
    tasks,
    task_events,
    server,
    artifacts,
    sessions,
    sandboxes,
    tools,
    agents,
    configuration,
    budgets,
    access,
    keys,
    audit,
    webhooks,
    health,
)


def all_routes() -> list[APIRoute]:
    """Every route, the busiest first."""
    routes = (route for module in _MODULES for route in module.router.routes)
    return [route for route in routes if isinstance(route, APIRoute)]
