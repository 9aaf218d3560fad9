"""Circuit breakers around what is not ours: model providers, remote sandboxes, webhook receivers."""
