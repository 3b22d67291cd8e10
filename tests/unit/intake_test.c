// SPDX-License-Identifier: Apache-2.0
//
// Bodies on their way to the sink, without any transport: what is a turn's work and what is not,
// what is kept beside, what is charged and given back.
#include "receiver/intake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)

struct counting_sink {
    struct sink sink;             // first member
    unsigned offers;
    size_t body_bytes, packed_bytes;
    enum result result;
};

struct fixture {
    struct account *account;
    struct batch_home *home;
    struct intake *intake;
    struct compressor *compressor;
    struct counting_sink counting;
    struct intake_call call;
};

static struct fixture fixture;

static enum result take_offer(struct sink *sink, struct batch **batch, struct offer_reply *reply)
{
    struct counting_sink *counting = (struct counting_sink *)(void *)sink;
    (void)reply;
    counting->offers++;
    counting->body_bytes = (*batch)->body.len;
    counting->packed_bytes = (*batch)->packed.len;
    (*batch)->item_count = 5;
    batch_release(batch);
    return counting->result;
}

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    fixture.account = account_new(200 * MIB);  // 70 MiB for requests
    fixture.home = batch_home_new(fixture.account, MIB);
    fixture.intake = intake_new(fixture.account, fixture.home);
    fixture.compressor = compressor_new();
    fixture.counting.sink.offer = take_offer;
    fixture.call = (struct intake_call){.signal = SIGNAL_TRACES,
                                        .plain_max = 20 * MIB,
                                        .sink = &fixture.counting.sink};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    slab_drop(fixture.home, &fixture.call.body);
    batch_home_sweep(fixture.home);
    assert_int_equal(account_used(fixture.account, POOL_REQUESTS), 0);
    intake_free(&fixture.intake);
    compressor_free(fixture.compressor);
    batch_home_close(fixture.home);
    account_free(fixture.account);
    return 0;
}

static void set_body(enum codec codec, const void *ptr, size_t len)
{
    struct buffer packed;
    struct bytes body = bytes_from(ptr, len);
    buffer_init(&packed, 64 * MIB);
    if (codec != CODEC_NONE) {
        assert_int_equal(codec_deflate(fixture.compressor, codec, &body, 1, &packed), RESULT_OK);
        body = buffer_view(&packed);
    }
    struct slab *slab = &fixture.call.body;
    slab_drop(fixture.home, slab);
    assert_int_equal(slab_grow(fixture.home, slab, body.len), RESULT_OK);
    memcpy(slab->ptr, body.ptr, body.len);
    slab->len = body.len;
    fixture.call.codec = codec;
    buffer_fini(&packed);
}

static void set_zeros(enum codec codec, size_t len)
{
    uint8_t *zeros = calloc(1, len);
    assert_non_null(zeros);
    set_body(codec, zeros, len);
    free(zeros);
}

static void only_small_bodies_are_a_turns_work(void **state)
{
    (void)state;
    static const struct {
        enum codec codec;
        size_t len;
        bool is_light;
    } rows[] = {
        {CODEC_NONE, 100, true},
        {CODEC_NONE, INTAKE_LIGHT_BYTES, true},
        {CODEC_NONE, INTAKE_LIGHT_BYTES + 1, false},
        {CODEC_GZIP, 100, true},
        {CODEC_GZIP, 200000, true},
        {CODEC_GZIP, INTAKE_LIGHT_BYTES, false},  // both forms together are more
        {CODEC_GZIP, 8 * MIB, false},
        {CODEC_DEFLATE, 8 * MIB, false},
        {CODEC_ZSTD, 8 * MIB, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        set_zeros(rows[i].codec, rows[i].len);
        size_t body_bytes = fixture.call.body.len;
        fixture.counting.offers = 0;
        assert_int_equal(intake_run(fixture.intake, &fixture.call, true), rows[i].is_light);
        assert_int_equal(fixture.counting.offers, rows[i].is_light);
        if (!rows[i].is_light) {  // left as it came, and a worker does it
            assert_int_equal(fixture.call.body.len, body_bytes);
            assert_true(intake_run(fixture.intake, &fixture.call, false));
        }
        assert_int_equal(fixture.call.result, RESULT_OK);
        assert_int_equal(fixture.call.item_count, 5);
        assert_int_equal(fixture.counting.body_bytes, rows[i].len);
        assert_int_equal(fixture.counting.packed_bytes,
                         rows[i].codec == CODEC_NONE ? 0 : body_bytes);
        batch_home_sweep(fixture.home);
    }
}

static void json_is_light_up_to_its_own_bound(void **state)
{
    (void)state;
    size_t len = INTAKE_LIGHT_JSON_BYTES + 1;
    char *json = malloc(len);
    assert_non_null(json);
    memset(json, ' ', len);
    memcpy(json, "{\"resourceSpans\":[{}]}", 22);
    fixture.call.is_json = true;
    set_body(CODEC_NONE, json, len);
    assert_false(intake_run(fixture.intake, &fixture.call, true));
    assert_true(intake_run(fixture.intake, &fixture.call, false));
    assert_int_equal(fixture.call.result, RESULT_OK);
    set_body(CODEC_GZIP, json, len);
    assert_false(intake_run(fixture.intake, &fixture.call, true));
    set_body(CODEC_GZIP, json, 1000);
    assert_true(intake_run(fixture.intake, &fixture.call, true));
    assert_int_equal(fixture.counting.packed_bytes, 0);  // it is no other form of the protobuf
    free(json);
}

static void ceilings_hold_for_the_inflated_form(void **state)
{
    (void)state;
    fixture.call.plain_max = 100000;
    set_zeros(CODEC_GZIP, 100001);
    assert_true(intake_run(fixture.intake, &fixture.call, true));
    assert_int_equal(fixture.call.result, RESULT_TOO_LARGE);
    assert_non_null(strstr(fixture.call.reply.message, "too large"));
    set_zeros(CODEC_ZSTD, 60 * MIB);
    fixture.call.plain_max = 20 * MIB;
    assert_true(intake_run(fixture.intake, &fixture.call, false));
    assert_int_equal(fixture.call.result, RESULT_TOO_LARGE);
    assert_int_equal(fixture.counting.offers, 0);
}

static void malformed_bodies_are_rejected_with_a_reason(void **state)
{
    (void)state;
    static const enum codec codecs[] = {CODEC_GZIP, CODEC_DEFLATE, CODEC_ZSTD};
    for (size_t i = 0; i < 3; i++) {
        set_body(CODEC_NONE, "this is not compressed", 22);
        fixture.call.codec = codecs[i];
        assert_true(intake_run(fixture.intake, &fixture.call, true));
        assert_int_equal(fixture.call.result, RESULT_REJECT);
        assert_true(fixture.call.reply.message[0] != '\0');
    }
    fixture.call.is_json = true;
    set_body(CODEC_NONE, "{\"resourceSpans\":{}", 19);
    assert_true(intake_run(fixture.intake, &fixture.call, true));
    assert_int_equal(fixture.call.result, RESULT_REJECT);
    assert_int_equal(fixture.counting.offers, 0);
}

static void refused_memory_sheds_and_is_given_back(void **state)
{
    (void)state;
    set_zeros(CODEC_GZIP, 8 * MIB);
    account_set_refuse(fixture.account, true);
    assert_true(intake_run(fixture.intake, &fixture.call, false));
    assert_int_equal(fixture.call.result, RESULT_SHED);
    assert_true(fixture.call.reply.message[0] != '\0');
    account_set_refuse(fixture.account, false);
    assert_int_equal(fixture.counting.offers, 0);
}

static void nothing_is_a_success_without_an_offer(void **state)
{
    (void)state;
    assert_true(intake_run(fixture.intake, &fixture.call, true));
    assert_int_equal(fixture.call.result, RESULT_OK);
    fixture.call.is_json = true;
    set_body(CODEC_NONE, "{}", 2);
    assert_true(intake_run(fixture.intake, &fixture.call, true));
    assert_int_equal(fixture.call.result, RESULT_OK);
    assert_int_equal(fixture.counting.offers, 0);
}

static void the_sinks_answer_is_handed_on(void **state)
{
    (void)state;
    fixture.counting.result = RESULT_STOP;
    set_zeros(CODEC_NONE, 10);
    assert_true(intake_run(fixture.intake, &fixture.call, true));
    assert_int_equal(fixture.call.result, RESULT_STOP);
    assert_int_equal(fixture.call.item_count, 5);
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(only_small_bodies_are_a_turns_work),
        ROW(json_is_light_up_to_its_own_bound),
        ROW(ceilings_hold_for_the_inflated_form),
        ROW(malformed_bodies_are_rejected_with_a_reason),
        ROW(refused_memory_sheds_and_is_given_back),
        ROW(nothing_is_a_success_without_an_offer),
        ROW(the_sinks_answer_is_handed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
