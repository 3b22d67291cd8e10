# SPDX-License-Identifier: Apache-2.0
"""An agent on the OpenAI Agents SDK, traced with OpenInference."""

from agents import Agent, FunctionTool, Runner, set_default_openai_client
from openinference.instrumentation import using_session
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

import shop
import wire

conversation = wire.conversation_from_environment()
provider = wire.tracer_provider(conversation)
OpenAIAgentsInstrumentor().instrument(tracer_provider=provider)
set_default_openai_client(wire.openai_async_client(), use_for_tracing=False)


def function_tool(name):
    async def invoke(_context, arguments):
        return shop.call_tool(name, arguments)

    return FunctionTool(
        name=name,
        description=shop.TOOL_DESCRIPTIONS[name],
        params_json_schema={**shop.TOOL_PARAMETERS[name], "additionalProperties": False},
        on_invoke_tool=invoke,
    )


agent = Agent(
    name=conversation.service,
    instructions=conversation.system,
    model=wire.OPENAI_MODEL,
    tools=[function_tool(name) for name in conversation.tools],
)
with using_session(f"session-{conversation.key}"):
    Runner.run_sync(agent, conversation.question, max_turns=6)
provider.shutdown()
