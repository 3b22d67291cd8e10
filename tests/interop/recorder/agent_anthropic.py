# SPDX-License-Identifier: Apache-2.0
"""An agent on Anthropic's Messages API, traced with OpenInference."""

import json

from openinference.instrumentation import OITracer, TraceConfig, using_session
from openinference.instrumentation.anthropic import AnthropicInstrumentor
from opentelemetry import trace

import shop
import wire

conversation = wire.conversation_from_environment()
provider = wire.tracer_provider(conversation)
trace.set_tracer_provider(provider)
AnthropicInstrumentor().instrument(tracer_provider=provider)
tracer = OITracer(provider.get_tracer("shop.agent", "1.4.2"), config=TraceConfig())
client = wire.anthropic_client()


def run_tool(name, arguments):
    """Each tool is its own TOOL span, under its own name and description."""
    tool = tracer.tool(name=name, description=shop.TOOL_DESCRIPTIONS[name])(shop.TOOLS[name])
    return json.dumps(tool(**arguments))


@tracer.agent(name="refund_agent")
def answer(question):
    messages = [{"role": "user", "content": question}]
    for _ in range(6):
        message = client.messages.create(
            model=wire.ANTHROPIC_MODEL,
            max_tokens=400,
            system=conversation.system,
            tools=shop.anthropic_tools(conversation.tools),
            messages=messages,
        )
        calls = [block for block in message.content if block.type == "tool_use"]
        if not calls:
            return message.content[0].text
        messages.append(
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": c.id, "name": c.name, "input": c.input}
                    for c in calls
                ],
            }
        )
        results = [
            {"type": "tool_result", "tool_use_id": c.id, "content": run_tool(c.name, c.input)}
            for c in calls
        ]
        messages.append({"role": "user", "content": results})
    raise RuntimeError("the agent made more than six calls")


with using_session(f"session-{conversation.key}"):
    answer(conversation.question)
provider.shutdown()
