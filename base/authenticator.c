// SPDX-License-Identifier: Apache-2.0
//
// The three kinds, told apart by their row: what a request must carry is compared with a snapshot
// of credentials (credentials.h), what a request is given is put together from one, or from rules.
// Tries of passwords with slow hashes are paid from a budget of time that refills at a tenth of the
// clock: a process under a flood of guesses keeps serving whom it knows, and asks strangers to come
// again. Refused: a thread for hashing, one more hop for every request for the sake of wrong ones.
// Bounds: credentials.h; headers of CREDENTIAL_BYTES_MAX are looked at. Any thread.
#include "base/authenticator.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/credentials.h"
#include "base/password.h"
#include "base/thread.h"

#define AUTHENTICATOR_MAGIC MAGIC('A', 'U', 'T', 'H')
#define EFFORT_MAX_NS (400 * NS_PER_MS)
#define EFFORT_SHARE 10  // one part in so many of the time

struct authenticator {
    uint32_t magic;
    atomic_uint refs;
    const struct authenticator_kind *kind;
    unsigned roles;
    char id[128], header[128], challenge[192], scheme[64];
    struct credential_source source;
    uint64_t effort_ns, effort_at_ns;  // under the mutex
    struct arena arena;                // headers_setter
    struct header_rule rules[HEADER_RULES_MAX];
    size_t rule_count;
};

static const struct metric_family reload_family = {
    .name = "sidejudge_authenticator_reloads_total",
    .type = METRIC_COUNTER,
    .help = "Files of credentials that were read again, by outcome",
    .labels = {"authenticator", "outcome"}};

// --- kinds ----------------------------------------------------------------------------------

static unsigned basicauth_roles(const void *arg)
{
    const struct basicauth_config *config = arg;
    return config->has_htpasswd ? AUTHENTICATOR_SERVER : AUTHENTICATOR_CLIENT;
}

static unsigned bearertokenauth_roles(const void *config)
{
    (void)config;
    return AUTHENTICATOR_SERVER | AUTHENTICATOR_CLIENT;
}

static unsigned headers_setter_roles(const void *config)
{
    (void)config;
    return AUTHENTICATOR_CLIENT;
}

enum { KIND_BASIC, KIND_BEARER, KIND_SETTER };

const struct authenticator_kind authenticator_kinds[] = {
    [KIND_BASIC] = {.type = "basicauth",
                    .doc = "User and password (RFC 7617): of agents at a receiver, or our own at a "
                           "backend.",
                    .options = basicauth_options,
                    .config_size = sizeof(struct basicauth_config),
                    .validate = basicauth_validate,
                    .roles = basicauth_roles},
    [KIND_BEARER] = {.type = "bearertokenauth",
                     .doc = "A token (RFC 6750): asked of agents at a receiver, or shown to a "
                            "backend.",
                     .options = bearertokenauth_options,
                     .config_size = sizeof(struct bearertokenauth_config),
                     .validate = bearertokenauth_validate,
                     .roles = bearertokenauth_roles},
    [KIND_SETTER] = {.type = "headers_setter",
                     .doc = "Headers of an exporter's requests, fixed or from the request that the "
                            "telemetry came with.",
                     .options = headers_setter_options,
                     .config_size = sizeof(struct headers_setter_config),
                     .validate = headers_setter_validate,
                     .roles = headers_setter_roles},
    {0},
};

const struct authenticator_kind *authenticator_kind_find(struct bytes type)
{
    for (const struct authenticator_kind *kind = authenticator_kinds; kind->type != NULL; kind++) {
        if (bytes_equal_text(type, kind->type)) {
            return kind;
        }
    }
    return NULL;
}

static bool is_kind(const struct authenticator *authenticator, int kind)
{
    return authenticator->kind == &authenticator_kinds[kind];
}

// --- life -----------------------------------------------------------------------------------

static char *path_of(struct bytes path)
{
    return path.len > 0 ? strndup((const char *)path.ptr, path.len) : NULL;
}

static void lower(char *text)
{
    for (; *text != '\0'; text++) {
        *text = (char)tolower((unsigned char)*text);
    }
}

static void keep(struct buffer *buffer, struct bytes text)
{
    buffer_init(buffer, (size_t)1 << 20);
    buffer_append_bytes(buffer, text);
}

static void basicauth_init(struct authenticator *made, const struct basicauth_config *config)
{
    snprintf(made->header, sizeof made->header, "authorization");
    snprintf(made->scheme, sizeof made->scheme, "Basic");
    snprintf(made->challenge, sizeof made->challenge, "Basic realm=\"sidejudge\"");
    keep(&made->source.own, config->htpasswd.content);
    keep(&made->source.own_name, config->client.username);
    keep(&made->source.own_password, config->client.password);
    bool is_server = made->roles == AUTHENTICATOR_SERVER;
    made->source.form = is_server ? CREDENTIALS_USERS : CREDENTIALS_PAIR;
    made->source.files[0].path =
        path_of(is_server ? config->htpasswd.file : config->client.username_file);
    made->source.files[1].path = is_server ? NULL : path_of(config->client.password_file);
}

static void bearertokenauth_init(struct authenticator *made,
                                 const struct bearertokenauth_config *config)
{
    snprintf(made->header, sizeof made->header, "%.*s", BYTES_PRINTF(config->header));
    lower(made->header);
    snprintf(made->scheme, sizeof made->scheme, "%.*s", BYTES_PRINTF(config->scheme));
    snprintf(made->challenge, sizeof made->challenge, "%s realm=\"sidejudge\"",
             made->scheme[0] != '\0' ? made->scheme : "Bearer");
    keep(&made->source.own, config->token);
    for (size_t i = 0; i < config->tokens.count; i++) {
        buffer_append_byte(&made->source.own, '\n');
        buffer_append_bytes(&made->source.own, config->tokens.items[i]);
    }
    made->source.form = CREDENTIALS_TOKENS;
    made->source.files[0].path = path_of(config->filename);
}

// Rules arrive validated; names are lower case from here on.
static void headers_setter_init(struct authenticator *made,
                                const struct headers_setter_config *config)
{
    struct buffer ignored;
    buffer_init(&ignored, 1 << 16);
    struct option_errors errors = {.out = &ignored};
    made->rule_count =
        header_rules_bind(config->headers, made->rules, made->id, &made->arena, &errors);
    for (size_t i = 0; i < made->rule_count; i++) {
        lower((char *)(uintptr_t)made->rules[i].key.ptr);
        if (made->rules[i].from_context.len > 0) {
            lower((char *)(uintptr_t)made->rules[i].from_context.ptr);
        }
    }
    buffer_fini(&ignored);
}

struct authenticator *authenticator_new(const struct authenticator_kind *kind, const char *id,
                                        const void *config)
{
    struct authenticator *made = calloc(1, sizeof *made);
    CHECK(made != NULL);
    made->magic = AUTHENTICATOR_MAGIC;
    atomic_init(&made->refs, 1);
    made->kind = kind;
    made->roles = kind->roles(config);
    snprintf(made->id, sizeof made->id, "%s", id);
    arena_init(&made->arena, (size_t)1 << 20);
    made->source.id = made->id;
    made->source.scheme = made->scheme;
    made->source.reloads[0] = metric_series(&reload_family, (const char *const[]){id, "failed"});
    made->source.reloads[1] = metric_series(&reload_family, (const char *const[]){id, "ok"});
    if (is_kind(made, KIND_SETTER)) {
        headers_setter_init(made, config);
        return made;
    }
    if (is_kind(made, KIND_BASIC)) {
        basicauth_init(made, config);
    } else {
        bearertokenauth_init(made, config);
    }
    credential_source_open(&made->source);
    return made;
}

struct authenticator *authenticator_hold(struct authenticator *authenticator)
{
    if (authenticator != NULL) {
        CHECK(authenticator->magic == AUTHENTICATOR_MAGIC);
        atomic_fetch_add_explicit(&authenticator->refs, 1, memory_order_relaxed);
    }
    return authenticator;
}

void authenticator_release(struct authenticator **authenticator)
{
    struct authenticator *it = *authenticator;
    *authenticator = NULL;
    if (it == NULL) {
        return;
    }
    CHECK(it->magic == AUTHENTICATOR_MAGIC);
    if (atomic_fetch_sub_explicit(&it->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    credential_source_fini(&it->source);
    for (size_t i = 0; i < it->rule_count; i++) {
        struct bytes texts[] = {it->rules[i].value, it->rules[i].default_value};
        for (size_t k = 0; k < 2; k++) {
            if (texts[k].len > 0) {
                OPENSSL_cleanse((void *)(uintptr_t)texts[k].ptr, texts[k].len);
            }
        }
    }
    arena_fini(&it->arena);
    it->magic = 0;
    free(it);
}

unsigned authenticator_roles(const struct authenticator *authenticator)
{
    return authenticator->roles;
}

struct authenticator *authenticator_find(struct authenticator *const *list, struct bytes id)
{
    for (; list != NULL && *list != NULL; list++) {
        if (bytes_equal_text(id, (*list)->id)) {
            return *list;
        }
    }
    return NULL;
}

enum result authenticator_bind(struct authenticator *const *list, const struct auth_config *config,
                               enum authenticator_role role, struct authenticator **found,
                               char *why, size_t why_len)
{
    *found = NULL;
    if (config->authenticator.len == 0) {
        return RESULT_OK;
    }
    struct authenticator *authenticator = authenticator_find(list, config->authenticator);
    if (authenticator == NULL || (authenticator->roles & (unsigned)role) == 0) {
        snprintf(why, why_len, "failed to resolve authenticator \"%.*s\": %s",
                 BYTES_PRINTF(config->authenticator),
                 authenticator == NULL          ? "authenticator not found"
                 : role == AUTHENTICATOR_SERVER ? "requested authenticator is not a server "
                                                  "authenticator"
                                                : "requested authenticator is not a client "
                                                  "authenticator");
        return RESULT_FAIL;
    }
    *found = authenticator_hold(authenticator);
    return RESULT_OK;
}

// --- server ---------------------------------------------------------------------------------

const char *authenticator_header(const struct authenticator *authenticator)
{
    return authenticator->header;
}

const char *authenticator_challenge(const struct authenticator *authenticator)
{
    return authenticator->challenge;
}

// What follows "Scheme " (the scheme in either case, RFC 9110 11.1); false when it is another.
static bool skip_scheme(const struct authenticator *authenticator, struct bytes *value)
{
    size_t len = strlen(authenticator->scheme);
    if (len == 0) {
        return true;
    }
    if (value->len <= len || value->ptr[len] != ' ' ||
        !bytes_equal_nocase(bytes_slice(*value, 0, len), authenticator->scheme)) {
        return false;
    }
    *value = bytes_trim(bytes_slice(*value, len + 1, SIZE_MAX));
    return true;
}

static enum result check_token(const struct credentials *credentials, struct bytes token)
{
    uint8_t mac[CREDENTIALS_MAC_BYTES];
    bool is_good = false;
    credentials_mac(credentials, token, mac);
    for (size_t i = 0; i < credentials->count; i++) {  // all of them: no early end to be timed
        is_good |= CRYPTO_memcmp(mac, credentials->items[i].mac, CREDENTIALS_MAC_BYTES) == 0;
    }
    return is_good && token.len > 0 ? RESULT_OK : RESULT_DENY;
}

// Time that tries took lately, decaying at a tenth of the clock. True: another one may be made.
static bool effort_allows(struct authenticator *authenticator, uint64_t now_ns)
{
    mutex_lock(MUTEX_AUTHENTICATOR);
    uint64_t passed_ns =
        now_ns > authenticator->effort_at_ns ? now_ns - authenticator->effort_at_ns : 0;
    uint64_t paid_ns = passed_ns / EFFORT_SHARE;
    authenticator->effort_ns -=
        paid_ns < authenticator->effort_ns ? paid_ns : authenticator->effort_ns;
    authenticator->effort_at_ns += passed_ns;
    bool allows = authenticator->effort_ns < EFFORT_MAX_NS;
    mutex_unlock(MUTEX_AUTHENTICATOR);
    return allows;
}

static const struct credential *find_user(const struct credentials *credentials, struct bytes user)
{
    for (size_t i = credentials->count; i > 0; i--) {
        if (bytes_equal(credentials->items[i - 1].user, user)) {
            return &credentials->items[i - 1];
        }
    }
    return NULL;
}

// A user that does not exist takes as long as one that does.
static bool try_password(const struct credentials *credentials, const struct credential *known,
                         struct bytes password)
{
    const struct credential *tried = known != NULL ? known : &credentials->items[0];
    return password_matches(password, tried->secret) && known != NULL;
}

static void effort_add(struct authenticator *authenticator, uint64_t took_ns)
{
    mutex_lock(MUTEX_AUTHENTICATOR);
    authenticator->effort_ns += took_ns;
    mutex_unlock(MUTEX_AUTHENTICATOR);
}

static enum result check_pair(struct authenticator *authenticator, struct credentials *credentials,
                              struct bytes pair, uint64_t now_ns)
{
    size_t colon = bytes_find(pair, BYTES_LITERAL(":"), 0);
    if (colon == SIZE_MAX || colon == 0 || colon + 1 == pair.len) {
        return RESULT_DENY;  // without a user or a password
    }
    struct bytes password = bytes_slice(pair, colon + 1, SIZE_MAX);
    const struct credential *known = find_user(credentials, bytes_slice(pair, 0, colon));
    bool is_slow = password_hash_is_slow((known != NULL ? known : &credentials->items[0])->secret);
    if (!is_slow) {
        return try_password(credentials, known, password) ? RESULT_OK : RESULT_DENY;
    }
    uint8_t mac[CREDENTIALS_MAC_BYTES];
    credentials_mac(credentials, pair, mac);
    enum result result = credentials_recall(credentials, mac);
    if (result != RESULT_MISSING) {
        return result;
    }
    if (!effort_allows(authenticator, now_ns)) {
        return RESULT_SHED;
    }
    uint64_t began_ns = clock_mono_ns();
    bool is_good = try_password(credentials, known, password);
    effort_add(authenticator, clock_mono_ns() - began_ns);
    credentials_remember(credentials, mac, is_good);
    return is_good ? RESULT_OK : RESULT_DENY;
}

// RFC 7617 2: base64 of user:password.
static enum result check_basic(struct authenticator *authenticator, struct credentials *credentials,
                               struct bytes encoded, uint64_t now_ns)
{
    uint8_t pair[CREDENTIAL_BYTES_MAX];
    size_t len = encoded.len;
    if (len == 0 || len % 4 != 0) {
        return RESULT_DENY;
    }
    size_t have = len / 4 * 3;
    if (EVP_DecodeBlock(pair, encoded.ptr, (int)len) != (int)have) {
        return RESULT_DENY;  // fewer: it passes over some characters at the end
    }
    have -= encoded.ptr[len - 1] == '=' ? 1 : 0;
    have -= encoded.ptr[len - 2] == '=' ? 1 : 0;
    enum result result = check_pair(authenticator, credentials, bytes_from(pair, have), now_ns);
    OPENSSL_cleanse(pair, sizeof pair);
    return result;
}

enum result authenticator_check(struct authenticator *authenticator, struct bytes value,
                                uint64_t now_ns)
{
    CHECK(authenticator->magic == AUTHENTICATOR_MAGIC);
    CHECK((authenticator->roles & AUTHENTICATOR_SERVER) != 0);
    if (value.len == 0 || value.len > CREDENTIAL_BYTES_MAX || !skip_scheme(authenticator, &value)) {
        return RESULT_DENY;
    }
    struct credentials *credentials = credential_source_take(&authenticator->source, now_ns);
    if (credentials == NULL) {
        return RESULT_SHED;
    }
    enum result result = is_kind(authenticator, KIND_BASIC)
                             ? check_basic(authenticator, credentials, value, now_ns)
                             : check_token(credentials, value);
    credentials_release(credentials);
    return result;
}

// --- client ---------------------------------------------------------------------------------

static struct http_header *field_find(struct authenticator_fields *fields, struct bytes name)
{
    for (size_t i = 0; i < fields->count; i++) {
        if (bytes_equal_nocase(name, fields->items[i].name)) {
            return &fields->items[i];
        }
    }
    return NULL;
}

static void field_remove(struct authenticator_fields *fields, struct bytes name)
{
    size_t kept = 0;
    for (size_t i = 0; i < fields->count; i++) {
        if (!bytes_equal_nocase(name, fields->items[i].name)) {
            fields->items[kept++] = fields->items[i];
        }
    }
    fields->count = kept;
}

// NUL-terminated copy; NULL: no room.
static const char *field_text(struct authenticator_fields *fields, struct bytes view)
{
    if (view.len >= sizeof fields->text - fields->text_len) {
        return NULL;
    }
    char *at = fields->text + fields->text_len;
    if (view.len > 0) {
        memcpy(at, view.ptr, view.len);
    }
    at[view.len] = '\0';
    fields->text_len += view.len + 1;
    return at;
}

static enum result field_set(struct authenticator_fields *fields, struct bytes name,
                             struct bytes value)
{
    field_remove(fields, name);
    if (fields->count == AUTHENTICATOR_FIELDS_MAX) {
        return RESULT_TOO_LARGE;
    }
    const char *name_text = field_text(fields, name);
    const char *value_text = field_text(fields, value);
    if (name_text == NULL || value_text == NULL) {
        return RESULT_TOO_LARGE;
    }
    fields->items[fields->count++] = (struct http_header){name_text, value_text};
    return RESULT_OK;
}

static enum result rule_apply(const struct header_rule *rule, const struct metadata *metadata,
                              struct authenticator_fields *fields)
{
    bool is_there = field_find(fields, rule->key) != NULL;
    struct bytes value = rule->value;
    if (rule->action == HEADER_DELETE) {
        field_remove(fields, rule->key);
        return RESULT_OK;
    }
    if ((rule->action == HEADER_INSERT && is_there) ||
        (rule->action == HEADER_UPDATE && !is_there)) {
        return RESULT_OK;
    }
    if (rule->from_context.len > 0 && !metadata_find(metadata, rule->from_context, &value)) {
        if (!rule->has_default) {
            return RESULT_OK;  // nothing is sent in its place
        }
        value = rule->default_value;
    }
    return field_set(fields, rule->key, value);
}

enum result authenticator_apply(struct authenticator *authenticator,
                                const struct metadata *metadata, uint64_t now_ns,
                                struct authenticator_fields *fields)
{
    CHECK(authenticator->magic == AUTHENTICATOR_MAGIC);
    CHECK((authenticator->roles & AUTHENTICATOR_CLIENT) != 0);
    enum result result = RESULT_OK;
    for (size_t i = 0; i < authenticator->rule_count && result == RESULT_OK; i++) {
        result = rule_apply(&authenticator->rules[i], metadata, fields);
    }
    if (is_kind(authenticator, KIND_SETTER)) {
        return result;
    }
    struct credentials *credentials = credential_source_take(&authenticator->source, now_ns);
    if (credentials == NULL) {
        return RESULT_RETRY;
    }
    result =
        field_set(fields, bytes_from_text(authenticator->header), buffer_view(&credentials->shown));
    credentials_release(credentials);
    return result;
}

void authenticator_fields_wipe(struct authenticator_fields *fields)
{
    OPENSSL_cleanse(fields->text, fields->text_len);
    fields->count = 0;
    fields->text_len = 0;
}

size_t authenticator_context_keys(struct authenticator *const *list,
                                  struct bytes keys[METADATA_PAIRS_MAX])
{
    size_t count = 0;
    for (; list != NULL && *list != NULL; list++) {
        for (size_t i = 0; i < (*list)->rule_count; i++) {
            struct bytes key = (*list)->rules[i].from_context;
            size_t at = 0;
            while (at < count && !bytes_equal(keys[at], key)) {
                at++;
            }
            if (key.len > 0 && at == count && count < METADATA_PAIRS_MAX) {
                keys[count++] = key;
            }
        }
    }
    return count;
}

bool authenticator_reads_metadata(const struct authenticator *authenticator)
{
    for (size_t i = 0; authenticator != NULL && i < authenticator->rule_count; i++) {
        if (authenticator->rules[i].from_context.len > 0) {
            return true;
        }
    }
    return false;
}

void authenticator_mask(struct authenticator *authenticator, const struct metadata *metadata,
                        char *text)
{
    metadata_mask(metadata, text);
    if (authenticator == NULL) {
        return;
    }
    for (size_t i = 0; i < authenticator->rule_count; i++) {
        metadata_mask_value(authenticator->rules[i].value, text);
        metadata_mask_value(authenticator->rules[i].default_value, text);
    }
    struct credentials *credentials =
        is_kind(authenticator, KIND_SETTER)
            ? NULL
            : credential_source_take(&authenticator->source, clock_mono_ns());
    if (credentials != NULL) {
        metadata_mask_value(buffer_view(&credentials->shown), text);
        for (size_t i = 0; i < credentials->count; i++) {
            metadata_mask_value(credentials->items[i].secret, text);
        }
        credentials_release(credentials);
    }
}
