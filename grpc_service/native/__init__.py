"""The native API, `agentgateway.v1`, over `AgentService`."""
