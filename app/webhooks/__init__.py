"""Tells endpoints of tasks: takes deliveries from the store, signs and sends them, keeps what came of it."""
