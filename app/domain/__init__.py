"""Plain values and rules of the gateway: no I/O, no clock, standard library only."""
