// SPDX-License-Identifier: Apache-2.0
// The turn: sort what arrived, take replies, send while there is something to send and a place for
// it, say when to wake. Replies that a transport gives from inside `send` (file, debug) are taken
// the same way as those that come later, so the pump is a plain loop and nothing recurses.
//
// Refused: a thread per request in flight, as the Collector's num_consumers are; here they are
// places in an array. Bounds: num_consumers shipments, the queue's bytes, the payloads' charge.
// POOL_QUEUES may refuse the memory of a request: it is tried again every 10 ms, and one request
// per exporter is let through all the same, so that no exporter starves behind another's outage.
#include "exporter/sender.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

#define EXPORTER_MAGIC MAGIC('E', 'X', 'P', 'R')
#define SHIPMENT_MAGIC MAGIC('S', 'H', 'I', 'P')
#define MEMORY_WAIT_NS (10 * NS_PER_MS)
#define DRAIN_WAIT_NS NS_PER_S
#define QUIET_NS (60 * NS_PER_S)
#define BYTES_MAX_FLOOR ((size_t)16 << 10)
#define RAISE_AFTER_NS (300 * NS_PER_S)
#define TEXT_MAX 200

// --- life -----------------------------------------------------------------------------------

static bool exporter_turn(void *arg, uint64_t now_ns);
static void exporter_wake(struct timer *timer, void *arg, uint64_t now_ns);

static void secrets_copy(struct exporter *exporter, const struct sender_setup *setup)
{
    for (size_t i = 0; i < setup->secret_count && i < SENDER_SECRETS_MAX; i++) {
        struct bytes secret = setup->secrets[i];
        if (secret.len < 6) {
            continue;
        }
        uint8_t *copy = malloc(secret.len);
        CHECK(copy != NULL);
        memcpy(copy, secret.ptr, secret.len);
        exporter->secrets[exporter->secret_count++] = bytes_from(copy, secret.len);
    }
}

// Without what may be secret in a URL: user and password, and the query.
static void destination_copy(struct exporter *exporter, struct bytes url)
{
    size_t begin = bytes_find(url, BYTES_LITERAL("@"), 0);
    url = begin == SIZE_MAX ? url : bytes_slice(url, begin + 1, SIZE_MAX);
    url = bytes_slice(url, 0, bytes_find(url, BYTES_LITERAL("?"), 0));
    snprintf(exporter->destination, sizeof(exporter->destination), "%.*s", BYTES_PRINTF(url));
}

enum result sender_new(const struct component_env *env, const struct sender_setup *setup,
                       struct exporter **made, char *why, size_t why_len)
{
    struct loop *loop = loop_new();
    if (loop == NULL) {
        snprintf(why, why_len, "no descriptors left for the exporter's loop");
        return RESULT_FAIL;
    }
    struct authenticator *authenticator = NULL;
    if (setup->auth != NULL &&
        authenticator_bind(env->authenticators, setup->auth, AUTHENTICATOR_CLIENT, &authenticator,
                           why, why_len) != RESULT_OK) {
        loop_free(loop);
        return RESULT_FAIL;
    }
    struct exporter *exporter = calloc(1, sizeof(*exporter));
    CHECK(exporter != NULL);
    exporter->authenticator = authenticator;
    exporter->magic = EXPORTER_MAGIC;
    exporter->id = env->id;
    snprintf(exporter->component, sizeof(exporter->component), "exporter/%s", env->id);
    destination_copy(exporter, setup->destination);
    exporter->account = env->account;
    exporter->queue_config = *setup->queue;
    exporter->retry_config = *setup->retry;
    bool has_storage = env->settled != NULL;
    if (has_storage && !exporter->retry_config.max_elapsed_time_present) {
        exporter->retry_config.max_elapsed_time_ns = 0;
    }
    exporter->loop = loop;
    exporter->bytes_max = setup->bytes_max;
    exporter->shipment_max = (unsigned)setup->queue->num_consumers;
    exporter->is_mixed = setup->is_mixed;
    exporter->place_max = exporter->shipment_max + exporter->is_mixed;
    exporter->shipments = calloc(exporter->place_max, sizeof(struct shipment));
    CHECK(exporter->shipment_max > 0 && exporter->shipments != NULL);
    for (unsigned i = 0; i < exporter->place_max; i++) {
        exporter->shipments[i].magic = SHIPMENT_MAGIC;
        exporter->shipments[i].exporter = exporter;
    }
    size_t capacity = queue_capacity_bytes(&exporter->queue_config, env->account);
    queue_init(&exporter->queue, &exporter->queue_config, capacity, setup->bytes_max, setup->codec,
               loop_wake, loop);
    exporter->queue.keeps_metadata_apart = authenticator_reads_metadata(authenticator);
    exporter->queue.settled = env->settled;
    exporter->queue.settled_arg = env->settled_arg;
    packer_init(&exporter->packer, setup->codec, setup->encoder, env->account);
    tally_init(&exporter->tally, env->id);
    metric_set(exporter->tally.queue_capacity, (double)capacity);
    random_seed(&exporter->random, random_entropy());
    timer_init(&exporter->wake, exporter_wake, exporter);
    secrets_copy(exporter, setup);
    *made = exporter;
    return RESULT_OK;
}

struct loop *sender_loop(struct exporter *exporter)
{
    return exporter->loop;
}

static void exporter_run(void *arg)
{
    struct exporter *exporter = arg;
    CHECK(exporter->magic == EXPORTER_MAGIC);
    loop_run(exporter->loop);
    if (exporter->ops->close != NULL) {
        exporter->ops->close(exporter->transport);
    }
}

enum result sender_start(struct exporter *exporter, const struct transport_ops *ops,
                         void *transport, char *why, size_t why_len)
{
    CHECK(exporter->ops == NULL);
    exporter->ops = ops;
    exporter->transport = transport;
    exporter->hook = (struct loop_hook){.turn = exporter_turn, .arg = exporter};
    loop_add_hook(exporter->loop, &exporter->hook);
    char name[16];
    snprintf(name, sizeof(name), "ex:%.12s", exporter->id);
    enum result result = thread_start(&exporter->thread, name, exporter_run, exporter);
    if (result != RESULT_OK) {
        snprintf(why, why_len, "no thread for the exporter");
    }
    return result;
}

void sender_drain(struct exporter *exporter, uint64_t deadline_ns)
{
    CHECK(exporter->magic == EXPORTER_MAGIC);
    atomic_store_explicit(&exporter->drain_by_ns, deadline_ns > 0 ? deadline_ns : 1,
                          memory_order_release);
    loop_wake(exporter->loop);
    thread_join(&exporter->thread);
    exporter->thread.started = 0;
}

static void abandon(struct exporter *exporter);

void sender_free(struct exporter **freed)
{
    struct exporter *exporter = *freed;
    if (exporter == NULL) {
        return;
    }
    *freed = NULL;
    if (exporter->thread.started) {
        sender_drain(exporter, 1);
    }
    exporter->is_stopped = true;
    abandon(exporter);  // what came in behind the drain
    if (exporter->ops != NULL) {
        exporter->ops->free(exporter->transport);
    }
    loop_free(exporter->loop);
    for (unsigned i = 0; i < exporter->place_max; i++) {
        shipment_fini(&exporter->shipments[i]);
    }
    free(exporter->shipments);
    packer_fini(&exporter->packer);
    for (size_t i = 0; i < exporter->secret_count; i++) {
        free((void *)(uintptr_t)exporter->secrets[i].ptr);
    }
    authenticator_release(&exporter->authenticator);
    exporter->magic = 0;
    free(exporter);
}

// --- any thread -----------------------------------------------------------------------------

enum result sender_reserve(struct exporter *exporter, enum signal signal, uint32_t items,
                           size_t bytes, bool own)
{
    CHECK(exporter->magic == EXPORTER_MAGIC);
    if (queue_reserve(&exporter->queue, bytes, own)) {
        return RESULT_OK;
    }
    tally_count(&exporter->tally, TALLY_ENQUEUE_FAILED, signal, items);
    return RESULT_SHED;
}

void sender_release(struct exporter *exporter, size_t bytes, bool own)
{
    queue_release(&exporter->queue, bytes, own);
}

void sender_push(struct exporter *exporter, struct parcel_link *link)
{
    queue_push(&exporter->queue, link);
}

void sender_status(const struct exporter *exporter, struct exporter_status *status)
{
    memset(status, 0, sizeof(*status));
    tally_read(&exporter->tally, status);
    status->queue_bytes = queue_used_bytes(&exporter->queue);
    status->queue_bytes_max = exporter->queue.used_max[0] + exporter->queue.used_max[1];
    status->block_on_overflow = exporter->queue_config.block_on_overflow;
    memcpy(status->destination, exporter->destination, sizeof(status->destination));
}

// --- words ----------------------------------------------------------------------------------

static void mask_secrets(const struct exporter *exporter, const struct metadata *metadata,
                         char *text)
{
    for (size_t i = 0; i < exporter->secret_count; i++) {
        metadata_mask_value(exporter->secrets[i], text);
    }
    authenticator_mask(exporter->authenticator, metadata, text);
}

// "status 503: <body>" or the sentence of a reply that did not come: printable, cut, masked.
static void reply_describe(const struct exporter *exporter, const struct metadata *metadata,
                           const struct delivery_reply *reply, char out[TEXT_MAX + 1])
{
    char text[4 * TEXT_MAX];
    size_t len = reply->text.len < sizeof(text) - 1 ? reply->text.len : sizeof(text) - 1;
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = reply->text.ptr[i];
        text[i] = byte >= 0x20 && byte < 0x7f ? (char)byte : ' ';
    }
    text[len] = '\0';
    mask_secrets(exporter, metadata, text);
    if (reply->transport != RESULT_OK) {
        snprintf(out, TEXT_MAX + 1, "%.*s", TEXT_MAX, len > 0 ? text : "no reply");
        return;
    }
    snprintf(out, TEXT_MAX + 1, "%s %d%s%.150s",
             reply->protocol == DELIVERY_HTTP ? "HTTP status" : "gRPC status", reply->code,
             len > 0 ? ": " : "", text);
}

static void say_drop(struct exporter *exporter, enum signal signal, enum delivery_reason reason,
                     uint64_t items, const char *error)
{
    if (reason == DELIVERY_SHUTDOWN) {
        exporter->abandoned[signal] += items;  // one line for all of them: abandon()
        return;
    }
    if (!log_episode_opens(&exporter->drop_episodes[reason], clock_mono_ns(), QUIET_NS)) {
        return;
    }
    log_line(LOG_ERROR, exporter->component, "Exporting failed. Dropping data.",
             LOG_TEXT("reason", delivery_reason_label(reason)),
             LOG_TEXT("meaning", delivery_reason_text(reason)), LOG_TEXT("error", error),
             LOG_TEXT("items", signal_items(signal)), LOG_INT("dropped_items", items));
}

// Where spans go the same way, a failing interface of scores holds up scores only.
static bool is_apart(const struct exporter *exporter, enum signal signal)
{
    return signal == SIGNAL_SCORES && exporter->is_mixed;
}

static void note_health(struct exporter *exporter, enum signal signal, enum delivery_class class,
                        const char *error)
{
    bool apart = is_apart(exporter, signal);
    tally_set_error(&exporter->tally, class == DELIVERY_CLASS_SUCCESS ? NULL : error);
    if (class == DELIVERY_CLASS_RETRY) {
        exporter->is_broken = exporter->is_broken || !apart;
        if (log_episode_opens(&exporter->broken_episode, clock_mono_ns(), QUIET_NS)) {
            exporter->has_said_broken = true;
            log_line(LOG_WARN, exporter->component,
                     exporter->retry_config.enabled
                         ? "Exporting failed. Will retry the request after an interval."
                         : "Exporting failed. Retrying is switched off.",
                     LOG_TEXT("error", error));
        }
        return;
    }
    if (apart) {
        return;
    }
    if (exporter->is_broken && class == DELIVERY_CLASS_SUCCESS && exporter->has_said_broken) {
        exporter->has_said_broken = false;
        log_line(LOG_INFO, exporter->component, "Exporting works again.");
    }
    exporter->is_broken = false;
}

static void note_partial(struct exporter *exporter, const struct shipment *shipment,
                         const struct delivery_reply *reply, uint32_t items)
{
    const struct score_counts *scores = &shipment->payload->scores;
    items -= scores->left_out < items ? scores->left_out : items;
    uint64_t refused = (uint64_t)reply->rejected_count + scores->late;
    uint32_t rejected = refused < items ? (uint32_t)refused : items;
    metric_add(exporter->tally.partial_rejected, rejected);
    tally_count(&exporter->tally, TALLY_SENT, shipment->signal, items - rejected);
    if (rejected == 0 && reply->text.len == 0) {
        return;
    }
    if (log_episode_opens(&exporter->partial_episode, clock_mono_ns(), QUIET_NS)) {
        char text[TEXT_MAX + 1];
        struct delivery_reply words = *reply;
        words.transport = RESULT_RETRY;  // the sentence alone
        if (words.text.len == 0 && scores->late > 0) {
            words.text = BYTES_LITERAL("scores too old for this backend were left out");
        }
        reply_describe(exporter, shipment_metadata(shipment), &words, text);
        log_line(LOG_WARN, exporter->component, "Partial success response",
                 LOG_TEXT("message", words.text.len > 0 ? text : ""),
                 LOG_TEXT("items", signal_items(shipment->signal)),
                 LOG_INT("rejected_items", rejected));
    }
}

// --- fates ----------------------------------------------------------------------------------

static void shipment_done(struct exporter *exporter, struct shipment *shipment)
{
    CHECK(exporter->active > 0);
    shipment_settle(shipment, &exporter->packer, &exporter->queue);
    exporter->active--;
    if (is_apart(exporter, shipment->signal)) {
        exporter->queue.paused = 0;
    }
}

// What the journal keeps has not failed.
static void count_failed(struct exporter *exporter, enum signal signal, uint64_t items)
{
    if (!exporter->queue.is_abandoning) {
        tally_count(&exporter->tally, TALLY_SEND_FAILED, signal, items);
    }
}

static void count_settled(struct exporter *exporter, struct shipment *shipment,
                          const struct delivery_step *step, const struct delivery_reply *reply,
                          const char *error)
{
    const struct delivery *delivery = &shipment->delivery;
    if (delivery->settled_count == 0) {
        return;
    }
    uint64_t items = 0;
    for (uint32_t i = 0; i < delivery->settled_count; i++) {
        items += shipment_items(shipment, &delivery->settled[i]);
    }
    if (step->sent) {
        note_partial(exporter, shipment, reply, (uint32_t)items);
        return;
    }
    if (shipment->payload != NULL && delivery->settled_count == 1) {
        uint32_t left_out = shipment->payload->scores.left_out;
        items -= left_out < items ? left_out : items;
    }
    count_failed(exporter, shipment->signal, items);
    say_drop(exporter, shipment->signal, step->reason, items, error);
}

static struct delivery_step split_current(struct exporter *exporter, struct shipment *shipment,
                                          uint64_t now_ns)
{
    enum result result = shipment_flatten(shipment, &exporter->packer);
    if (result == RESULT_SHED) {
        return delivery_give_up(&shipment->delivery, DELIVERY_MEMORY);
    }
    if (result != RESULT_OK) {
        return delivery_give_up(&shipment->delivery, DELIVERY_REFUSED);
    }
    return delivery_split(&shipment->delivery, shipment->place_count, shipment->borders,
                          shipment->border_count, now_ns);
}

static void act_on(struct exporter *exporter, struct shipment *shipment,
                   const struct delivery_step *step, const struct delivery_reply *reply,
                   uint64_t now_ns)
{
    switch (step->action) {
    case DELIVERY_SEND:
        if (shipment_load_part(shipment, &exporter->packer, true) != RESULT_OK) {
            struct delivery_step end = delivery_give_up(&shipment->delivery, DELIVERY_MEMORY);
            count_settled(exporter, shipment, &end, reply, "no memory");
            shipment_done(exporter, shipment);
            return;
        }
        shipment->state = SHIPMENT_READY;
        shipment->retry_at_ns = now_ns;
        return;
    case DELIVERY_WAIT:
        shipment->state = SHIPMENT_WAITING;
        shipment->is_obliged = reply->has_wait;
        shipment->retry_at_ns = step->at_ns;
        return;
    case DELIVERY_DONE:
        shipment_done(exporter, shipment);
        return;
    case DELIVERY_SPLIT:
        break;
    }
    CHECK(false);
}

// The limit goes to half of what was too large, and comes back by doubling.
static void learn_size(struct exporter *exporter, const struct shipment *shipment, uint64_t now_ns)
{
    size_t half = shipment->payload->plain_bytes / 2;
    half = half > BYTES_MAX_FLOOR ? half : BYTES_MAX_FLOOR;
    if (half < exporter->queue.bytes_max) {
        exporter->queue.bytes_max = half;
    }
    exporter->raise_at_ns = now_ns + RAISE_AFTER_NS;
}

static void unlearn_size(struct exporter *exporter, uint64_t now_ns)
{
    if (exporter->raise_at_ns == 0 || now_ns < exporter->raise_at_ns) {
        return;
    }
    size_t twice = exporter->queue.bytes_max * 2;
    exporter->queue.bytes_max = twice < exporter->bytes_max ? twice : exporter->bytes_max;
    exporter->raise_at_ns = twice < exporter->bytes_max ? now_ns + RAISE_AFTER_NS : 0;
}

static void let_waiting_go(struct exporter *exporter, uint64_t now_ns)
{
    for (unsigned i = 0; i < exporter->place_max; i++) {
        struct shipment *shipment = &exporter->shipments[i];
        if (shipment->state == SHIPMENT_WAITING && !shipment->is_obliged) {
            shipment->retry_at_ns = now_ns;
        }
    }
}

void sender_answer(struct shipment *shipment, const struct delivery_reply *reply)
{
    struct exporter *exporter = shipment->exporter;
    CHECK(shipment->magic == SHIPMENT_MAGIC && exporter->magic == EXPORTER_MAGIC);
    CHECK(shipment->state == SHIPMENT_IN_FLIGHT && exporter->in_flight > 0);
    exporter->in_flight--;
    shipment->call = NULL;
    uint64_t now_ns = loop_now_ns(exporter->loop);
    enum delivery_class class = delivery_classify(reply);
    char error[TEXT_MAX + 1] = "";
    if (class != DELIVERY_CLASS_SUCCESS) {
        reply_describe(exporter, shipment_metadata(shipment), reply, error);
    }
    tally_request(&exporter->tally, class);
    bool was_broken = exporter->is_broken;
    note_health(exporter, shipment->signal, class, error);
    if (was_broken && !exporter->is_broken && class == DELIVERY_CLASS_SUCCESS) {
        let_waiting_go(exporter, now_ns);
    }
    if (class == DELIVERY_CLASS_TOO_LARGE && !shipment->payload->is_encoded) {
        learn_size(exporter, shipment, now_ns);
    }
    struct delivery_step step = delivery_answer(&shipment->delivery, reply, now_ns);
    if (step.action == DELIVERY_SPLIT) {
        step = split_current(exporter, shipment, now_ns);
    }
    count_settled(exporter, shipment, &step, reply, error);
    act_on(exporter, shipment, &step, reply, now_ns);
}

// --- the pump -------------------------------------------------------------------------------

static struct shipment *next_due(struct exporter *exporter, uint64_t now_ns)
{
    struct shipment *best = NULL;
    if (exporter->active == exporter->in_flight) {
        return NULL;
    }
    for (unsigned i = 0; i < exporter->place_max; i++) {
        struct shipment *shipment = &exporter->shipments[i];
        bool is_due = shipment->state == SHIPMENT_READY || shipment->state == SHIPMENT_WAITING;
        is_due = is_due && shipment->retry_at_ns <= now_ns;
        if (is_due && (best == NULL || shipment->retry_at_ns < best->retry_at_ns)) {
            best = shipment;
        }
    }
    return best;
}

static struct shipment *free_place(struct exporter *exporter)
{
    for (unsigned i = 0; i < exporter->place_max; i++) {
        if (exporter->shipments[i].state == SHIPMENT_FREE) {
            return &exporter->shipments[i];
        }
    }
    return NULL;
}

static void drop_held(struct exporter *exporter)
{
    uint64_t items = 0;
    for (struct parcel_link *link = exporter->held.first; link != NULL;
         link = queue_next_link(link)) {
        items += link->parcel->item_count;
    }
    tally_count(&exporter->tally, TALLY_SEND_FAILED, exporter->held.signal, items);
    say_drop(exporter, exporter->held.signal, DELIVERY_MEMORY, items, "no memory");
    queue_settle(&exporter->queue, exporter->held.first);
    exporter->has_held = false;
}

// A shipment of what the queue has ready; NULL when there is nothing, or no memory for it.
static struct shipment *next_fresh(struct exporter *exporter, uint64_t now_ns, uint64_t *wake_ns)
{
    struct shipment *shipment = free_place(exporter);
    while (shipment != NULL) {
        if (!exporter->has_held &&
            !queue_take(&exporter->queue, now_ns, exporter->in_flight, &exporter->held, wake_ns)) {
            return NULL;
        }
        exporter->has_held = true;
        bool force = exporter->active == 0;
        enum result result =
            shipment_load(shipment, &exporter->packer, &exporter->queue, &exporter->held, force);
        if (result == RESULT_OK) {
            exporter->has_held = false;
            exporter->active++;
            if (is_apart(exporter, shipment->signal)) {
                exporter->queue.paused = 1U << shipment->signal;
            }
            delivery_begin(&shipment->delivery, &exporter->retry_config, &exporter->allowance,
                           &exporter->random, now_ns);
            return shipment;
        }
        if (result == RESULT_MISSING) {
            exporter->has_held = false;  // the end of a cut parcel
            continue;
        }
        if (exporter->held.cutter != NULL) {
            exporter->has_held = false;  // the queue still has the parcel
        } else if (force) {
            drop_held(exporter);
            continue;
        }
        *wake_ns = now_ns + MEMORY_WAIT_NS;
        return NULL;
    }
    return NULL;
}

static struct shipment *next_shipment(struct exporter *exporter, uint64_t now_ns, uint64_t *wake_ns)
{
    if (exporter->in_flight >= (exporter->is_broken ? 1 : exporter->shipment_max)) {
        return NULL;
    }
    struct shipment *due = next_due(exporter, now_ns);
    if (due != NULL) {
        return due;
    }
    unsigned apart = exporter->queue.paused != 0;
    if (exporter->is_broken && exporter->active > apart) {
        return NULL;
    }
    return next_fresh(exporter, now_ns, wake_ns);
}

// As if it had been sent and had arrived.
static void settle_unsent(struct exporter *exporter, struct shipment *shipment, uint64_t now_ns)
{
    struct delivery_reply reply = {.protocol = DELIVERY_HTTP, .code = 200};
    struct delivery_step step = delivery_answer(&shipment->delivery, &reply, now_ns);
    count_settled(exporter, shipment, &step, &reply, "");
    act_on(exporter, shipment, &step, &reply, now_ns);
}

static void pump(struct exporter *exporter, uint64_t now_ns, uint64_t *wake_ns)
{
    struct shipment *shipment;
    while ((shipment = next_shipment(exporter, now_ns, wake_ns)) != NULL) {
        if (shipment->payload->is_encoded && shipment->payload->scores.sent == 0) {
            settle_unsent(exporter, shipment, now_ns);
            continue;
        }
        shipment->state = SHIPMENT_IN_FLIGHT;
        exporter->in_flight++;
        exporter->ops->send(exporter->transport, shipment);
    }
}

// --- the end --------------------------------------------------------------------------------

static void abandon_queue(struct exporter *exporter)
{
    while (queue_sort(&exporter->queue, 0)) {
    }
    if (exporter->has_held) {
        drop_held(exporter);
    }
    for (unsigned i = 0; i < SIGNAL_COUNT; i++) {
        uint64_t items = queue_items(&exporter->queue, (enum signal)i);
        count_failed(exporter, (enum signal)i, items);
        if (items > 0) {
            say_drop(exporter, (enum signal)i, DELIVERY_SHUTDOWN, items,
                     "still queued at the deadline");
        }
    }
    queue_settle(&exporter->queue, queue_take_rest(&exporter->queue));
}

static void abandon(struct exporter *exporter)
{
    exporter->queue.is_abandoning = exporter->queue.settled != NULL;
    for (unsigned i = 0; i < exporter->place_max; i++) {
        struct shipment *shipment = &exporter->shipments[i];
        if (shipment->state == SHIPMENT_FREE) {
            continue;
        }
        if (shipment->state == SHIPMENT_IN_FLIGHT) {
            exporter->ops->cancel(exporter->transport, shipment);
            exporter->in_flight--;
        }
        struct delivery_step step = delivery_give_up(&shipment->delivery, DELIVERY_SHUTDOWN);
        count_settled(exporter, shipment, &step, NULL, "not delivered at the deadline");
        shipment_done(exporter, shipment);
    }
    abandon_queue(exporter);
    for (unsigned i = 0; i < SIGNAL_COUNT; i++) {
        if (exporter->abandoned[i] > 0 && exporter->queue.is_abandoning) {
            log_line(LOG_INFO, exporter->component,
                     "Not delivered yet: kept in the journal for the next start.",
                     LOG_TEXT("items", signal_items((enum signal)i)),
                     LOG_INT("kept_items", exporter->abandoned[i]));
        } else if (exporter->abandoned[i] > 0) {
            log_line(LOG_ERROR, exporter->component, "Exporting failed. Dropping data.",
                     LOG_TEXT("reason", delivery_reason_label(DELIVERY_SHUTDOWN)),
                     LOG_TEXT("meaning", delivery_reason_text(DELIVERY_SHUTDOWN)),
                     LOG_TEXT("items", signal_items((enum signal)i)),
                     LOG_INT("dropped_items", exporter->abandoned[i]));
        }
        exporter->abandoned[i] = 0;
    }
}

// True when the thread ends with this turn. `by_ns` was read before the inbox was sorted: what was
// pushed before the drain began is then known.
static bool drain_turn(struct exporter *exporter, uint64_t by_ns, bool more, uint64_t now_ns,
                       uint64_t *wake_ns)
{
    if (by_ns == 0) {
        return false;
    }
    if (now_ns >= by_ns) {
        abandon(exporter);
        return true;
    }
    if (!more && exporter->active == 0 && !exporter->has_held && queue_is_empty(&exporter->queue)) {
        return true;
    }
    for (unsigned i = 0; i < exporter->place_max; i++) {
        struct shipment *shipment = &exporter->shipments[i];
        if (shipment->state == SHIPMENT_WAITING && !shipment->is_obliged &&
            shipment->retry_at_ns > now_ns + DRAIN_WAIT_NS) {
            shipment->retry_at_ns = now_ns + DRAIN_WAIT_NS;
        }
    }
    *wake_ns = by_ns < *wake_ns ? by_ns : *wake_ns;
    return false;
}

static void exporter_wake(struct timer *timer, void *arg, uint64_t now_ns)
{
    (void)timer;  // the turn that it starts is what it is for
    (void)arg;
    (void)now_ns;
}

static void set_wake(struct exporter *exporter, uint64_t wake_ns)
{
    bool may_send = exporter->in_flight < (exporter->is_broken ? 1 : exporter->shipment_max);
    for (unsigned i = 0; may_send && i < exporter->place_max; i++) {
        const struct shipment *shipment = &exporter->shipments[i];
        if (shipment->state == SHIPMENT_WAITING && shipment->retry_at_ns < wake_ns) {
            wake_ns = shipment->retry_at_ns;
        }
    }
    if (wake_ns == UINT64_MAX) {
        loop_cancel_timer(exporter->loop, &exporter->wake);
    } else {
        loop_set_timer(exporter->loop, &exporter->wake, wake_ns);
    }
}

static bool exporter_turn(void *arg, uint64_t now_ns)
{
    struct exporter *exporter = arg;
    CHECK(exporter->magic == EXPORTER_MAGIC);
    if (exporter->is_stopped) {
        return false;
    }
    uint64_t wake_ns = UINT64_MAX;
    uint64_t by_ns = atomic_load_explicit(&exporter->drain_by_ns, memory_order_acquire);
    exporter->queue.is_draining = by_ns != 0;
    bool more = exporter->ops->turn != NULL && exporter->ops->turn(exporter->transport, now_ns);
    more = queue_sort(&exporter->queue, now_ns) || more;
    unlearn_size(exporter, now_ns);
    pump(exporter, now_ns, &wake_ns);
    metric_set(exporter->tally.queue_size, (double)queue_used_bytes(&exporter->queue));
    metric_set(exporter->tally.in_flight, (double)exporter->in_flight);
    if (drain_turn(exporter, by_ns, more, now_ns, &wake_ns)) {
        exporter->is_stopped = true;
        loop_stop(exporter->loop);
        return false;
    }
    set_wake(exporter, wake_ns);
    return more;
}
