"""The composition root: the one room that knows every concrete class.

Plain constructors in dependency order; closing happens in reverse. `gateway.open_gateway` builds
everything; tests call the same function with other settings.
"""
