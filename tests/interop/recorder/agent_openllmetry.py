# SPDX-License-Identifier: Apache-2.0
"""An agent traced with OpenLLMetry: Traceloop's SDK, its decorators and its OpenAI instrumentation.

The same program records both forms: with the packages of requirements-openllmetry-flat.txt the
messages are flattened (gen_ai.prompt.0.content), with those of requirements-openllmetry.txt they
are JSON in gen_ai.input.messages.
"""

from opentelemetry import trace
from traceloop.sdk import Traceloop
from traceloop.sdk.decorators import agent, task, workflow
from traceloop.sdk.instruments import Instruments

import shop
import wire

conversation = wire.conversation_from_environment()
Traceloop.init(
    app_name=conversation.service,
    api_endpoint=wire.capture_url(),
    api_key="not-a-key",
    telemetry_enabled=False,
    disable_batch=False,
    resource_attributes=wire.resource_attributes(conversation),
    instruments={Instruments.OPENAI},
)
client = wire.openai_client()


@task(name="search_policies")
def search_policies(query):
    return shop.search_policies(query)


@agent(name="support_agent")
def support_agent(question):
    documents = search_policies(question)
    completion = client.chat.completions.create(
        model=wire.OPENAI_MODEL,
        temperature=0.2,
        messages=wire.openai_messages(
            conversation, wire.retrieval_prompt(question, documents)
        ),
    )
    return completion.choices[0].message.content


@workflow(name="answer_customer")
def answer_customer(question):
    return support_agent(question)


Traceloop.set_association_properties({"session_id": f"session-{conversation.key}"})
answer_customer(conversation.question)
trace.get_tracer_provider().force_flush()
