"""What bodies, queries and answers look like: the names and limits of `agentgateway.v1`."""
