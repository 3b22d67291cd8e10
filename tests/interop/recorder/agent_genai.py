# SPDX-License-Identifier: Apache-2.0
"""An agent traced by OpenTelemetry's own GenAI packages: the OpenAI instrumentation for model
calls, and the utility that instrumentations of agent frameworks use for agent, tool and retrieval
spans. Content is captured as span attributes."""

from opentelemetry import trace
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.util.genai.handler import TelemetryHandler
from opentelemetry.util.genai.types import InputMessage, OutputMessage, Text

import shop
import wire

conversation = wire.conversation_from_environment()
provider = wire.tracer_provider(conversation)
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument(tracer_provider=provider)
telemetry = TelemetryHandler(
    tracer_provider=provider,
    instrumentation_scope_name="shop.agent",
    instrumentation_scope_version="1.4.2",
)
client = wire.openai_client()


def search_policies(query):
    with telemetry.retrieval(data_source_id="policies") as retrieval:
        documents = shop.search_policies(query)
        retrieval.query_text = query
        retrieval.top_k = 2
        # Mappings, because the utility's own class of document has no place for the text.
        retrieval.documents = documents
        return documents


def run_tool(call):
    name = call.function.name
    with telemetry.tool(name, tool_type="function") as tool:
        tool.tool_call_id = call.id
        tool.tool_description = shop.TOOL_DESCRIPTIONS[name]
        tool.arguments = call.function.arguments
        tool.tool_result = shop.call_tool(name, call.function.arguments)
        return tool.tool_result


def converse(messages):
    options = {"tools": shop.openai_tools(conversation.tools)} if conversation.tools else {}
    for _ in range(6):
        message = (
            client.chat.completions.create(
                model=wire.OPENAI_MODEL, temperature=0.2, messages=messages, **options
            )
            .choices[0]
            .message
        )
        if not message.tool_calls:
            return message.content
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            messages.append(
                {"role": "tool", "tool_call_id": call.id, "content": run_tool(call)}
            )
    raise RuntimeError("the agent made more than six calls")


def answer(question):
    with telemetry.invoke_local_agent(
        agent_name=conversation.service,
        request_model=wire.OPENAI_MODEL,
        conversation_id=f"conversation-{conversation.key}",
    ) as agent:
        agent.system_instruction = [Text(content=conversation.system)]
        agent.input_messages = [
            InputMessage(role=role, parts=[Text(content=text)])
            for role, text in [*conversation.history, ("user", question)]
        ]
        content = question
        if conversation.retrieval:
            content = wire.retrieval_prompt(question, search_policies(question))
        text = converse(wire.openai_messages(conversation, content))
        agent.output_messages = [
            OutputMessage(role="assistant", parts=[Text(content=text)], finish_reason="stop")
        ]
        return text


answer(conversation.question)
provider.shutdown()
