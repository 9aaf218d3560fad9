"""Runs tasks: claim, run, park, cancel, recover. `base` is the contract of queue and bus."""
