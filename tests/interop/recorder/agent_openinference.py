# SPDX-License-Identifier: Apache-2.0
"""An agent traced with OpenInference: its OpenAI instrumentation, and its decorators."""

from openinference.instrumentation import OITracer, TraceConfig, get_retriever_attributes
from openinference.instrumentation import using_session
from openinference.instrumentation.openai import OpenAIInstrumentor
from opentelemetry import trace

import shop
import wire

conversation = wire.conversation_from_environment()
provider = wire.tracer_provider(conversation)
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument(tracer_provider=provider)
tracer = OITracer(provider.get_tracer("shop.agent", "1.4.2"), config=TraceConfig())
client = wire.openai_client()


@tracer.retriever(name="search_policies")
def search_policies(query):
    documents = shop.search_policies(query)
    trace.get_current_span().set_attributes(
        get_retriever_attributes(
            documents=[
                {"id": doc["id"], "score": doc["score"], "content": doc["content"]}
                for doc in documents
            ]
        )
    )
    return documents


@tracer.agent(name="support_agent")
def answer(question):
    content = question
    if conversation.retrieval:
        content = wire.retrieval_prompt(question, search_policies(question))
    completion = client.chat.completions.create(
        model=wire.OPENAI_MODEL,
        temperature=0.2,
        messages=wire.openai_messages(conversation, content),
    )
    return completion.choices[0].message.content


with using_session(f"session-{conversation.key}"):
    answer(conversation.question)
provider.shutdown()
