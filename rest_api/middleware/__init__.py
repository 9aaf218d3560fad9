"""Pure ASGI layers around the routes."""
