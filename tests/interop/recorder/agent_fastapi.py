# SPDX-License-Identifier: Apache-2.0
"""A web service with a plain OpenAI client and nothing but zero-code instrumentation: a chat span
under an HTTP SERVER span, and no span that says "agent"."""

from fastapi import FastAPI
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

import shop
import wire

conversation = wire.conversation_from_environment()
provider = wire.tracer_provider(conversation)
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument(tracer_provider=provider)
client = wire.openai_client()
app = FastAPI()


@app.post("/ask")
def ask(body: dict):
    documents = shop.search_policies(body["question"])
    completion = client.chat.completions.create(
        model=wire.OPENAI_MODEL,
        temperature=0.2,
        messages=wire.openai_messages(
            conversation, wire.retrieval_prompt(body["question"], documents)
        ),
    )
    return {"answer": completion.choices[0].message.content}


FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
http = TestClient(app, base_url="https://shop.example", headers={"User-Agent": "shop-web/2.3"})
http.post("/ask", json={"question": conversation.question}).raise_for_status()
provider.shutdown()
