# SPDX-License-Identifier: Apache-2.0
"""An agent that knows Langfuse's own client only, with its settings from the client's variables:
emit_langfuse_agent.py RESULTS SPANS BIG MISSING FOLDED. It reads what agents read (the last three
are names of prompts), holds two conversations, and posts a score for each while it is open. RESULTS
is what came of each call, as JSON; SPANS all spans that it ended, as a serialised OTLP request."""

import json
import sys

from langfuse import Langfuse
from langfuse.api.core import ApiError
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

QUESTION = "How long does the delivery of a tent take?"
ANSWER = "The delivery of a tent takes two working days."


def _messages(role, text):
    return json.dumps([{"role": role, "parts": [{"type": "text", "content": text}]}])


def _attempt(action):
    """What a call gives, or the status that it fails with."""
    try:
        return {"value": action()}
    except ApiError as error:
        return {"status": error.status_code, "body": str(error.body)}


def _conversation(client, value):
    """The first span has left, and the score after it, before the trace is complete."""
    tracer = trace.get_tracer("opentelemetry.instrumentation.openai_v2", "2.3")
    with client.start_as_current_observation(name="shop", as_type="agent") as agent:
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-4.1-mini",
            "gen_ai.input.messages": _messages("user", QUESTION),
            "gen_ai.output.messages": _messages("assistant", ANSWER),
        }
        with tracer.start_as_current_span("chat gpt-4.1-mini", attributes=attributes):
            pass
        client.flush()
        client.score_current_trace(name="thumb", value=value, data_type="BOOLEAN")
        client.create_score(
            trace_id=agent.trace_id, observation_id=agent.id, name="remark",
            value="as the customer said it", data_type="TEXT",
        )
        client.flush()
        agent.update(input=QUESTION, output=ANSWER)
        return agent.trace_id


def main(results, spans, big, missing, folded):
    ended, provider = InMemorySpanExporter(), TracerProvider()
    trace.set_tracer_provider(provider)
    client = Langfuse(tracer_provider=provider)
    provider.add_span_processor(SimpleSpanProcessor(ended))
    told = {
        "auth": _attempt(client.auth_check),
        "project": _attempt(lambda: client.api.projects.get().data[0].name),
    }
    for name, prompt in (("big", big), ("missing", missing), ("folded", folded)):
        told[name] = _attempt(
            lambda prompt=prompt: client.get_prompt(prompt, max_retries=0).prompt
        )
    told["calm"] = _conversation(client, 1)
    told["bad"] = _conversation(client, 0)
    client.flush()
    client.shutdown()
    with open(spans, "wb") as out:
        out.write(encode_spans(ended.get_finished_spans()).SerializeToString())
    with open(results, "w", encoding="utf-8") as out:
        json.dump(told, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
