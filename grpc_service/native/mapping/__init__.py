"""Pure translations between `agentgateway.v1` messages and domain values."""
