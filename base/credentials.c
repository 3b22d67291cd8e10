// SPDX-License-Identifier: Apache-2.0
//
// What changes is one counted snapshot: whoever asks takes a reference under the mutex and works on
// it outside; whoever sees a changed file builds the next snapshot and swaps the pointer. One
// caller a second looks at the files, the others go on with what there is. Tries are remembered in
// two direct-mapped tables of keyed hashes, good and bad ones apart, so that no flood of guesses
// can push a verified credential out; the key is drawn anew for each snapshot, so that a changed
// file forgets them all.
//
// Refused: inotify, which loses a Secret's renewal by symbolic link unless folders are watched, for
// no more than a second's gain. Bounds: files of 1 MiB, 4096 credentials, CREDENTIALS_TRIES_MAX
// tries remembered of each sort. Any thread.
#include "base/credentials.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/password.h"
#include "base/thread.h"

#define FILE_BYTES_MAX ((size_t)1 << 20)
#define CREDENTIALS_MAX 4096
#define LOOK_EVERY_NS NS_PER_S

static void wipe(struct buffer *buffer)
{
    if (buffer->ptr != NULL) {
        OPENSSL_cleanse(buffer->ptr, buffer->capacity);
    }
    buffer_fini(buffer);
}

void credentials_release(struct credentials *credentials)
{
    if (credentials != NULL &&
        atomic_fetch_sub_explicit(&credentials->refs, 1, memory_order_acq_rel) == 1) {
        wipe(&credentials->text);
        wipe(&credentials->shown);
        free(credentials->items);
        OPENSSL_cleanse(credentials, sizeof *credentials);
        free(credentials);
    }
}

void credentials_mac(const struct credentials *credentials, struct bytes value,
                     uint8_t out[CREDENTIALS_MAC_BYTES])
{
    unsigned len = 0;
    CHECK(HMAC(EVP_sha256(), credentials->key, CREDENTIALS_MAC_BYTES,
               value.len > 0 ? value.ptr : (const uint8_t *)"", value.len, out, &len) != NULL);
    CHECK(len == CREDENTIALS_MAC_BYTES);
}

static bool add_user(struct credentials *credentials, struct bytes line, const char **why)
{
    size_t colon = bytes_find(line, BYTES_LITERAL(":"), 0);
    *why = "a line is not user:hash";
    if (colon == SIZE_MAX || colon == 0) {
        return false;
    }
    struct credential *item = &credentials->items[credentials->count++];
    item->user = bytes_slice(line, 0, colon);
    item->secret = bytes_slice(line, colon + 1, SIZE_MAX);
    return password_hash_is_usable(item->secret, why);
}

static bool add_token(struct credentials *credentials, struct bytes line, const char **why)
{
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] < ' ' || line.ptr[i] > '~') {
            *why = "a token holds what a header cannot carry";
            return false;
        }
    }
    struct credential *item = &credentials->items[credentials->count++];
    item->secret = line;
    credentials_mac(credentials, line, item->mac);
    return true;
}

// One credential a line; later lines win where users are equal.
static bool parse_lines(const struct credential_source *source, struct credentials *credentials,
                        const char **why)
{
    struct bytes rest = buffer_view(&credentials->text);
    bool is_good = true;
    while (is_good && rest.len > 0) {
        size_t end = bytes_find(rest, BYTES_LITERAL("\n"), 0);
        struct bytes line = bytes_trim(bytes_slice(rest, 0, end));
        rest = end == SIZE_MAX ? BYTES_NONE : bytes_slice(rest, end + 1, SIZE_MAX);
        bool is_comment = source->form == CREDENTIALS_USERS && line.len > 0 && line.ptr[0] == '#';
        if (line.len == 0 || is_comment) {
            continue;
        }
        if (credentials->count == CREDENTIALS_MAX) {
            *why = "more than 4096 credentials";
            return false;
        }
        is_good = source->form == CREDENTIALS_USERS ? add_user(credentials, line, why)
                                                    : add_token(credentials, line, why);
    }
    if (is_good && credentials->count == 0) {
        *why = "no credential is in it";
        return false;
    }
    return is_good;
}

static void show_basic(struct credentials *credentials, struct bytes name, struct bytes password)
{
    struct buffer pair;
    buffer_init(&pair, CREDENTIAL_BYTES_MAX);
    buffer_append_bytes(&pair, name);
    buffer_append_byte(&pair, ':');
    buffer_append_bytes(&pair, password);
    size_t len = (pair.len + 2) / 3 * 4;
    buffer_append_text(&credentials->shown, "Basic ");
    uint8_t *out = buffer_reserve(&credentials->shown, len + 1);
    if (out != NULL) {
        buffer_commit(&credentials->shown, (size_t)EVP_EncodeBlock(out, pair.ptr, (int)pair.len));
    }
    wipe(&pair);
}

static bool read_file(const struct watched_file *file, struct buffer *out, const char **why)
{
    enum result result = file_read(file->path, out);
    *why = result == RESULT_MISSING     ? "no such file"
           : result == RESULT_TOO_LARGE ? "the file is larger than 1 MiB"
                                        : "the file cannot be read";
    return result == RESULT_OK;
}

// basicauth's client side: from its own texts or from files, which win.
static bool build_client(const struct credential_source *source, struct credentials *credentials,
                         const char **why)
{
    const struct buffer *own[CREDENTIALS_FILES_MAX] = {&source->own_name, &source->own_password};
    struct bytes parts[CREDENTIALS_FILES_MAX];
    struct buffer read[CREDENTIALS_FILES_MAX];
    bool is_good = true;
    for (size_t i = 0; i < CREDENTIALS_FILES_MAX; i++) {
        buffer_init(&read[i], CREDENTIAL_BYTES_MAX / 3);
        if (is_good && source->files[i].path != NULL) {
            is_good = read_file(&source->files[i], &read[i], why);
            parts[i] = bytes_trim(buffer_view(&read[i]));
        } else {
            parts[i] = buffer_view(own[i]);
        }
    }
    if (is_good && (parts[0].len == 0 || parts[1].len == 0)) {
        *why = "the user or the password is empty";
        is_good = false;
    }
    if (is_good) {
        show_basic(credentials, parts[0], parts[1]);
        buffer_append_bytes(&credentials->text, parts[1]);
        credentials->items[0].secret = buffer_view(&credentials->text);
        credentials->count = 1;
    }
    wipe(&read[0]);
    wipe(&read[1]);
    return is_good;
}

static bool build_list(const struct credential_source *source, struct credentials *credentials,
                       const char **why)
{
    const struct watched_file *file = &source->files[0];
    if (file->path != NULL && !read_file(file, &credentials->text, why)) {
        return false;
    }
    buffer_append_byte(&credentials->text, '\n');
    if (file->path == NULL || source->form == CREDENTIALS_USERS) {
        buffer_append_bytes(&credentials->text, buffer_view(&source->own));
    }
    if (!parse_lines(source, credentials, why)) {
        return false;
    }
    if (source->form == CREDENTIALS_TOKENS) {
        if (source->scheme[0] != '\0') {
            buffer_append_text(&credentials->shown, source->scheme);
            buffer_append_byte(&credentials->shown, ' ');
        }
        buffer_append_bytes(&credentials->shown, credentials->items[0].secret);
    }
    return true;
}

// NULL with a sentence.
static struct credentials *credentials_build(const struct credential_source *source,
                                             const char **why)
{
    struct credentials *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    atomic_init(&made->refs, 1);
    buffer_init(&made->text, 2 * FILE_BYTES_MAX);
    buffer_init(&made->shown, 2 * CREDENTIAL_BYTES_MAX);
    made->items = calloc(CREDENTIALS_MAX, sizeof *made->items);
    CHECK(made->items != NULL && RAND_bytes(made->key, sizeof made->key) == 1);
    bool is_good = source->form == CREDENTIALS_PAIR ? build_client(source, made, why)
                                                    : build_list(source, made, why);
    (void)buffer_text(&made->shown);
    if (is_good &&
        (buffer_status(&made->text) != RESULT_OK || buffer_status(&made->shown) != RESULT_OK)) {
        *why = "a credential is too long";
        is_good = false;
    }
    if (!is_good) {
        credentials_release(made);
        return NULL;
    }
    return made;
}

static void source_count(struct credential_source *source, bool is_good)
{
    if (source->reloads[is_good] != NULL) {
        metric_add(source->reloads[is_good], 1);
    }
}

// Takes what the files hold now. The stamps are taken first: a change in between is seen next time.
static void credentials_load(struct credential_source *source, bool is_first)
{
    struct file_stamp stamps[CREDENTIALS_FILES_MAX] = {{.exists = false}};
    for (size_t i = 0; i < CREDENTIALS_FILES_MAX; i++) {
        if (source->files[i].path != NULL) {
            stamps[i] = file_stamp_of(source->files[i].path);
        }
    }
    const char *why = "";
    struct credentials *made = credentials_build(source, &why);
    if (!is_first || made == NULL) {
        source_count(source, made != NULL);
    }
    if (made == NULL) {
        if (log_episode_opens(&source->episode, clock_mono_ns(), 60 * NS_PER_S)) {
            const char *path =
                source->files[0].path != NULL ? source->files[0].path : source->files[1].path;
            log_line(LOG_ERROR, "authenticator",
                     is_first ? "cannot read the credentials: what needs them waits until they can "
                                "be read"
                              : "cannot read the credentials again; the old ones stay",
                     LOG_TEXT("authenticator", source->id), LOG_TEXT("file", path),
                     LOG_TEXT("error", why));
        }
        return;
    }
    for (size_t i = 0; i < CREDENTIALS_FILES_MAX; i++) {
        source->files[i].stamp = stamps[i];
    }
    mutex_lock(MUTEX_AUTHENTICATOR);
    struct credentials *old = source->current;
    source->current = made;
    mutex_unlock(MUTEX_AUTHENTICATOR);
    credentials_release(old);
}

// Once a second, by whichever thread comes first. Only it touches the stamps.
static void look_at_files(struct credential_source *source, uint64_t now_ns)
{
    uint64_t due_ns = atomic_load_explicit(&source->look_at_ns, memory_order_relaxed);
    if (source->files[0].path == NULL && source->files[1].path == NULL) {
        return;
    }
    if (now_ns < due_ns || atomic_exchange(&source->is_looking, true)) {
        return;
    }
    atomic_store_explicit(&source->look_at_ns, now_ns + LOOK_EVERY_NS, memory_order_relaxed);
    mutex_lock(MUTEX_AUTHENTICATOR);
    bool is_stale = source->current == NULL;
    mutex_unlock(MUTEX_AUTHENTICATOR);
    bool is_first = is_stale;
    for (size_t i = 0; i < CREDENTIALS_FILES_MAX && !is_stale; i++) {
        if (source->files[i].path != NULL) {
            struct file_stamp stamp = file_stamp_of(source->files[i].path);
            is_stale = !file_stamp_equal(&stamp, &source->files[i].stamp);
        }
    }
    if (is_stale) {
        credentials_load(source, is_first);
    }
    atomic_store(&source->is_looking, false);
}

void credential_source_open(struct credential_source *source)
{
    credentials_load(source, true);
}

void credential_source_fini(struct credential_source *source)
{
    credentials_release(source->current);
    source->current = NULL;
    wipe(&source->own);
    wipe(&source->own_name);
    wipe(&source->own_password);
    for (size_t i = 0; i < CREDENTIALS_FILES_MAX; i++) {
        free(source->files[i].path);
        source->files[i].path = NULL;
    }
}

struct credentials *credential_source_take(struct credential_source *source, uint64_t now_ns)
{
    look_at_files(source, now_ns);
    mutex_lock(MUTEX_AUTHENTICATOR);
    struct credentials *credentials = source->current;
    if (credentials != NULL) {
        atomic_fetch_add_explicit(&credentials->refs, 1, memory_order_relaxed);
    }
    mutex_unlock(MUTEX_AUTHENTICATOR);
    return credentials;
}

enum result credentials_recall(struct credentials *credentials,
                               const uint8_t mac[CREDENTIALS_MAC_BYTES])
{
    mutex_lock(MUTEX_AUTHENTICATOR);
    enum result result = RESULT_MISSING;
    if (CRYPTO_memcmp(credentials->good[mac[0]], mac, CREDENTIALS_MAC_BYTES) == 0) {
        result = RESULT_OK;
    } else if (CRYPTO_memcmp(credentials->bad[mac[0]], mac, CREDENTIALS_MAC_BYTES) == 0) {
        result = RESULT_DENY;
    }
    mutex_unlock(MUTEX_AUTHENTICATOR);
    return result;
}

void credentials_remember(struct credentials *credentials, const uint8_t mac[CREDENTIALS_MAC_BYTES],
                          bool is_good)
{
    mutex_lock(MUTEX_AUTHENTICATOR);
    memcpy(is_good ? credentials->good[mac[0]] : credentials->bad[mac[0]], mac,
           CREDENTIALS_MAC_BYTES);
    mutex_unlock(MUTEX_AUTHENTICATOR);
}
