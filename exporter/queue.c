// SPDX-License-Identifier: Apache-2.0
// Parcels come in through a mailbox and are sorted into one list per signal; a lot is a run from
// the front of a list. The lists are linked through the mailbox nodes, which are free once a
// message was taken, so queueing allocates nothing. Refused: the mailbox's own credits, which
// know neither the tenth for own products nor the one oversized parcel of an empty queue.
//
// Bounds: bytes as reserved; a lot has at most QUEUE_LOT_PARCELS_MAX parcels and renders to at
// most bytes_max, unless one item alone is larger.
// Threads: reserve, release and push from any; the rest on the exporter's own.
#include "exporter/queue.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/check.h"

#define SORT_MAX 1024                     // parcels per turn
#define REQUEST_BYTES ((size_t)32 << 10)  // what the sizers `requests` and `items` stand for
#define ITEM_BYTES ((size_t)1 << 10)
#define DEFAULT_BYTES ((size_t)32 << 20)
#define PIECES_ALL_TAKEN (UINT32_C(1) << 31)  // in parcel_link.pieces

static const char *const sizers[] = {"requests", "items", "bytes", NULL};
static const char *const batch_sizers[] = {"", "items", "bytes", NULL};

static const struct option batch_options[] = {
    {.key = "flush_timeout",
     .kind = OPTION_DURATION,
     .fallback = "200ms",
     .unit = "s",
     .offset = offsetof(struct queue_batch_config, flush_timeout_ns),
     .min = 0.001,
     .max = 3600,
     .doc = "The longest wait for company."},
    {.key = "min_size",
     .kind = OPTION_SIZE,
     .fallback = "8192",
     .offset = offsetof(struct queue_batch_config, min_size),
     .min = 0,
     .max = 1e9,
     .doc = "A request leaves when it has gathered this much."},
    {.key = "max_size",
     .kind = OPTION_SIZE,
     .fallback = "0",
     .offset = offsetof(struct queue_batch_config, max_size),
     .min = 0,
     .max = 1e9,
     .doc = "Larger requests are cut; 0: 4 MiB for gRPC, 8 MiB for HTTP. In items: on average."},
    {.key = "sizer",
     .kind = OPTION_ENUM,
     .fallback = "",
     .choices = batch_sizers,
     .offset = offsetof(struct queue_batch_config, sizer),
     .doc = "Unit of both sizes; as the queue's when absent, items when that is requests."},
    {.key = NULL},
};

const struct option queue_options[] = {
    {.key = "num_consumers",
     .kind = OPTION_INT,
     .fallback = "10",
     .min = 1,
     .max = 256,
     .offset = offsetof(struct queue_config, num_consumers),
     .doc = "Requests in flight at most."},
    {.key = "enabled",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .offset = offsetof(struct queue_config, enabled),
     .doc = "Kept for compatibility: the queue is what admission counts on and is always there."},
    {.key = "queue_size",
     .kind = OPTION_SIZE,
     .fallback = "0",
     .offset = offsetof(struct queue_config, queue_size),
     .min = 0,
     .max = 1e12,
     .doc = "Bound in units of the sizer; 0: 32 MiB, less where memory is short."},
    {.key = "sizer",
     .kind = OPTION_ENUM,
     .fallback = "requests",
     .choices = sizers,
     .offset = offsetof(struct queue_config, sizer),
     .doc = "The bound is always one of bytes: a request counts as 32 KiB, an item as 1 KiB."},
    {.key = "block_on_overflow",
     .kind = OPTION_BOOL,
     .fallback = "false",
     .offset = offsetof(struct queue_config, block_on_overflow),
     .doc = "When full, refuse the request (retryable) although other exporters would take it."},
    {.key = "wait_for_result",
     .kind = OPTION_BOOL,
     .fallback = "false",
     .offset = offsetof(struct queue_config, wait_for_result),
     .doc = "Only false: a request is acknowledged when it is admitted."},
    {.key = "storage",
     .kind = OPTION_TEXT,
     .flags = OPTION_F_NULLABLE,
     .offset = offsetof(struct queue_config, storage),
     .doc = "A file_storage extension: what this exporter has not delivered survives the process "
            "and, when its queue is full, waits on disk."},
    {.key = "merge",
     .kind = OPTION_BOOL,
     .fallback = "true",
     .offset = offsetof(struct queue_config, merge),
     .doc = "Whether small requests are merged while others are in flight."},
    {.key = "batch",
     .kind = OPTION_GROUP,
     .rows = batch_options,
     .offset = offsetof(struct queue_config, batch),
     .present_offset = offsetof(struct queue_config, batch_present),
     .doc = "Gather requests before sending, as the Collector does."},
    {.key = NULL},
};

void queue_validate(const struct queue_config *config, const struct config_node *node,
                    const char *path, struct option_errors *errors)
{
    const struct config_node *own = config_get(node, "sending_queue");
    if (config->wait_for_result) {
        option_error(errors, path, config_get(own, "wait_for_result"),
                     "sending_queue.wait_for_result: true is not offered: requests are "
                     "acknowledged when they are admitted; remove the key");
    }
    if (!config->enabled) {
        option_warning(errors, path, config_get(own, "enabled"),
                       "sending_queue.enabled: false has no effect: admission counts on the queue");
    }
    const struct queue_batch_config *batch = &config->batch;
    if (config->batch_present && batch->max_size > 0 && batch->max_size < batch->min_size) {
        option_error(errors, path, config_get(own, "batch"),
                     "sending_queue::batch: `max_size` (%lld) must be greater or equal to "
                     "`min_size` (%lld)",
                     (long long)batch->max_size, (long long)batch->min_size);
    }
}

size_t queue_capacity_bytes(const struct queue_config *config, const struct account *account)
{
    if (config->queue_size > 0) {
        static const size_t units[] = {REQUEST_BYTES, ITEM_BYTES, 1};
        size_t unit = units[config->sizer];
        size_t size = (size_t)config->queue_size;
        return size > SIZE_MAX / 4 / unit ? SIZE_MAX / 4 : size * unit;
    }
    size_t most = account != NULL ? account_share(account, POOL_REQUESTS) / 2 : DEFAULT_BYTES;
    return most < DEFAULT_BYTES ? most : DEFAULT_BYTES;
}

void queue_init(struct queue *queue, const struct queue_config *config, size_t capacity_bytes,
                size_t bytes_max, enum codec codec, void (*wake)(void *), void *wake_arg)
{
    memset(queue, 0, sizeof(*queue));
    mailbox_init(&queue->inbox, SIZE_MAX, wake, wake_arg);
    queue->used_max[1] = capacity_bytes / 10;
    queue->used_max[0] = capacity_bytes - queue->used_max[1];
    queue->config = config;
    queue->bytes_max = bytes_max;
    queue->codec = codec;
}

// --- any thread -----------------------------------------------------------------------------

bool queue_reserve(struct queue *queue, size_t bytes, bool own)
{
    atomic_size_t *used = &queue->used[own];
    size_t before = atomic_load_explicit(used, memory_order_relaxed);
    do {
        bool fits = before <= queue->used_max[own] && bytes <= queue->used_max[own] - before;
        if (!fits && before != 0) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(used, &before, before + bytes,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void queue_release(struct queue *queue, size_t bytes, bool own)
{
    size_t before = atomic_fetch_sub_explicit(&queue->used[own], bytes, memory_order_relaxed);
    CHECK(before >= bytes);
}

void queue_push(struct queue *queue, struct parcel_link *link)
{
    CHECK(link->parcel != NULL);
    mailbox_post(&queue->inbox, &link->node);
}

size_t queue_used_bytes(const struct queue *queue)
{
    return atomic_load_explicit(&queue->used[0], memory_order_relaxed) +
           atomic_load_explicit(&queue->used[1], memory_order_relaxed);
}

// --- sorting --------------------------------------------------------------------------------

static_assert(offsetof(struct parcel_link, node) == 0, "a node is its link");

static struct parcel_link *link_of(struct mailbox_node *node)
{
    return (struct parcel_link *)(void *)node;
}

struct parcel_link *queue_next_link(const struct parcel_link *link)
{
    return link_of(atomic_load_explicit(&link->node.next, memory_order_relaxed));
}

static void set_next(struct parcel_link *link, struct parcel_link *next)
{
    atomic_store_explicit(&link->node.next, next != NULL ? &next->node : NULL,
                          memory_order_relaxed);
}

static void pending_add(struct queue_pending *pending, struct parcel_link *link, uint64_t now_ns)
{
    set_next(link, NULL);
    if (pending->count == 0) {
        pending->first = link;
        pending->oldest_ns = now_ns;
    } else {
        set_next(pending->last, link);
    }
    pending->last = link;
    pending->count++;
    pending->bytes += link->parcel->charge_bytes;
    pending->items += link->parcel->item_count;
}

bool queue_sort(struct queue *queue, uint64_t now_ns)
{
    for (unsigned i = 0; i < SORT_MAX; i++) {
        struct mailbox_node *node = mailbox_take(&queue->inbox);
        if (node == NULL) {
            return !mailbox_doze(&queue->inbox);
        }
        struct parcel_link *link = link_of(node);
        pending_add(&queue->pending[link->parcel->batch->signal], link, now_ns);
    }
    return true;
}

// --- lots -----------------------------------------------------------------------------------

bool queue_is_verbatim(const struct queue *queue, const struct parcel *parcel)
{
    const struct batch *batch = parcel->batch;
    if (!parcel_is_whole(parcel) || batch->body.len > queue->bytes_max) {
        return false;
    }
    if (queue->codec == CODEC_NONE) {
        return batch->body.len >= QUEUE_VERBATIM_PLAIN_BYTES;
    }
    return batch->packed_codec == queue->codec && batch->packed.len >= QUEUE_VERBATIM_PACKED_BYTES;
}

static size_t rendered_size(const struct parcel *parcel)
{
    return parcel_is_whole(parcel) ? parcel->batch->body.len : parcel_rendered_size(parcel);
}

static bool sizes_are_items(const struct queue_config *config)
{
    if (config->batch.sizer == QUEUE_BATCH_INHERIT) {
        return config->sizer != QUEUE_BYTES;
    }
    return config->batch.sizer == QUEUE_BATCH_ITEMS;
}

static bool batch_is_ready(const struct queue *queue, const struct queue_pending *pending,
                           uint64_t now_ns, uint64_t *wake_ns)
{
    const struct queue_batch_config *batch = &queue->config->batch;
    uint64_t size = sizes_are_items(queue->config) ? pending->items : pending->bytes;
    uint64_t due_ns = pending->oldest_ns + (uint64_t)batch->flush_timeout_ns;
    if (size >= (uint64_t)batch->min_size || now_ns >= due_ns) {
        return true;
    }
    *wake_ns = due_ns < *wake_ns ? due_ns : *wake_ns;
    return false;
}

static bool pending_is_ready(const struct queue *queue, const struct queue_pending *pending,
                             uint64_t now_ns, unsigned in_flight, uint64_t *wake_ns)
{
    if (pending->cut != NULL) {
        return true;
    }
    if (pending->count == 0) {
        return false;
    }
    if (queue->is_draining) {
        return true;
    }
    if (queue->config->batch_present) {
        return batch_is_ready(queue, pending, now_ns, wake_ns);
    }
    uint64_t due_ns = pending->oldest_ns + QUEUE_MERGE_WAIT_NS;
    if (in_flight == 0 || !queue->config->merge || pending->bytes >= QUEUE_MERGE_BYTES ||
        now_ns >= due_ns || queue_is_verbatim(queue, pending->first->parcel)) {
        return true;
    }
    *wake_ns = due_ns < *wake_ns ? due_ns : *wake_ns;
    return false;
}

static struct parcel_link *pending_pop(struct queue_pending *pending, uint64_t now_ns)
{
    struct parcel_link *link = pending->first;
    pending->first = queue_next_link(link);
    pending->count--;
    pending->bytes -= link->parcel->charge_bytes;
    pending->items -= link->parcel->item_count;
    pending->oldest_ns = now_ns;
    set_next(link, NULL);
    return link;
}

// The bound of one request: the exporter's, or the `batch` section's when that is lower.
static void lot_bounds(const struct queue *queue, const struct parcel *first, size_t *bytes_max,
                       uint64_t *items_max)
{
    *bytes_max = queue->bytes_max;
    *items_max = UINT64_MAX;
    const struct queue_config *config = queue->config;
    if (!config->batch_present || config->batch.max_size <= 0) {
        return;
    }
    uint64_t max_size = (uint64_t)config->batch.max_size;
    if (!sizes_are_items(config)) {
        *bytes_max = max_size < *bytes_max ? (size_t)max_size : *bytes_max;
        return;
    }
    *items_max = max_size;
    if (first->item_count > max_size) {  // cut by bytes, in proportion
        size_t share =
            (size_t)((double)rendered_size(first) * (double)max_size / (double)first->item_count);
        *bytes_max = share < *bytes_max ? share : *bytes_max;
    }
}

// Never two agents' credentials in one request.
static bool is_apart(const struct queue *queue, const struct parcel *a, const struct parcel *b)
{
    return queue->keeps_metadata_apart &&
           !metadata_equal(a->batch->metadata, b->batch->metadata);
}

static void take_run(struct queue *queue, struct queue_pending *pending, uint64_t now_ns,
                     struct lot *lot)
{
    size_t bytes_max;
    uint64_t items_max;
    lot_bounds(queue, pending->first->parcel, &bytes_max, &items_max);
    struct parcel_link *first = pending_pop(pending, now_ns);
    size_t bytes = rendered_size(first->parcel);
    uint64_t items = first->parcel->item_count;
    if (bytes > bytes_max) {
        pending->cut = first;
        pending->cut_bytes_max = bytes_max;
        pending->cut_items = first->parcel->item_count;
        parcel_cutter_begin(&pending->cutter, first->parcel);
        return;
    }
    lot->first = first;
    lot->count = 1;
    bool alone = queue_is_verbatim(queue, first->parcel) ||
                 (!queue->config->merge && !queue->config->batch_present);
    struct parcel_link *last = first;
    while (!alone && pending->count > 0 && lot->count < QUEUE_LOT_PARCELS_MAX) {
        const struct parcel *next = pending->first->parcel;
        size_t more = rendered_size(next);
        if (more > bytes_max - bytes || items + next->item_count > items_max ||
            queue_is_verbatim(queue, next) || is_apart(queue, first->parcel, next)) {
            break;
        }
        bytes += more;
        items += next->item_count;
        struct parcel_link *link = pending_pop(pending, now_ns);
        set_next(last, link);
        last = link;
        lot->count++;
    }
}

bool queue_take(struct queue *queue, uint64_t now_ns, unsigned in_flight, struct lot *lot,
                uint64_t *wake_ns)
{
    for (unsigned i = 0; i < SIGNAL_COUNT; i++) {
        unsigned signal = (queue->turn + i) % SIGNAL_COUNT;
        struct queue_pending *pending = &queue->pending[signal];
        if ((queue->paused & 1U << signal) != 0 ||
            !pending_is_ready(queue, pending, now_ns, in_flight, wake_ns)) {
            continue;
        }
        queue->turn = (signal + 1) % SIGNAL_COUNT;
        *lot = (struct lot){.signal = (enum signal)signal};
        if (pending->cut == NULL) {
            take_run(queue, pending, now_ns, lot);
        }
        if (pending->cut != NULL) {
            lot->cutter = &pending->cutter;
            lot->piece_bytes_max = pending->cut_bytes_max;
        }
        return true;
    }
    return false;
}

struct parcel_link *queue_piece_taken(struct queue *queue, const struct lot *lot, uint32_t items)
{
    struct queue_pending *pending = &queue->pending[lot->signal];
    pending->cut_items -= items < pending->cut_items ? items : pending->cut_items;
    pending->cut->pieces++;
    return pending->cut;
}

void queue_piece_settled(struct queue *queue, struct parcel_link *cut)
{
    CHECK((cut->pieces & ~PIECES_ALL_TAKEN) > 0);
    if (--cut->pieces == PIECES_ALL_TAKEN) {
        queue_settle(queue, cut);
    }
}

void queue_piece_done(struct queue *queue, struct lot *lot)
{
    struct queue_pending *pending = &queue->pending[lot->signal];
    CHECK(lot->cutter == &pending->cutter && pending->cut != NULL);
    pending->cut_items = 0;
    struct parcel_link *link = pending->cut;
    pending->cut = NULL;
    lot->cutter = NULL;
    if (link->pieces == 0) {
        queue_settle(queue, link);
    } else {
        link->pieces |= PIECES_ALL_TAKEN;
    }
}

bool queue_is_empty(const struct queue *queue)
{
    for (unsigned i = 0; i < SIGNAL_COUNT; i++) {
        if (queue->pending[i].count > 0 || queue->pending[i].cut != NULL) {
            return false;
        }
    }
    return true;
}

uint64_t queue_items(const struct queue *queue, enum signal signal)
{
    return queue->pending[signal].items + queue->pending[signal].cut_items;
}

struct parcel_link *queue_take_rest(struct queue *queue)
{
    struct parcel_link *all = NULL;
    for (unsigned i = 0; i < SIGNAL_COUNT; i++) {
        struct queue_pending *pending = &queue->pending[i];
        if (pending->cut != NULL) {
            set_next(pending->cut, all);
            all = pending->cut;
        }
        if (pending->count > 0) {
            set_next(pending->last, all);
            all = pending->first;
        }
        memset(pending, 0, sizeof(*pending));
    }
    return all;
}

void queue_settle(struct queue *queue, struct parcel_link *first)
{
    while (first != NULL) {
        struct parcel_link *next = queue_next_link(first);
        struct parcel *parcel = first->parcel;
        queue_release(queue, parcel->charge_bytes, parcel->own);
        first->pieces = 0;
        if (queue->settled != NULL && !queue->is_abandoning) {
            queue->settled(queue->settled_arg, first);
        } else {
            first->parcel = NULL;  // the link may die with the parcel
            parcel_unref(&parcel);
        }
        first = next;
    }
}
