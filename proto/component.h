// SPDX-License-Identifier: Apache-2.0
// The contract of the three kinds of component. A component is one file with one exported const ops
// struct, listed in the one visible array of its kind (receiver/receivers.c,
// processor/processors.c, exporter/exporters.c). The service creates components from the
// configuration in the order exporters, processors, receivers, and ends them in the opposite order:
// receivers stop accepting, shards flush, exporters drain, all under one deadline.
#pragma once

#include "base/account.h"
#include "base/option.h"
#include "base/ids.h"
#include "proto/decision_debt.h"
#include "proto/parcel.h"
#include "proto/sink.h"

// Which scores an exporter of scores sends (its key `send`); NONE: it is configured not to, and
// counts as one that takes no scores.
enum score_send {
    SCORE_SEND_JUDGED,
    SCORE_SEND_FAILED,
    SCORE_SEND_ALL,
    SCORE_SEND_COUNT,
    SCORE_SEND_NONE = SCORE_SEND_COUNT
};

struct authenticator;
struct parcel_link;
struct tls_client_config;

// Where requests that an agent's SDK sends to its backend's own API are passed on to. Views into
// the configuration that they come from.
struct relay_target {
    struct bytes base_url;     // scheme and authority count, the path does not
    struct bytes unix_socket;  // not empty: connect to this path whatever the URL says
    const struct tls_client_config *tls;
    struct bytes proxy_url;    // empty: from the environment
    uint64_t timeout_ns;       // until the backend begins to answer
};

struct component_env {  // borrowed for the component's life
    const char *id;     // "otlp_http/2"
    struct account *account;
    unsigned processors_max;            // GOMAXPROCS or the number of CPUs
    const char *user_agent;             // "sidejudge/0.1.0 (linux/amd64)"
    const struct bytes *own_addresses;  // "127.0.0.1:4317" ... of our listeners, for loop checks
    size_t own_address_count;
    // Extensions that authenticate, by id (base/authenticator.h); NULL ends it; may be NULL.
    struct authenticator *const *authenticators;
    // Exporters with a storage: told, instead of the reference being let go, when a parcel's fate
    // at this exporter is known: delivered, or given up for good. Takes the link with its
    // reference. NULL: no storage. Any thread.
    void (*settled)(void *arg, struct parcel_link *link);
    void *settled_arg;
    // Receivers, on reload: one of the same id still listens; an address of its that is wanted
    // again is taken over from it, so that no connection is refused meanwhile.
    bool takes_over;
    // Processors, on reload: the instance of the same id that this one follows, which goes on
    // beside it until its traces are decided; NULL: none. For `create` only.
    const struct processor *previous;
    // Receivers: where requests below /api/public/ go; NULL: nowhere.
    const struct relay_target *relay;
};

// Common head of the three ops structs: what the configuration needs.
struct component_kind {
    const char *type;   // "otlp_http"
    const char *alias;  // deprecated type name, or NULL
    const char *doc;    // one sentence
    // Bit set of 1 << enum signal. With SIGNAL_SCORES an exporter takes the scores of the
    // evaluation processors of its pipelines, whatever these carry; with nothing else it is a score
    // sink and is never offered telemetry.
    unsigned signals;
    const struct option *options;
    size_t config_size;  // of the struct that options fill
    // Semantic checks beyond the rows; appends to errors. Optional.
    void (*validate)(const void *config, const struct config_node *node, const char *path,
                     struct option_errors *errors);
    // Exporters: does this one want requests to its backend's own API passed on? Optional: no.
    bool (*relay)(const void *config, struct relay_target *target);
};

struct receiver;
struct receiver_ops {
    struct component_kind kind;
    // Opens the listeners and starts the threads. sinks[signal] is NULL when no pipeline takes that
    // signal from this receiver. RESULT_FAIL with a sentence.
    enum result (*start)(const struct component_env *env, const void *config,
                         struct sink *const sinks[SIGNAL_COUNT], struct receiver **receiver,
                         char *why, size_t why_len);
    // stops accepting; returns when requests in flight are answered or at the deadline
    // Again from another thread while it runs, with an earlier deadline: both return by that.
    void (*drain)(struct receiver *receiver, uint64_t deadline_ns);
    void (*free)(struct receiver **receiver);
};

struct exporter_status {
    uint64_t sent, send_failed, enqueue_failed;  // items
    uint64_t queue_bytes, queue_bytes_max;
    // constant: a full queue refuses the request although others would take it
    bool block_on_overflow;
    char last_error[160];  // "" when the last attempt succeeded
    char destination[96];  // where it sends, for people, without secrets; "" when nowhere
};

struct exporter;
struct exporter_ops {
    struct component_kind kind;
    enum result (*start)(const struct component_env *env, const void *config,
                         struct exporter **exporter, char *why, size_t why_len);
    // Admission, at the door: takes `bytes` of the queue. RESULT_SHED: full; the `items` (metrics:
    // data points) of `signal` are then counted as enqueue_failed here, by nobody else. Own
    // products draw on the reserved tenth. Any thread.
    enum result (*reserve)(struct exporter *exporter, enum signal signal, uint32_t items,
                           size_t bytes, bool own);
    // a reservation that is not used after all. Any thread
    void (*release)(struct exporter *exporter, size_t bytes, bool own);
    // Moves one reference of the parcel in, under a reservation of parcel->charge_bytes, by link
    // (parcel->links[i]). Never fails. Any thread.
    void (*push)(struct exporter *exporter, struct parcel_link *link);
    // sends what is queued; counts what is left at the deadline
    void (*drain)(struct exporter *exporter, uint64_t deadline_ns);
    void (*status)(const struct exporter *exporter, struct exporter_status *status);  // any thread
    void (*free)(struct exporter **exporter);
    // Which scores it sends; NULL: SCORE_SEND_ALL. Only of kinds that take scores
    enum score_send (*score_send)(const void *config);
};

// A processor says of each span what it wants, by a pure function of (view, immutable
// configuration), on whatever thread scans.
enum want {
    WANT_NOTHING,  // goes by
    WANT_LOOK,     // goes on at once; the processor's shard sees it too, read-only
    WANT_TAKE,     // goes through the processor: it may edit, delay, split or drop it
};

struct shard_env;
struct shard_message;
struct processor;

// A sharded processor has one state per shard, on the shard's thread only: no locks.
struct shard_ops {
    void *(*open)(struct processor *processor, struct shard_env *env);
    // Items that go on by themselves: `parcel` is borrowed and stands for what was wanted (LOOK
    // and, read-only, nothing else).
    void (*look)(void *state, const struct parcel *parcel, uint64_t now_ns);
    // takes; later passes on or drops through env
    void (*take)(void *state, struct parcel **parcel, uint64_t now_ns);
    // posted by other threads; takes; optional
    void (*message)(void *state, struct shard_message *message, uint64_t now_ns);
    void (*flush)(void *state, uint64_t now_ns);  // SIGTERM: release every hold now
    // The process is about to end: from now on decide and release as soon as may be, not when the
    // configured times are over. Comes once; optional.
    void (*hurry)(void *state, uint64_t now_ns);
    // How many traces and held items are open. `each`, unless NULL, is called with each trace's id:
    // their next spans belong here, also after the configuration has changed. Optional: none.
    size_t (*open_traces)(void *state, void (*each)(void *arg, const struct trace_id *id),
                          void *arg);
    void (*close)(void *state);
    // A decision that was made before a restart; before the shard's thread starts. Optional.
    void (*restore)(void *state, const struct trace_id *trace_id, const struct span_id *target);
    // Somebody said of a trace's answer that it is bad. Borrows. Optional.
    void (*feedback)(void *state, const struct feedback *feedback, uint64_t now_ns);
    // Notes, optional: what the shard needs of an item that is looked at, taken at the door while
    // the bytes are at hand. `wants_noted` stands in for `wants` and, with WANT_LOOK, fills `note`
    // (note_bytes, aligned to 8); `before` is the note of an earlier item of the same request, or
    // NULL. `look_noted` stands in for `look` when the parcel has notes.
    size_t note_bytes;  // 0: none
    enum want (*wants_noted)(const struct processor *processor, const struct item_view *view,
                             const void *before, void *note);
    void (*look_noted)(void *state, const struct parcel *parcel, uint64_t now_ns);
};

struct processor_ops {
    struct component_kind kind;
    enum result (*create)(const struct component_env *env, const void *config,
                          struct processor **processor, char *why, size_t why_len);
    // NULL: never wants anything and stands in no chain.
    enum want (*wants)(const struct processor *processor, const struct item_view *view);
    // Unsharded processors: edits the parcel, or moves what is to be dropped into *dropped
    // (parcel_split; the same pointer as `parcel` drops all of it). Dropped items are counted by
    // the processor, their reservations are given back by the pipeline. Any thread. Optional.
    void (*process)(struct processor *processor, struct parcel *parcel, struct parcel **dropped);
    const struct shard_ops *shard;  // NULL: not sharded
    // What the exporters of scores behind it send: bit set of 1 << enum score_send; 0: there are
    // none. Main thread, before the first item; optional.
    void (*score_sinks)(struct processor *processor, unsigned sends);
    // about once a second on the main thread; optional
    void (*tick)(struct processor *processor, uint64_t now_ns);
    void (*free)(struct processor **processor);
};

struct shard_message {  // first member of what other threads post to a shard
    struct mailbox_node node;
    struct processor *processor;  // whose state it is for
};

enum emit_to {  // which exporters of a pipeline get an own product
    EMIT_TO_ALL,
    EMIT_TO_SCORELESS,  // those that do not take scores themselves: carriers
};

struct shard_env {  // what a state may use; lives as long as the shard
    unsigned index;
    // Of the request that is being looked at or taken: to be held for each trace that keeps some of
    // it, until that trace is closed. NULL at all other times, and where nothing is journalled.
    struct decision_debt *debt;
    struct timers *timers;  // the shard's wheel
    void *shard;            // opaque
    // Passes a parcel on along its pipeline, behind this processor. Takes. Own shard's thread.
    void (*pass)(struct shard_env *env, struct parcel **parcel);
    // Drops a parcel: gives its reservations back. Takes. The caller has counted it.
    void (*drop)(struct shard_env *env, struct parcel **parcel);
    // Sends an own product (spans or log records made here) down the pipelines of that signal in
    // which `processor` stands, behind it; SIGNAL_SCORES (proto/score.h) goes to each exporter that
    // takes scores in any of its pipelines, once. Takes the batch. RESULT_SHED: the reserved tenth
    // is full (counted lost by the caller); RESULT_MISSING: nobody takes it.
    enum result (*emit)(struct shard_env *env, struct processor *processor, enum signal signal,
                        enum emit_to to, struct batch **batch, uint32_t item_count);
    // A decision was made for good: with a journal it is not made again after a crash. Its effects
    // (pass, emit) in the same turn are recorded together with it. Optional.
    void (*decided)(struct shard_env *env, const struct trace_id *trace_id,
                    const struct span_id *target);
    // Posts a message to this shard's state of message->processor. Takes. Any thread; never fails
    // (bounded by who makes messages).
    void (*post)(struct shard_env *env, struct shard_message *message);
};

extern const struct receiver_ops *const receivers[];  // NULL-terminated
extern const struct processor_ops *const processors[];
extern const struct exporter_ops *const exporters[];
