// SPDX-License-Identifier: Apache-2.0
// Bodies on their way out: borrowed, rendered, compressed, charged and given back.
#include "exporter/payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/export_sample.h"
#include "tests/unit/score_sample.h"

static struct account *account;
static struct packer packer;

static int set_up(void **state)
{
    (void)state;
    account = account_new((size_t)4 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    packer_fini(&packer);
    assert_int_equal(account_used(account, POOL_QUEUES), 0);
    account_free(account);
    return 0;
}

static void inflates_to(const struct payload *payload, struct bytes plain)
{
    struct buffer out;
    const char *why;
    buffer_init(&out, (size_t)16 << 20);
    struct compressor *compressor = compressor_new();
    assert_int_equal(
        codec_inflate(compressor, payload->codec, payload->wire, &out, NULL, NULL, &why),
        RESULT_OK);
    assert_true(bytes_equal(buffer_view(&out), plain));
    compressor_free(compressor);
    buffer_fini(&out);
}

static void a_whole_batch_is_borrowed_in_its_own_codec(void **state)
{
    (void)state;
    struct batch_home *home = batch_home_new(NULL, 0);
    struct parcel *parcel = sample_parcel_packed(home, 0, 100, 100);
    packer_init(&packer, CODEC_GZIP, NULL, account);
    struct payload *payload = packer_borrow(&packer, parcel->batch, false);
    assert_non_null(payload);
    assert_ptr_equal(payload->wire.ptr, parcel->batch->packed.ptr);
    assert_int_equal(payload->codec, CODEC_GZIP);
    assert_int_equal(account_used(account, POOL_QUEUES), 0);
    parcel_unref(&parcel);  // the payload holds the batch
    inflates_to(payload, payload->batch->body);
    packer_recycle(&packer, &payload);
    assert_null(payload);
    batch_home_close(home);
}

static void without_a_codec_the_body_is_borrowed(void **state)
{
    (void)state;
    struct parcel *parcel = sample_parcel(0, 100, 100);
    packer_init(&packer, CODEC_NONE, NULL, account);
    struct payload *payload = packer_borrow(&packer, parcel->batch, false);
    assert_ptr_equal(payload->wire.ptr, parcel->batch->body.ptr);
    assert_int_equal(payload->codec, CODEC_NONE);
    packer_recycle(&packer, &payload);
    parcel_unref(&parcel);
}

static void another_codec_is_made_from_the_body(void **state)
{
    (void)state;
    struct parcel *parcel = sample_parcel(0, 100, 100);
    packer_init(&packer, CODEC_ZSTD, NULL, account);
    struct payload *payload = packer_borrow(&packer, parcel->batch, false);
    assert_int_equal(payload->codec, CODEC_ZSTD);
    assert_true(payload->wire.len < parcel->batch->body.len);
    inflates_to(payload, parcel->batch->body);
    packer_recycle(&packer, &payload);
    parcel_unref(&parcel);
}

static void merged_parcels_are_the_concatenation(void **state)
{
    (void)state;
    static const enum codec codecs[] = {CODEC_NONE, CODEC_GZIP};
    struct parcel *a = sample_parcel(0, 10, 100);
    struct parcel *b = sample_parcel(10, 10, 100);
    struct buffer both;
    buffer_init(&both, 1 << 20);
    parcel_render(a, &both);
    parcel_render(b, &both);
    for (size_t i = 0; i < 2; i++) {
        packer_init(&packer, codecs[i], NULL, account);
        packer_begin(&packer, SIGNAL_TRACES);
        packer_add(&packer, a);
        packer_add(&packer, b);
        assert_int_equal(packer_plain_bytes(&packer), both.len);
        struct payload *payload = packer_finish(&packer, false);
        inflates_to(payload, buffer_view(&both));
        assert_int_equal(payload->plain_bytes, both.len);
        packer_recycle(&packer, &payload);
        if (i == 0) {
            packer_fini(&packer);
        }
    }
    buffer_fini(&both);
    parcel_unref(&a);
    parcel_unref(&b);
}

static void a_pool_that_refuses_yields_nothing_unless_forced(void **state)
{
    (void)state;
    struct parcel *parcel = sample_parcel(0, 10, 1000);
    packer_init(&packer, CODEC_GZIP, NULL, account);
    size_t share = account_share(account, POOL_QUEUES);
    assert_true(account_charge(account, POOL_QUEUES, share));
    packer_begin(&packer, SIGNAL_TRACES);
    packer_add(&packer, parcel);
    assert_null(packer_finish(&packer, false));
    packer_begin(&packer, SIGNAL_TRACES);
    packer_add(&packer, parcel);
    struct payload *payload = packer_finish(&packer, true);
    assert_non_null(payload);
    inflates_to(payload, parcel->batch->body);
    packer_recycle(&packer, &payload);
    account_release(account, POOL_QUEUES, share);
    parcel_unref(&parcel);
}

static void memory_is_used_again_and_charged_once(void **state)
{
    (void)state;
    struct parcel *parcel = sample_parcel(0, 10, 1000);
    packer_init(&packer, CODEC_GZIP, NULL, account);
    struct payload *first = NULL;
    size_t charged = 0;
    for (int i = 0; i < 20; i++) {
        packer_begin(&packer, SIGNAL_TRACES);
        packer_add(&packer, parcel);
        struct payload *payload = packer_finish(&packer, false);
        first = i == 0 ? payload : first;
        charged = i == 0 ? account_used(account, POOL_QUEUES) : charged;
        assert_ptr_equal(payload, first);
        assert_int_equal(account_used(account, POOL_QUEUES), charged);
        packer_recycle(&packer, &payload);
    }
    parcel_unref(&parcel);
}

static void a_payload_that_somebody_still_reads_is_not_used_again(void **state)
{
    (void)state;
    struct parcel *parcel = sample_parcel(0, 10, 1000);
    packer_init(&packer, CODEC_GZIP, NULL, account);
    packer_begin(&packer, SIGNAL_TRACES);
    packer_add(&packer, parcel);
    struct payload *payload = packer_finish(&packer, false);
    struct payload *reader = payload;
    payload_hold(reader);
    packer_recycle(&packer, &payload);
    packer_begin(&packer, SIGNAL_TRACES);
    packer_add(&packer, parcel);
    struct payload *next = packer_finish(&packer, false);
    assert_ptr_not_equal(next, reader);
    inflates_to(reader, parcel->batch->body);
    payload_release(&reader);
    packer_recycle(&packer, &next);
    parcel_unref(&parcel);
}

// --- scores ---------------------------------------------------------------------------------

static void put_name(struct score_body *body, const struct score_entry *entry)
{
    buffer_printf(body->out, "%s;", entry->name);
}

static const struct score_form names_form = {.record = put_name};
static const struct score_encoder names = {
    .form = &names_form, .send = SCORE_SEND_JUDGED, .suffix = "_t"};

static void scores_are_encoded_and_their_request_is_kept(void **state)
{
    (void)state;
    struct score_record records[2] = {score_sample(SAMPLE_NUMERIC, 1),
                                      score_sample(SAMPLE_ERROR, 1)};
    struct parcel *one = score_sample_parcel(records, 2);
    packer_init(&packer, CODEC_GZIP, &names, account);
    packer_begin(&packer, SIGNAL_SCORES);
    packer_add(&packer, one);
    struct payload *payload = packer_finish(&packer, false);
    assert_true(payload->is_encoded);
    assert_true(bytes_equal_text(payload->wire, "helpfulness;"));
    assert_int_equal(payload->scores.sent, 1);
    assert_int_equal(payload->scores.left_out, 1);
    assert_ptr_equal(payload->batch, one->batch);
    packer_recycle(&packer, &payload);
    packer_begin(&packer, SIGNAL_SCORES);
    packer_add(&packer, one);
    packer_add(&packer, one);
    payload = packer_finish(&packer, false);
    assert_true(bytes_equal_text(payload->wire, "helpfulness;helpfulness;"));
    assert_null(payload->batch);
    assert_int_equal(payload->source.len, 2 * one->batch->body.len);
    packer_recycle(&packer, &payload);
    parcel_unref(&one);
}

static void other_signals_pass_the_encoder_by(void **state)
{
    (void)state;
    struct parcel *parcel = sample_parcel(0, 10, 1000);
    packer_init(&packer, CODEC_GZIP, &names, account);
    assert_false(packer_encodes(&packer, SIGNAL_LOGS));
    packer_begin(&packer, SIGNAL_TRACES);
    packer_add(&packer, parcel);
    struct payload *payload = packer_finish(&packer, false);
    assert_false(payload->is_encoded);
    inflates_to(payload, parcel->batch->body);
    packer_recycle(&packer, &payload);
    parcel_unref(&parcel);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_whole_batch_is_borrowed_in_its_own_codec),
        TEST(without_a_codec_the_body_is_borrowed),
        TEST(another_codec_is_made_from_the_body),
        TEST(merged_parcels_are_the_concatenation),
        TEST(a_pool_that_refuses_yields_nothing_unless_forced),
        TEST(memory_is_used_again_and_charged_once),
        TEST(a_payload_that_somebody_still_reads_is_not_used_again),
        TEST(scores_are_encoded_and_their_request_is_kept),
        TEST(other_signals_pass_the_encoder_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
