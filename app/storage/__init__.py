"""Where tasks, events and artifacts are kept; `base` is the contract, the makes stand beside it."""
