// SPDX-License-Identifier: Apache-2.0
//
// Parcels by hand-made requests, and by properties over generated ones: what is rendered scans to
// the same items with the edits made, unknown fields are there bit for bit, pieces add up.
#include "proto/parcel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/attribute.h"
#include "tests/sample_request.h"
#include "tests/unit/crash.h"

enum { ITEMS_MAX = 128, SEEDS = 300 };

struct items {
    struct item_view views[ITEMS_MAX];
    struct item_place places[ITEMS_MAX];
    unsigned count;
};

static bool item_keep(void *arg, const struct item_view *view)
{
    struct items *items = arg;
    assert_true(items->count < ITEMS_MAX);
    assert_int_equal(view->fault, SCAN_OK);
    items->places[items->count] = view->place;
    items->views[items->count++] = *view;
    return true;
}

static void items_scan(enum signal signal, struct bytes body, struct items *items)
{
    struct scan_report report;
    items->count = 0;
    assert_int_equal(scan_request(signal, body, SCAN_CHECK_UTF8, item_keep, items, &report),
                     RESULT_OK);
}

static void items_of(const struct parcel *parcel, struct items *items)
{
    items->count = 0;
    parcel_each(parcel, item_keep, items);
}

static void rendered_items(const struct parcel *parcel, struct buffer *out, struct items *items)
{
    buffer_init(out, (size_t)8 << 20);
    parcel_render(parcel, out);
    assert_int_equal(buffer_status(out), RESULT_OK);
    assert_int_equal(out->len, parcel_rendered_size(parcel));
    items_scan(parcel->batch->signal, buffer_view(out), items);
}

static struct parcel *parcel_of(enum signal signal, struct bytes body, struct items *items)
{
    struct batch *batch = batch_make(signal, body, 0);
    items_scan(signal, batch->body, items);
    for (unsigned i = 0; i < items->count; i++) {
        batch->item_count += signal == SIGNAL_METRICS ? items->views[i].point_count : 1;
    }
    return parcel_new(batch, PARCEL_ALL, NULL, 0, 0);
}

static void span_write(struct buffer *out, const char *name)
{
    size_t span = wire_open(out, SCOPE_ITEMS);
    wire_write_text(out, SPAN_NAME, name);
    attribute_write_text(out, SPAN_ATTRIBUTES, "a", BYTES_LITERAL("1"));
    attribute_write_text(out, SPAN_ATTRIBUTES, "sidejudge.old", BYTES_LITERAL("2"));
    wire_write_varint(out, SPAN_DROPPED_ATTRIBUTES, 3);
    attribute_write_text(out, SPAN_ATTRIBUTES, "sidejudge.older", BYTES_LITERAL("4"));
    wire_write_text(out, 1000, "unknown");
    wire_close(out, span);
}

// Two resources; the first has scopes of two spans, of none and of one span, the second one span.
// Heads and schema_urls stand where they like.
static void four_spans_write(struct buffer *out)
{
    size_t resource = wire_open(out, REQUEST_RESOURCES);
    size_t scope = wire_open(out, RESOURCE_SCOPES);
    span_write(out, "one");
    wire_write_text(out, SCOPE_SCHEMA_URL, "url 1");
    span_write(out, "two");
    size_t head = wire_open(out, SCOPE_SCOPE);
    wire_write_text(out, SCOPE_NAME, "scope 1");
    wire_close(out, head);
    wire_close(out, scope);
    wire_close(out, wire_open(out, RESOURCE_SCOPES));
    scope = wire_open(out, RESOURCE_SCOPES);
    span_write(out, "three");
    wire_close(out, scope);
    head = wire_open(out, RESOURCE_RESOURCE);
    attribute_write_text(out, RES_ATTRIBUTES, "service.name", BYTES_LITERAL("first"));
    wire_close(out, head);
    wire_write_text(out, 2000, "unknown of the resource");
    wire_close(out, resource);
    wire_write_text(out, 3000, "unknown of the request");
    resource = wire_open(out, REQUEST_RESOURCES);
    scope = wire_open(out, RESOURCE_SCOPES);
    span_write(out, "four");
    wire_close(out, scope);
    wire_close(out, resource);
}

struct fixture {
    struct buffer body;
    struct items items;
    struct parcel *parcel;
};

static void set_up(struct fixture *fixture)
{
    buffer_init(&fixture->body, 65536);
    four_spans_write(&fixture->body);
    fixture->parcel = parcel_of(SIGNAL_TRACES, buffer_view(&fixture->body), &fixture->items);
    assert_int_equal(fixture->items.count, 4);
}

static void tear_down(struct fixture *fixture)
{
    parcel_unref(&fixture->parcel);
    buffer_fini(&fixture->body);
}

static bool names_are(const struct items *items, const char *const *names, unsigned count)
{
    if (items->count != count) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!bytes_equal_text(items->views[i].name, names[i])) {
            return false;
        }
    }
    return true;
}

static void a_whole_parcel_is_the_bytes_it_came_in(void **state)
{
    (void)state;
    struct fixture fixture;
    struct buffer out;
    struct items items;
    set_up(&fixture);
    assert_true(parcel_is_whole(fixture.parcel));
    rendered_items(fixture.parcel, &out, &items);
    assert_true(bytes_equal(buffer_view(&out), buffer_view(&fixture.body)));
    buffer_fini(&out);
    tear_down(&fixture);
}

static void a_split_gives_two_requests_with_their_containers(void **state)
{
    (void)state;
    struct fixture fixture;
    struct buffer out;
    struct items items;
    static const char *const taken[] = {"two", "four"};
    static const char *const rest[] = {"one", "three"};
    set_up(&fixture);
    fixture.parcel->charge_bytes = 1000;
    struct item_place places[] = {fixture.items.places[1], fixture.items.places[3]};
    struct parcel *part = parcel_split(fixture.parcel, places, 2);
    assert_non_null(part);
    assert_int_equal(part->item_count, 2);
    assert_int_equal(fixture.parcel->item_count, 2);
    assert_int_equal(part->charge_bytes + fixture.parcel->charge_bytes, 1000);
    assert_true(part->charge_bytes > 200);
    rendered_items(part, &out, &items);
    assert_true(names_are(&items, taken, 2));
    assert_true(bytes_equal(items.views[0].scope, fixture.items.views[1].scope));
    assert_true(bytes_equal(items.views[0].resource, fixture.items.views[1].resource));
    assert_int_not_equal(bytes_find(buffer_view(&out), BYTES_LITERAL("url 1"), 0), SIZE_MAX);
    buffer_fini(&out);
    rendered_items(fixture.parcel, &out, &items);
    assert_true(names_are(&items, rest, 2));
    // The second resource lost its last span; the empty scope and unknown fields are still there.
    assert_int_not_equal(bytes_find(buffer_view(&out), BYTES_LITERAL("unknown of the re"), 0),
                         SIZE_MAX);
    assert_int_not_equal(bytes_find(buffer_view(&out), BYTES_LITERAL("\x12\x00"), 0), SIZE_MAX);
    buffer_fini(&out);
    parcel_unref(&part);
    tear_down(&fixture);
}

static void taking_all_that_is_left_gives_the_parcel_itself(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    assert_null(parcel_split(fixture.parcel, fixture.items.places, 4));
    assert_int_equal(fixture.parcel->mode, PARCEL_ALL);
    struct parcel *part = parcel_split(fixture.parcel, fixture.items.places, 3);
    assert_non_null(part);
    assert_null(parcel_split(fixture.parcel, fixture.items.places + 3, 1));
    assert_null(parcel_split(part, fixture.items.places, 3));
    struct parcel *smaller = parcel_split(part, fixture.items.places + 1, 1);
    assert_int_equal(part->item_count, 2);
    assert_int_equal(smaller->item_count, 1);
    parcel_unref(&smaller);
    parcel_unref(&part);
    tear_down(&fixture);
}

static void exceptions_come_from_several_splits(void **state)
{
    (void)state;
    struct fixture fixture;
    struct buffer out;
    struct items items;
    static const char *const rest[] = {"two"};
    set_up(&fixture);
    static const unsigned order[] = {2, 0, 3};
    for (unsigned i = 0; i < 3; i++) {
        struct parcel *part = parcel_split(fixture.parcel, &fixture.items.places[order[i]], 1);
        assert_non_null(part);
        items_of(part, &items);
        assert_int_equal(items.count, 1);
        assert_true(bytes_equal(items.views[0].item, fixture.items.views[order[i]].item));
        assert_true(bytes_equal(items.views[0].resource, fixture.items.views[order[i]].resource));
        parcel_unref(&part);
    }
    items_of(fixture.parcel, &items);
    assert_true(names_are(&items, rest, 1));
    rendered_items(fixture.parcel, &out, &items);
    assert_true(names_are(&items, rest, 1));
    buffer_fini(&out);
    tear_down(&fixture);
}

static bool value_is(const struct item_view *view, const char *key, const char *expected)
{
    struct any_view value;
    if (!attribute_find(view->item, SPAN_ATTRIBUTES, key, &value)) {
        return expected == NULL;
    }
    return expected != NULL && bytes_equal_text(value.bytes, expected);
}

static struct buffer field_of(const char *key, const char *value)
{
    struct buffer out;
    buffer_init(&out, 4096);
    attribute_write_text(&out, SPAN_ATTRIBUTES, key, bytes_from_text(value));
    return out;
}

static void edits_change_their_item_only(void **state)
{
    (void)state;
    struct fixture fixture;
    struct buffer out;
    struct items items;
    set_up(&fixture);
    uint32_t two = fixture.items.places[1].item_at;
    uint32_t four = fixture.items.places[3].item_at;
    struct buffer verdict = field_of("verdict", "pass");
    struct buffer replacement = field_of("a", "new");
    assert_int_equal(parcel_append(fixture.parcel, four, buffer_view(&verdict)), RESULT_OK);
    assert_int_equal(parcel_delete_prefix(fixture.parcel, two, BYTES_LITERAL("sidejudge.")),
                     RESULT_OK);
    assert_int_equal(
        parcel_replace(fixture.parcel, two, BYTES_LITERAL("a"), buffer_view(&replacement)),
        RESULT_OK);
    assert_int_equal(parcel_delete(fixture.parcel, four, BYTES_LITERAL("sidejudge.old")),
                     RESULT_OK);
    assert_false(parcel_is_whole(fixture.parcel));
    rendered_items(fixture.parcel, &out, &items);
    assert_int_equal(items.count, 4);
    assert_true(bytes_equal(items.views[0].item, fixture.items.views[0].item));
    assert_true(bytes_equal(items.views[2].item, fixture.items.views[2].item));
    assert_true(value_is(&items.views[1], "a", "new"));
    assert_true(value_is(&items.views[1], "sidejudge.old", NULL));
    assert_true(value_is(&items.views[1], "sidejudge.older", NULL));
    assert_true(value_is(&items.views[3], "a", "1"));
    assert_true(value_is(&items.views[3], "verdict", "pass"));
    assert_true(value_is(&items.views[3], "sidejudge.old", NULL));
    assert_true(value_is(&items.views[3], "sidejudge.older", "4"));
    assert_int_not_equal(bytes_find(items.views[1].item, BYTES_LITERAL("unknown"), 0), SIZE_MAX);
    buffer_fini(&verdict);
    buffer_fini(&replacement);
    buffer_fini(&out);
    tear_down(&fixture);
}

static void edits_apply_in_order_of_addition(void **state)
{
    (void)state;
    struct fixture fixture;
    struct buffer out;
    struct items items;
    set_up(&fixture);
    uint32_t at = fixture.items.places[0].item_at;
    struct buffer first = field_of("k", "first");
    struct buffer second = field_of("k", "second");
    struct buffer other = field_of("other", "stays");
    assert_int_equal(parcel_append(fixture.parcel, at, buffer_view(&first)), RESULT_OK);
    assert_int_equal(parcel_append(fixture.parcel, at, buffer_view(&other)), RESULT_OK);
    assert_int_equal(parcel_delete(fixture.parcel, at, BYTES_LITERAL("k")), RESULT_OK);
    rendered_items(fixture.parcel, &out, &items);
    assert_true(value_is(&items.views[0], "k", NULL));
    assert_true(value_is(&items.views[0], "other", "stays"));
    buffer_fini(&out);
    assert_int_equal(parcel_append(fixture.parcel, at, buffer_view(&second)), RESULT_OK);
    rendered_items(fixture.parcel, &out, &items);
    assert_true(value_is(&items.views[0], "k", "second"));
    buffer_fini(&out);
    buffer_fini(&first);
    buffer_fini(&second);
    buffer_fini(&other);
    tear_down(&fixture);
}

static void edits_move_with_their_items(void **state)
{
    (void)state;
    struct fixture fixture;
    struct buffer out;
    struct items items;
    set_up(&fixture);
    struct buffer verdict = field_of("verdict", "pass");
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(
            parcel_append(fixture.parcel, fixture.items.places[i].item_at, buffer_view(&verdict)),
            RESULT_OK);
    }
    struct parcel *part = parcel_split(fixture.parcel, &fixture.items.places[1], 2);
    rendered_items(part, &out, &items);
    assert_int_equal(items.count, 2);
    assert_true(value_is(&items.views[0], "verdict", "pass"));
    buffer_fini(&out);
    rendered_items(fixture.parcel, &out, &items);
    assert_int_equal(items.count, 2);
    assert_true(value_is(&items.views[1], "verdict", "pass"));
    buffer_fini(&out);
    buffer_fini(&verdict);
    parcel_unref(&part);
    tear_down(&fixture);
}

static void edit_memory_is_bounded_and_survives_splits(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    struct buffer verdict = field_of("key", "some value of a few bytes");
    unsigned count = 0;
    uint32_t at = fixture.items.places[1].item_at;
    while (parcel_append(fixture.parcel, at, buffer_view(&verdict)) == RESULT_OK) {
        count++;
        assert_true(count < 100000);
    }
    assert_true(count > 1000);
    assert_true(fixture.parcel->edit_bytes <= PARCEL_EDIT_BYTES_MAX);
    struct parcel *part = parcel_split(fixture.parcel, &fixture.items.places[1], 1);
    assert_null(fixture.parcel->edits);
    assert_non_null(part->edits);
    buffer_fini(&verdict);
    parcel_unref(&part);
    tear_down(&fixture);
}

static void detaching_lets_the_old_batch_go(void **state)
{
    (void)state;
    struct fixture fixture;
    struct items items;
    static const char *const names[] = {"two"};
    set_up(&fixture);
    struct parcel *part = parcel_split(fixture.parcel, &fixture.items.places[1], 1);
    struct buffer verdict = field_of("verdict", "pass");
    assert_int_equal(parcel_append(part, fixture.items.places[1].item_at, buffer_view(&verdict)),
                     RESULT_OK);
    assert_int_equal(atomic_load(&fixture.parcel->batch->views), 2);
    parcel_detach(part);
    assert_int_equal(atomic_load(&fixture.parcel->batch->views), 1);
    assert_true(parcel_is_whole(part));
    items_of(part, &items);
    assert_true(names_are(&items, names, 1));
    assert_true(value_is(&items.views[0], "verdict", "pass"));
    assert_int_equal(part->item_count, 1);
    buffer_fini(&verdict);
    parcel_unref(&part);
    tear_down(&fixture);
}

static void what_is_remembered_knows_nothing_of_later_edits(void **state)
{
    (void)state;
    struct fixture fixture;
    struct items items;
    static const char *const names[] = {"two"};
    set_up(&fixture);
    struct parcel *part = parcel_split(fixture.parcel, &fixture.items.places[1], 1);
    uint32_t item_at = fixture.items.places[1].item_at;
    struct buffer verdict = field_of("verdict", "pass"), later = field_of("later", "yes");
    assert_int_equal(parcel_append(part, item_at, buffer_view(&verdict)), RESULT_OK);
    parcel_remember(part);
    assert_int_equal(parcel_append(part, item_at, buffer_view(&later)), RESULT_OK);
    parcel_detach(part);
    items_of(part->before, &items);
    assert_true(names_are(&items, names, 1));
    assert_int_equal(part->before->item_count, 1);
    assert_int_equal(part->before->items[0].item_at, item_at);
    assert_non_null(part->before->edits);
    assert_null(part->before->edits->next);
    parcel_remember(part);  // of a detached copy: what there was stays
    assert_int_equal(part->before->items[0].item_at, item_at);
    buffer_fini(&verdict);
    buffer_fini(&later);
    parcel_unref(&part);
    tear_down(&fixture);
}

static void a_parcel_is_counted_and_links_know_it(void **state)
{
    (void)state;
    struct batch *batch = batch_make(SIGNAL_TRACES, BYTES_NONE, 0);
    struct parcel *parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, 3);
    struct parcel *other = parcel;
    assert_ptr_equal(parcel->links[2].parcel, parcel);
    parcel_ref(parcel);
    parcel_unref(&other);
    assert_null(other);
    assert_true(parcel_is_whole(parcel));
    parcel_unref(&parcel);
    parcel_unref(&parcel);
}

static void split_foreign_place(void *arg)
{
    struct fixture *fixture = arg;
    struct parcel *part = parcel_split(fixture->parcel, &fixture->items.places[0], 2);
    (void)parcel_split(part, &fixture->items.places[3], 1);
}

static void render_foreign_place(void *arg)
{
    struct fixture *fixture = arg;
    struct item_place place = fixture->items.places[0];
    place.item_at += 1;
    batch_hold(fixture->parcel->batch);
    struct parcel *part = parcel_new(fixture->parcel->batch, PARCEL_ONLY, &place, 1, 0);
    (void)parcel_rendered_size(part);
}

static void places_out_of_order(void *arg)
{
    struct fixture *fixture = arg;
    struct item_place places[] = {fixture->items.places[1], fixture->items.places[0]};
    (void)parcel_new(fixture->parcel->batch, PARCEL_ONLY, places, 2, 0);
}

static void places_that_are_not_the_parcels_crash(void **state)
{
    (void)state;
    struct fixture fixture;
    set_up(&fixture);
    assert_true(crashes(split_foreign_place, &fixture));
    assert_true(crashes(render_foreign_place, &fixture));
    assert_true(crashes(places_out_of_order, &fixture));
    tear_down(&fixture);
}

static void an_empty_request_has_no_pieces(void **state)
{
    (void)state;
    struct batch *batch = batch_make(SIGNAL_LOGS, BYTES_NONE, 0);
    struct parcel *parcel = parcel_new(batch, PARCEL_ALL, NULL, 0, 0);
    struct parcel_cutter cutter;
    struct buffer out;
    uint32_t count = 0;
    buffer_init(&out, 100);
    parcel_cutter_begin(&cutter, parcel);
    assert_false(parcel_cutter_next(&cutter, 100, &out, &count));
    assert_int_equal(out.len, 0);
    parcel_unref(&parcel);
    buffer_fini(&out);
}

static void pieces_of_one_item_each_when_nothing_fits(void **state)
{
    (void)state;
    struct fixture fixture;
    struct parcel_cutter cutter;
    struct items items;
    static const char *const names[] = {"one", "two", "three", "four"};
    uint32_t count = 0;
    set_up(&fixture);
    parcel_cutter_begin(&cutter, fixture.parcel);
    for (unsigned i = 0; i < 4; i++) {
        struct buffer out;
        buffer_init(&out, 65536);
        assert_true(parcel_cutter_next(&cutter, 1, &out, &count));
        assert_int_equal(count, 1);
        items_scan(SIGNAL_TRACES, buffer_view(&out), &items);
        assert_true(names_are(&items, &names[i], 1));
        assert_true(bytes_equal(items.views[0].scope, fixture.items.views[i].scope));
        buffer_fini(&out);
    }
    struct buffer out;
    buffer_init(&out, 65536);
    assert_false(parcel_cutter_next(&cutter, 1, &out, &count));
    buffer_fini(&out);
    tear_down(&fixture);
}

static void pieces_stay_below_their_size_and_add_up(void **state)
{
    (void)state;
    struct buffer body;
    struct items items;
    buffer_init(&body, (size_t)4 << 20);
    sample_small_spans(&body, 100, 1);
    struct parcel *parcel = parcel_of(SIGNAL_TRACES, buffer_view(&body), &items);
    for (size_t bytes_max = 500; bytes_max < body.len + 500; bytes_max += 777) {
        struct parcel_cutter cutter;
        unsigned total = 0;
        unsigned pieces = 0;
        uint32_t count = 0;
        struct buffer out;
        buffer_init(&out, (size_t)4 << 20);
        parcel_cutter_begin(&cutter, parcel);
        while (parcel_cutter_next(&cutter, bytes_max, &out, &count)) {
            struct items piece;
            assert_true(out.len <= bytes_max || count == 1);
            items_scan(SIGNAL_TRACES, buffer_view(&out), &piece);
            assert_int_equal(piece.count, count);
            for (unsigned i = 0; i < piece.count; i++) {
                assert_true(bytes_equal(piece.views[i].item, items.views[total + i].item));
            }
            total += count;
            pieces++;
            buffer_reset(&out);
        }
        assert_int_equal(total, 100);
        // Nearly full: short of the size by one span and the containers' headers at most.
        assert_true(bytes_max < 1000 || pieces <= body.len / (bytes_max - 600) + 2);
        buffer_fini(&out);
    }
    parcel_unref(&parcel);
    buffer_fini(&body);
}

static void sample(struct buffer *body, enum signal signal, uint64_t seed)
{
    struct sample_options options = {
        .has_unknown_fields = true, .pads_varints = true, .has_groups = true, .depth_max = 4};
    struct random random;
    random_seed(&random, seed);
    buffer_init(body, (size_t)4 << 20);
    sample_request(body, signal, &random, &options);
}

static void random_splits_lose_and_change_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        enum signal signal = (enum signal)(seed % SIGNAL_OTLP_COUNT);
        struct buffer body;
        struct items all, left, right;
        struct random random;
        sample(&body, signal, seed);
        random_seed(&random, seed);
        struct parcel *parcel = parcel_of(signal, buffer_view(&body), &all);
        struct item_place places[ITEMS_MAX];
        unsigned count = 0;
        for (unsigned i = 0; i < all.count; i++) {
            if (random_below(&random, 3) == 0) {
                places[count++] = all.places[i];
            }
        }
        struct parcel *part = count > 0 ? parcel_split(parcel, places, count) : NULL;
        if (part != NULL) {
            struct buffer left_bytes, right_bytes;
            rendered_items(parcel, &left_bytes, &left);
            rendered_items(part, &right_bytes, &right);
            assert_int_equal(left.count + right.count, all.count);
            unsigned l = 0;
            unsigned r = 0;
            for (unsigned i = 0; i < all.count; i++) {
                bool in_part = r < count && places[r].item_at == all.places[i].item_at;
                const struct item_view *view = in_part ? &right.views[r++] : &left.views[l++];
                assert_true(bytes_equal(view->item, all.views[i].item));
                assert_true(bytes_equal(view->resource, all.views[i].resource));
                assert_true(bytes_equal(view->scope, all.views[i].scope));
            }
            buffer_fini(&left_bytes);
            buffer_fini(&right_bytes);
        }
        parcel_unref(&part);
        parcel_unref(&parcel);
        buffer_fini(&body);
    }
}

static void appended_attributes_are_all_that_a_splice_adds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        enum signal signal = seed % 2 == 0 ? SIGNAL_TRACES : SIGNAL_LOGS;
        uint32_t number = signal == SIGNAL_LOGS ? LOG_ATTRIBUTES : SPAN_ATTRIBUTES;
        struct buffer body, fields, out;
        struct items before, after;
        sample(&body, signal, seed);
        struct parcel *parcel = parcel_of(signal, buffer_view(&body), &before);
        buffer_init(&fields, 4096);
        attribute_write_double(&fields, number, "sidejudge.score.x", 0.5);
        attribute_write_text(&fields, number, "sidejudge.verdict", BYTES_LITERAL("fail"));
        for (unsigned i = 0; i < before.count; i += 2) {
            assert_int_equal(parcel_append(parcel, before.places[i].item_at, buffer_view(&fields)),
                             RESULT_OK);
        }
        rendered_items(parcel, &out, &after);
        assert_int_equal(after.count, before.count);
        for (unsigned i = 0; i < before.count; i++) {
            struct bytes old = before.views[i].item;
            struct bytes new = after.views[i].item;
            size_t added = i % 2 == 0 ? fields.len : 0;
            assert_int_equal(new.len, old.len + added);
            assert_true(bytes_start_with(new, old));
            assert_true(added == 0 || bytes_end_with(new, buffer_view(&fields)));
            assert_int_equal(after.views[i].attribute_count,
                             before.views[i].attribute_count + (added > 0 ? 2 : 0));
            assert_true(bytes_equal(after.views[i].resource, before.views[i].resource));
        }
        buffer_fini(&out);
        buffer_fini(&fields);
        parcel_unref(&parcel);
        buffer_fini(&body);
    }
}

static void requests_merge_by_concatenation(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        enum signal signal = (enum signal)(seed % SIGNAL_OTLP_COUNT);
        struct buffer first, second;
        struct items one, two, merged;
        sample(&first, signal, seed);
        sample(&second, signal, seed + 10000);
        struct parcel *parcel = parcel_of(signal, buffer_view(&second), &two);
        items_scan(signal, buffer_view(&first), &one);
        size_t len = first.len;
        parcel_render(parcel, &first);
        assert_int_equal(first.len, len + second.len);
        items_scan(signal, buffer_view(&first), &merged);
        assert_int_equal(merged.count, one.count + two.count);
        for (unsigned i = 0; i < two.count; i++) {
            assert_true(bytes_equal(merged.views[one.count + i].item, two.views[i].item));
        }
        parcel_unref(&parcel);
        buffer_fini(&first);
        buffer_fini(&second);
    }
}

static void random_cuts_lose_and_change_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        enum signal signal = (enum signal)(seed % SIGNAL_OTLP_COUNT);
        struct buffer body, out;
        struct items all, piece;
        struct parcel_cutter cutter;
        struct random random;
        unsigned at = 0;
        uint32_t points = 0;
        uint32_t count = 0;
        sample(&body, signal, seed);
        random_seed(&random, seed);
        struct parcel *parcel = parcel_of(signal, buffer_view(&body), &all);
        size_t bytes_max = (size_t)random_below(&random, body.len + 100);
        buffer_init(&out, (size_t)4 << 20);
        parcel_cutter_begin(&cutter, parcel);
        while (parcel_cutter_next(&cutter, bytes_max, &out, &count)) {
            items_scan(signal, buffer_view(&out), &piece);
            assert_true(piece.count > 0);
            assert_true(out.len <= bytes_max || piece.count == 1);
            for (unsigned i = 0; i < piece.count; i++) {
                assert_true(bytes_equal(piece.views[i].item, all.views[at + i].item));
                assert_true(bytes_equal(piece.views[i].resource, all.views[at + i].resource));
            }
            at += piece.count;
            points += count;
            buffer_reset(&out);
        }
        assert_int_equal(at, all.count);
        assert_int_equal(points, parcel->item_count);
        parcel_unref(&parcel);
        buffer_fini(&out);
        buffer_fini(&body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_parcel_is_the_bytes_it_came_in),
        cmocka_unit_test(a_split_gives_two_requests_with_their_containers),
        cmocka_unit_test(taking_all_that_is_left_gives_the_parcel_itself),
        cmocka_unit_test(exceptions_come_from_several_splits),
        cmocka_unit_test(edits_change_their_item_only),
        cmocka_unit_test(edits_apply_in_order_of_addition),
        cmocka_unit_test(edits_move_with_their_items),
        cmocka_unit_test(edit_memory_is_bounded_and_survives_splits),
        cmocka_unit_test(detaching_lets_the_old_batch_go),
        cmocka_unit_test(what_is_remembered_knows_nothing_of_later_edits),
        cmocka_unit_test(a_parcel_is_counted_and_links_know_it),
        cmocka_unit_test(places_that_are_not_the_parcels_crash),
        cmocka_unit_test(an_empty_request_has_no_pieces),
        cmocka_unit_test(pieces_of_one_item_each_when_nothing_fits),
        cmocka_unit_test(pieces_stay_below_their_size_and_add_up),
        cmocka_unit_test(random_splits_lose_and_change_nothing),
        cmocka_unit_test(appended_attributes_are_all_that_a_splice_adds),
        cmocka_unit_test(requests_merge_by_concatenation),
        cmocka_unit_test(random_cuts_lose_and_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
