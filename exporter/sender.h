// SPDX-License-Identifier: Apache-2.0
// An exporter at work: one thread with one loop that takes parcels from the queue, makes requests
// of them, hands those to a transport and acts on the replies. All kinds of exporter are this with
// a transport of their own: the sender decides what is sent and when, a transport only how.
//
// While a backend fails for now, one request at a time probes it and the rest wait; a request that
// arrives lets them go. After "too large" the requests that follow are cut to what is known to
// fail, halved; the limit doubles again every five minutes. At the end (sender_drain) waits are
// cut to a second, and what is left at the deadline is dropped and counted.
//
// Scores of which nothing is to be sent to this backend are settled without a request. Where spans
// and scores have interfaces of their own, scores go one request at a time, and one that fails
// holds up no spans.
#pragma once

#include "base/authenticator.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/thread.h"
#include "exporter/shipment.h"
#include "exporter/tally.h"
#include "proto/component.h"

struct transport_ops {
    // Sends shipment->payload. sender_answer is called exactly once for it, from inside or later
    // on the exporter's thread, unless it was cancelled.
    void (*send)(void *transport, struct shipment *shipment);
    void (*cancel)(void *transport, struct shipment *shipment);
    // Once per turn of the loop, for replies that other threads posted; true: there may be more.
    // Optional.
    bool (*turn)(void *transport, uint64_t now_ns);
    // On the exporter's thread when nothing is in flight any more; optional.
    void (*close)(void *transport);
    void (*free)(void *transport);
};

struct sender_setup {  // borrowed for the call only
    const struct queue_config *queue;
    const struct retry_config *retry;
    enum codec codec;
    size_t bytes_max;                     // of one request in identity coding
    const struct score_encoder *encoder;  // of scores; NULL: they are sent as they are
    bool is_mixed;                   // spans and scores go to different interfaces of the backend
    struct bytes destination;        // a URL or path, as logs name it; may be empty
    const struct auth_config *auth;  // NULL: none
    const struct bytes *secrets;     // texts that must not appear in logs, such as header values
    size_t secret_count;
};

#define SENDER_SECRETS_MAX 32

struct exporter {
    uint32_t magic;
    const char *id;      // the environment's
    char component[96];  // "exporter/otlp_http", for logs
    char destination[96];
    struct account *account;
    const struct transport_ops *ops;
    void *transport;
    struct queue_config queue_config;
    struct retry_config retry_config;
    struct loop *loop;
    struct loop_hook hook;
    struct timer wake;
    struct thread thread;
    struct queue queue;
    struct packer packer;
    struct tally tally;
    struct delivery_allowance allowance;
    struct random random;
    struct authenticator *authenticator;  // a reference; NULL: none
    struct shipment *shipments;
    unsigned shipment_max;       // in flight
    unsigned place_max;          // of shipments: one more for scores where is_mixed
    unsigned in_flight, active;  // active: not SHIPMENT_FREE
    bool is_broken;              // the backend fails for now
    bool has_said_broken;
    bool is_mixed;
    struct lot held;  // taken, but there was no memory for its bytes
    bool has_held;
    size_t bytes_max;              // configured
    uint64_t raise_at_ns;          // when queue.bytes_max may grow again; 0: it is bytes_max
    _Atomic uint64_t drain_by_ns;  // 0: not draining
    bool is_stopped;
    struct bytes secrets[SENDER_SECRETS_MAX];  // owned copies
    size_t secret_count;
    struct log_episode broken_episode, partial_episode;
    struct log_episode drop_episodes[DELIVERY_REASON_COUNT];
    uint64_t abandoned[SIGNAL_COUNT];  // items, at the drain's deadline
};

// Makes an exporter without its thread. RESULT_FAIL with a sentence when descriptors are out.
enum result sender_new(const struct component_env *env, const struct sender_setup *setup,
                       struct exporter **exporter, char *why, size_t why_len) MUST_USE;
// Hands the transport over (takes) and starts the thread.
enum result sender_start(struct exporter *exporter, const struct transport_ops *ops,
                         void *transport, char *why, size_t why_len) MUST_USE;
struct loop *sender_loop(struct exporter *exporter);

// The reply to a shipment that is in flight. Exporter's thread.
void sender_answer(struct shipment *shipment, const struct delivery_reply *reply);

// The members of exporter_ops that all kinds share; see proto/component.h.
enum result sender_reserve(struct exporter *exporter, enum signal signal, uint32_t items,
                           size_t bytes, bool own);
void sender_release(struct exporter *exporter, size_t bytes, bool own);
void sender_push(struct exporter *exporter, struct parcel_link *link);
void sender_drain(struct exporter *exporter, uint64_t deadline_ns);
void sender_status(const struct exporter *exporter, struct exporter_status *status);
void sender_free(struct exporter **exporter);
#define SENDER_OPS                                                                                 \
    .reserve = sender_reserve, .release = sender_release, .push = sender_push,                     \
    .drain = sender_drain, .status = sender_status, .free = sender_free
