// SPDX-License-Identifier: Apache-2.0
//
// Sends spans with the official OpenTelemetry JS SDK, and writes down what it was told to send.
//
// Usage: node emit_node.mjs PROTOCOL COMPRESSION ENDPOINT EXPECTED
// PROTOCOL is grpc, http/protobuf or http/json; the rest is as for emit_python.py. Modules are
// looked for beside the file that imports them, so this one is run from a copy by node_modules.

import {writeFileSync} from 'node:fs';

import {ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, TraceFlags} from '@opentelemetry/api';
import {OTLPTraceExporter as GrpcExporter} from '@opentelemetry/exporter-trace-otlp-grpc';
import {OTLPTraceExporter as JsonExporter} from '@opentelemetry/exporter-trace-otlp-http';
import {OTLPTraceExporter as ProtobufExporter} from '@opentelemetry/exporter-trace-otlp-proto';
import {resourceFromAttributes} from '@opentelemetry/resources';
import {BasicTracerProvider, BatchSpanProcessor} from '@opentelemetry/sdk-trace-base';

const START_S = 1760000000;
const RESOURCE = {'service.name': 'interop-node', 'service.version': '3.2.1', replicas: 3};
const SCOPES = [
    {name: 'interop.plain', version: '', schemaUrl: ''},
    {name: 'interop.full', version: '1.2.3',
        schemaUrl: 'https://opentelemetry.io/schemas/1.37.0'},
];
const ATTRIBUTES = {
    'string': 'value',
    'string.empty': '',
    'string.long': '0123456789abcdef'.repeat(2048),
    'string.unicode': 'gr\u00fc\u00df dich \u4e16\u754c \u{1f680}',
    'string.control': 'line\nbreak\ttab "quote" \\ end',
    'int': 42,
    'int.zero': 0,
    'int.negative': -1,
    'int.large': Number.MAX_SAFE_INTEGER,
    'int.small': Number.MIN_SAFE_INTEGER,
    'double': 0.1,
    'double.tiny': 5e-324,
    'double.large': 1234567.125,
    'bool.true': true,
    'bool.false': false,
    'strings': ['a', '', 'c'],
    'ints': [1, -2, 3],
    'doubles': [0.5, -0.25],
    'bools': [true, false],
    ['k'.repeat(200)]: 'a long key',
};
const KINDS = [SpanKind.INTERNAL, SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER,
    SpanKind.CONSUMER];

function plainValue(value) {
    if (typeof value === 'boolean') {
        return ['b', value];
    }
    if (typeof value === 'string') {
        return ['s', value];
    }
    if (Array.isArray(value)) {
        return ['a', value.map(plainValue)];
    }
    if (Number.isInteger(value)) {
        return ['i', String(value)];
    }
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleBE(value);
    return ['d', bytes.toString('hex')];
}

function plainAttributes(attributes) {
    return Object.fromEntries(Object.entries(attributes).map(([k, v]) => [k, plainValue(v)]));
}

function nanoseconds([seconds, nanos]) {
    return String(BigInt(seconds) * 1000000000n + BigInt(nanos));
}

function exporter(protocol, compression, endpoint) {
    switch (protocol) {
    case 'grpc':
        return new GrpcExporter({url: endpoint, compression});
    case 'http/protobuf':
        return new ProtobufExporter({url: `${endpoint}/v1/traces`, compression});
    case 'http/json':
        return new JsonExporter({url: `${endpoint}/v1/traces`, compression});
    default:
        throw new Error(`no protocol ${protocol}`);
    }
}

class Emitter {
    constructor(spanExporter) {
        this.provider = new BasicTracerProvider({
            resource: resourceFromAttributes(RESOURCE),
            spanProcessors: [new BatchSpanProcessor(spanExporter, {maxExportBatchSize: 48})],
        });
        this.tracers = SCOPES.map(({name, version, schemaUrl}) =>
            this.provider.getTracer(name, version, {schemaUrl}));
        this.told = [];
        this.nanos = 0;
    }

    // Starts and ends one span; returns its context for children and links.
    emit(name, {parent, scope = 0, kind = SpanKind.INTERNAL, attributes = {}, events = [],
        links = [], status} = {}) {
        this.nanos += 1000003;
        const start = [START_S, this.nanos];
        const end = [START_S, this.nanos + 500009];
        const within = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT;
        const span = this.tracers[scope].startSpan(name, {kind, attributes, links,
            startTime: start}, within);
        for (const event of events) {
            span.addEvent(event.name, event.attributes, [START_S, this.nanos + event.offset]);
        }
        if (status) {
            span.setStatus(status);
        }
        span.end(end);
        const own = span.spanContext();
        const {name: scopeName, version, schemaUrl} = SCOPES[scope];
        this.told.push({
            trace_id: own.traceId,
            span_id: own.spanId,
            parent_span_id: parent ? parent.spanId : '',
            trace_state: own.traceState ? own.traceState.serialize() : '',
            name,
            kind: kind + 1,
            start: nanoseconds(start),
            end: nanoseconds(end),
            attributes: plainAttributes(attributes),
            events: events.map((event) => ({
                name: event.name,
                time: nanoseconds([START_S, Number(start[1]) + event.offset]),
                attributes: plainAttributes(event.attributes),
            })),
            links: links.map((link) => ({
                trace_id: link.context.traceId,
                span_id: link.context.spanId,
                attributes: plainAttributes(link.attributes ?? {}),
            })),
            status: status ? [status.code, status.message ?? ''] : [0, ''],
            scope: {name: scopeName, version, schema_url: schemaUrl, attributes: {}},
            resource: plainAttributes(RESOURCE),
        });
        return own;
    }

    emitAll() {
        const root = this.emit('root', {scope: 1, kind: SpanKind.SERVER, attributes: ATTRIBUTES});
        let parent = root;
        for (let depth = 0; depth < 12; depth++) {
            parent = this.emit(`level ${depth}`, {parent, scope: depth % 2});
        }
        for (let index = 0; index < 150; index++) {
            this.emit(`child ${index}`, {parent: root, kind: KINDS[index % KINDS.length],
                attributes: {index}});
        }
        this.emit('with events', {parent: root, scope: 1, events: [
            {name: 'first', offset: 1, attributes: {}},
            {name: 'second', offset: 7, attributes: {a: 1, b: ['x', 'y']}},
        ]});
        this.emit('with links', {links: [{context: root},
            {context: parent, attributes: {why: 'follows'}}]});
        this.emit('failed', {parent: root,
            status: {code: SpanStatusCode.ERROR, message: 'it broke: \u00e9'}});
        this.emit('fine', {parent: root, status: {code: SpanStatusCode.OK}});
        this.emit('behind a remote parent', {kind: SpanKind.CONSUMER, parent: {
            traceId: root.traceId.slice(0, 16) + '0123456789abcdef',
            spanId: 'eee19b7ec3c1b174',
            traceFlags: TraceFlags.SAMPLED,
            isRemote: true,
        }});
    }
}

const [protocol, compression, endpoint, expected] = process.argv.slice(2);
const emitter = new Emitter(exporter(protocol, compression, endpoint));
emitter.emitAll();
await emitter.provider.forceFlush();
await emitter.provider.shutdown();
writeFileSync(expected, JSON.stringify(emitter.told));
