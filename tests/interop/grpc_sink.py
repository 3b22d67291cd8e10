# SPDX-License-Identifier: Apache-2.0
"""An OTLP/gRPC server on loopback that keeps the messages which it receives, as bytes."""

from concurrent import futures

import grpc

from http_sink import Store

SERVICES = {
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export": "traces",
    "/opentelemetry.proto.collector.logs.v1.LogsService/Export": "logs",
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": "metrics",
}


class _Export(grpc.GenericRpcHandler):
    def __init__(self, store):
        self._store = store

    def service(self, call):
        signal = SERVICES.get(call.method)
        if signal is None:
            return None

        def export(body, _context):
            self._store.add(signal, body)
            return b""

        return grpc.unary_unary_rpc_method_handler(export)


class GrpcSink:
    def __init__(self):
        self.store = Store()
        self._server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=4),
            options=[("grpc.max_receive_message_length", 64 * 1024 * 1024)],
        )
        self._server.add_generic_rpc_handlers((_Export(self.store),))
        self._port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    @property
    def endpoint(self):
        return f"127.0.0.1:{self._port}"

    def close(self):
        self._server.stop(grace=1).wait(timeout=5)
