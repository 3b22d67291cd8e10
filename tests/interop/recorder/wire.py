# SPDX-License-Identifier: Apache-2.0
"""What every agent program of the recorder shares: clients that end at the scripted model, and the
OpenTelemetry SDK that exports to the recorder.

The clients keep the providers' public base URLs, so that the instrumentations see what they see in
production; the HTTP transport beneath sends each request to loopback instead. Nothing here can
reach another host.
"""

import os

try:
    import httpx2 as httpx
except ImportError:
    import httpx

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from conversations import conversation_by_key

OPENAI_MODEL = "gpt-4.1-mini"
ANTHROPIC_MODEL = "claude-haiku-4-5"


def conversation_from_environment():
    return conversation_by_key(os.environ["RECORDER_CONVERSATION"])


def capture_url():
    return os.environ["RECORDER_CAPTURE_URL"]


def _redirect(request):
    model = httpx.URL(os.environ["RECORDER_MODEL_URL"])
    request.url = request.url.copy_with(scheme=model.scheme, host=model.host, port=model.port)
    request.headers["Host"] = f"{model.host}:{model.port}"
    request.headers["X-Conversation"] = os.environ["RECORDER_CONVERSATION"]
    return request


class _Transport(httpx.HTTPTransport):
    def handle_request(self, request):
        return super().handle_request(_redirect(request))


class _AsyncTransport(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request):
        return await super().handle_async_request(_redirect(request))


def openai_client():
    from openai import OpenAI

    return OpenAI(
        api_key="not-a-key",
        base_url="https://api.openai.com/v1",
        http_client=httpx.Client(transport=_Transport(), timeout=20),
    )


def openai_async_client():
    from openai import AsyncOpenAI

    return AsyncOpenAI(
        api_key="not-a-key",
        base_url="https://api.openai.com/v1",
        http_client=httpx.AsyncClient(transport=_AsyncTransport(), timeout=20),
    )


def anthropic_client():
    from anthropic import Anthropic

    return Anthropic(
        api_key="not-a-key",
        base_url="https://api.anthropic.com",
        http_client=httpx.Client(transport=_Transport(), timeout=20),
    )


def resource_attributes(conversation):
    return {
        "service.name": conversation.service,
        "service.version": "1.4.2",
        "deployment.environment.name": "demo",
    }


def tracer_provider(conversation):
    """The stock SDK: resource, batching processor, OTLP over HTTP as protobuf."""
    provider = TracerProvider(resource=Resource.create(resource_attributes(conversation)))
    exporter = OTLPSpanExporter(endpoint=capture_url() + "/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def retrieval_prompt(question, documents):
    """The user message of a retrieval agent: the documents, then the question."""
    listed = "\n".join(f"[{doc['id']}] {doc['content']}" for doc in documents)
    return f"Documents:\n{listed}\n\nQuestion: {question}"


def openai_messages(conversation, user_content):
    messages = [{"role": "system", "content": conversation.system}]
    messages += [{"role": role, "content": text} for role, text in conversation.history]
    messages.append({"role": "user", "content": user_content})
    return messages
