"""The offline planner: plain English or an action script becomes tool calls, without any LLM."""
