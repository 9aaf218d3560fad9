"""Every name of a span attribute that we emit, in one place.

The GenAI names come from open-telemetry/semantic-conventions-genai, where they are in development and
moving; the RPC names are a release candidate; the HTTP and error names are stable. They are constants of our
own because the Python package marks its GenAI constants as moved away.
"""

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the conventions these names belong to."""

# --- errors and outcomes
ERROR_TYPE: Final = "error.type"
OUTCOME: Final = "agentgateway.outcome"
"""`ok`, `cancelled` or `error`: a cancelled span is not a failed one."""

# --- server spans
RPC_SYSTEM_NAME: Final = "rpc.system.name"
RPC_METHOD: Final = "rpc.method"
RPC_STATUS_CODE: Final = "rpc.response.status_code"
"""The code as a string; called `rpc.status_code` after 1.44."""
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_ROUTE: Final = "http.route"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
URL_PATH: Final = "url.path"
URL_SCHEME: Final = "url.scheme"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"

# --- agents, models, tools
GEN_AI_OPERATION_NAME: Final = "gen_ai.operation.name"
GEN_AI_PROVIDER_NAME: Final = "gen_ai.provider.name"
GEN_AI_CONVERSATION_ID: Final = "gen_ai.conversation.id"
GEN_AI_AGENT_ID: Final = "gen_ai.agent.id"
GEN_AI_AGENT_NAME: Final = "gen_ai.agent.name"
GEN_AI_REQUEST_MODEL: Final = "gen_ai.request.model"
GEN_AI_REQUEST_STREAM: Final = "gen_ai.request.stream"
GEN_AI_RESPONSE_ID: Final = "gen_ai.response.id"
GEN_AI_RESPONSE_MODEL: Final = "gen_ai.response.model"
GEN_AI_RESPONSE_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
GEN_AI_USAGE_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
GEN_AI_USAGE_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
GEN_AI_TOOL_NAME: Final = "gen_ai.tool.name"
GEN_AI_TOOL_CALL_ID: Final = "gen_ai.tool.call.id"
GEN_AI_TOOL_TYPE: Final = "gen_ai.tool.type"

# --- our own
REQUEST_ID: Final = "agentgateway.request.id"
TENANT: Final = "agentgateway.tenant"
TASK_ID: Final = "agentgateway.task.id"
TASK_STATE: Final = "agentgateway.task.state"
TASK_EPOCH: Final = "agentgateway.task.epoch"
STEP: Final = "agentgateway.step"
SANDBOX_ID: Final = "agentgateway.sandbox.id"
SANDBOX_MAKE: Final = "agentgateway.sandbox.make"
ACTION: Final = "agentgateway.action"
COST_USD: Final = "agentgateway.cost_usd"
TIME_TO_FIRST_EVENT_S: Final = "agentgateway.time_to_first_event_s"

# --- events of sandbox.step
STEP_INPUT: Final = "sandbox.input"
"""The sandbox is this step's alone, and the action begins."""
STEP_SETTLE: Final = "sandbox.settle"
"""The action is over, and what it changed has been read back."""
STEP_CAPTURE: Final = "sandbox.capture"
"""What was seen is kept: output, files, a screenshot."""
