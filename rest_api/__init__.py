"""The REST and SSE front end."""
