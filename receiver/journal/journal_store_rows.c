// SPDX-License-Identifier: Apache-2.0
// The forms of the journal's rows and the CRC32C of each. A state is a row of integers; a body is a
// head of fixed fields and the route, then the body's first part, then chunks. A CRC covers the key
// as well, so a row that turns up under another key is refused. Refused: one blob per body, which
// would have to be erased in one transaction of its size. Numbers are little endian. Bounds:
// JOURNAL_HEAD_BYTES_MAX, JOURNAL_ENTRY_BYTES_MAX. The thread of the store.
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "receiver/journal/journal_store_parts.h"

enum { HEAD_VERSION = 1, HEAD_FIXED_BYTES = 36, HEAD_CRC_BYTES = 4 };

static uint8_t *put_number(uint8_t *at, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
    return at + len;
}

static uint64_t get_number(const uint8_t *at, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value |= (uint64_t)at[i] << (8 * i);
    }
    return value;
}

static uint32_t crc_numbers(const uint64_t *numbers, size_t count)
{
    uint8_t text[8 * 9];
    CHECK(count <= 9);
    for (size_t i = 0; i < count; i++) {
        put_number(text + 8 * i, numbers[i], 8);
    }
    return hash_crc32c(0, bytes_from(text, 8 * count));
}

uint32_t journal_crc_meta(uint64_t exits, uint64_t used)
{
    return crc_numbers((const uint64_t[]){1, exits, used}, 3);
}

uint32_t journal_crc_exporter(uint64_t bit, struct bytes name)
{
    return hash_crc32c(crc_numbers((const uint64_t[]){2, bit}, 2), name);
}

uint32_t journal_crc_record(uint64_t entry, uint64_t at, uint64_t bit, struct bytes what)
{
    return hash_crc32c(crc_numbers((const uint64_t[]){3, entry, at, bit}, 4), what);
}

static uint32_t crc_state(const struct journal_state *state)
{
    const uint64_t numbers[] = {4,
                                state->id,
                                state->owed,
                                state->flags,
                                state->crashes,
                                state->since,
                                state->wall_ns,
                                state->items,
                                state->bytes};
    return crc_numbers(numbers, sizeof numbers / sizeof *numbers);
}

bool journal_state_read(sqlite3_stmt *row, struct journal_state *state)
{
    uint64_t values[9];
    for (int i = 0; i < 9; i++) {
        values[i] = (uint64_t)sqlite3_column_int64(row, i);
    }
    *state = (struct journal_state){values[0], values[1], values[2], values[3],
                                    values[4], values[5], values[6], values[7]};
    return values[8] == crc_state(state);
}

int journal_state_write(struct journal_file *file, enum journal_statement how,
                        const struct journal_state *state)
{
    const uint64_t values[] = {state->id,      state->owed,  state->flags,
                               state->crashes, state->since, state->wall_ns,
                               state->items,   state->bytes, crc_state(state)};
    sqlite3_stmt *row = journal_file_statement(file, how);
    for (int i = 0; i < 9; i++) {
        sqlite3_bind_int64(row, i + 1, (sqlite3_int64)values[i]);
    }
    return journal_file_run(row);
}

bool journal_state_is_alive(const struct journal_state *state)
{
    return state->owed != 0 || (state->flags & JOURNAL_IS_OPEN) != 0;
}

unsigned journal_state_crashes(const struct journal_state *state, uint64_t exits)
{
    uint64_t more = state->flags != 0 && exits > state->since ? exits - state->since : 0;
    uint64_t crashes = state->crashes + more;
    return crashes < UINT32_MAX ? (unsigned)crashes : UINT32_MAX;
}

static size_t head_write(const struct journal_entry *entry, uint8_t *head)
{
    uint8_t *at = head;
    at = put_number(at, HEAD_VERSION, 1);
    at = put_number(at, entry->origin, 1);
    at = put_number(at, entry->signal, 1);
    at = put_number(at, entry->codec, 1);
    at = put_number(at, entry->open, 4);
    at = put_number(at, entry->items, 4);
    at = put_number(at, entry->owed, 8);
    at = put_number(at, entry->received_wall_ns, 8);
    at = put_number(at, entry->body.len, 8);
    CHECK(at == head + HEAD_FIXED_BYTES && entry->route.len <= JOURNAL_ROUTE_BYTES_MAX);
    if (entry->route.len > 0) {
        memcpy(at, entry->route.ptr, entry->route.len);
    }
    return HEAD_FIXED_BYTES + entry->route.len;
}

static uint32_t crc_body(uint64_t id, struct bytes head, struct bytes body)
{
    return hash_crc32c(hash_crc32c(crc_numbers((const uint64_t[]){5, id}, 2), head), body);
}

static void bind_bytes(sqlite3_stmt *row, int column, struct bytes view)
{
    const void *ptr = view.len > 0 ? (const void *)view.ptr : "";
    sqlite3_bind_blob(row, column, ptr, (int)view.len, SQLITE_STATIC);
}

static int chunks_put(struct journal_file *file, const struct journal_entry *entry)
{
    int code = SQLITE_OK;
    uint64_t at = JOURNAL_CHUNK_BYTES;
    for (; at < entry->body.len && code == SQLITE_OK; at += JOURNAL_CHUNK_BYTES) {
        sqlite3_stmt *row = journal_file_statement(file, JOURNAL_CHUNK_SET);
        sqlite3_bind_int64(row, 1, (sqlite3_int64)entry->id);
        sqlite3_bind_int64(row, 2, (sqlite3_int64)at);
        bind_bytes(row, 3, bytes_slice(entry->body, at, JOURNAL_CHUNK_BYTES));
        code = journal_file_run(row);
        sqlite3_clear_bindings(row);
    }
    return code;
}

int journal_body_put(struct journal_file *file, const struct journal_entry *entry)
{
    uint8_t head[JOURNAL_HEAD_BYTES_MAX];
    size_t len = head_write(entry, head);
    uint32_t crc = crc_body(entry->id, bytes_from(head, len), entry->body);
    put_number(head + len, crc, HEAD_CRC_BYTES);
    sqlite3_stmt *row = journal_file_statement(file, JOURNAL_BODY_SET);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)entry->id);
    bind_bytes(row, 2, bytes_from(head, len + HEAD_CRC_BYTES));
    bind_bytes(row, 3, bytes_slice(entry->body, 0, JOURNAL_CHUNK_BYTES));
    int code = journal_file_run(row);
    sqlite3_clear_bindings(row);
    return code == SQLITE_OK ? chunks_put(file, entry) : code;
}

static bool head_read(struct bytes head, struct journal_entry *entry, uint64_t *body_len)
{
    if (head.len < HEAD_FIXED_BYTES + HEAD_CRC_BYTES || head.len > JOURNAL_HEAD_BYTES_MAX ||
        head.ptr[0] != HEAD_VERSION || head.ptr[1] > JOURNAL_OWN || head.ptr[2] >= SIGNAL_COUNT ||
        head.ptr[3] >= CODEC_COUNT) {
        return false;
    }
    entry->origin = head.ptr[1];
    entry->signal = head.ptr[2];
    entry->codec = head.ptr[3];
    entry->open = get_number(head.ptr + 4, 4) != 0;
    entry->items = (uint32_t)get_number(head.ptr + 8, 4);
    entry->owed = get_number(head.ptr + 12, 8);
    entry->received_wall_ns = get_number(head.ptr + 20, 8);
    *body_len = get_number(head.ptr + 28, 8);
    return *body_len <= JOURNAL_ENTRY_BYTES_MAX;
}

// Appends the chunks behind the first; the CRC tells whether they are the right ones.
static int chunks_get(struct journal_file *file, uint64_t id, uint64_t body_len, struct buffer *out)
{
    for (uint64_t at = JOURNAL_CHUNK_BYTES; at < body_len; at += JOURNAL_CHUNK_BYTES) {
        sqlite3_stmt *row = journal_file_statement(file, JOURNAL_CHUNK_GET);
        sqlite3_bind_int64(row, 1, (sqlite3_int64)id);
        sqlite3_bind_int64(row, 2, (sqlite3_int64)at);
        int code = sqlite3_step(row);
        if (code == SQLITE_ROW) {
            buffer_append_bytes(out, journal_column(row, 0));
        }
        sqlite3_reset(row);
        if (code != SQLITE_ROW) {
            return code == SQLITE_DONE ? SQLITE_CORRUPT_VTAB : code;
        }
    }
    return SQLITE_OK;
}

int journal_body_get(struct journal_file *file, uint64_t id, struct journal_entry *entry,
                     struct buffer *out)
{
    uint8_t copy[JOURNAL_HEAD_BYTES_MAX];
    uint64_t body_len = 0;
    buffer_reset(out);
    sqlite3_stmt *row = journal_file_statement(file, JOURNAL_BODY_GET);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)id);
    int code = sqlite3_step(row);
    struct bytes head = code == SQLITE_ROW ? journal_column(row, 1) : BYTES_NONE;
    if (code == SQLITE_ROW && (uint64_t)sqlite3_column_int64(row, 0) == id &&
        head_read(head, entry, &body_len)) {
        memcpy(copy, head.ptr, head.len);
        buffer_append_bytes(out, journal_column(row, 2));
        sqlite3_reset(row);
        code = chunks_get(file, id, body_len, out);
    } else {
        sqlite3_reset(row);
        code = code == SQLITE_DONE ? SQLITE_NOTFOUND
                                   : (code == SQLITE_ROW ? SQLITE_CORRUPT_VTAB : code);
    }
    if (code != SQLITE_OK || buffer_status(out) != RESULT_OK) {
        return code;
    }
    size_t len = head.len - HEAD_CRC_BYTES;
    if (out->len != body_len || crc_body(id, bytes_from(copy, len), buffer_view(out)) !=
                                    get_number(copy + len, HEAD_CRC_BYTES)) {
        return SQLITE_CORRUPT_VTAB;
    }
    buffer_append(out, copy + HEAD_FIXED_BYTES, len - HEAD_FIXED_BYTES);
    entry->id = id;
    entry->body = bytes_slice(buffer_view(out), 0, body_len);
    entry->route = bytes_slice(buffer_view(out), body_len, SIZE_MAX);
    return SQLITE_OK;
}

static int erase_one(struct journal_file *file, enum journal_statement which, uint64_t id)
{
    sqlite3_stmt *row = journal_file_statement(file, which);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)id);
    return journal_file_run(row);
}

// The last chunk, if there is one: *at gets its place, else 0.
static int chunk_erase(struct journal_file *file, uint64_t id, uint64_t *at)
{
    sqlite3_stmt *row = journal_file_statement(file, JOURNAL_CHUNK_LAST);
    sqlite3_bind_int64(row, 1, (sqlite3_int64)id);
    int code = sqlite3_step(row);
    *at = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
    sqlite3_reset(row);
    if (code != SQLITE_ROW) {
        return code == SQLITE_DONE ? SQLITE_OK : code;
    }
    row = journal_file_statement(file, JOURNAL_CHUNK_DELETE);
    sqlite3_bind_int64(row, 2, (sqlite3_int64)*at);
    return erase_one(file, JOURNAL_CHUNK_DELETE, id);
}

int journal_body_erase(struct journal_file *file, uint64_t id, bool *done)
{
    uint64_t at = 0;
    *done = false;
    int code = chunk_erase(file, id, &at);
    if (code != SQLITE_OK || at > 0) {
        return code;
    }
    static const enum journal_statement rest[] = {JOURNAL_BODY_DELETE, JOURNAL_RELEASE_DELETE,
                                                  JOURNAL_PROGRESS_DELETE};
    for (size_t i = 0; i < sizeof rest / sizeof *rest && code == SQLITE_OK; i++) {
        code = erase_one(file, rest[i], id);
    }
    *done = code == SQLITE_OK;
    return code;
}
