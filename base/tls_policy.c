// SPDX-License-Identifier: Apache-2.0
//
// OpenSSL translates the standard names itself; what is left to do is to tell the suites of
// TLS 1.3, which have no key exchange in their names, and the groups, which Go names its own way.
// Refused: a table of suites, which would age, and lists in OpenSSL's own language, which nobody
// would find in the Collector's documentation.
//
// Bounds: those of the lists. Pure; any thread.
#include "base/tls_policy.h"

#include <stdio.h>
#include <string.h>

#include <openssl/ssl.h>

static bool is_tls13(struct bytes name)
{
    return bytes_find(name, BYTES_LITERAL("_WITH_"), 0) == SIZE_MAX &&
           (bytes_start_with(name, BYTES_LITERAL("TLS_AES_")) ||
            bytes_start_with(name, BYTES_LITERAL("TLS_CHACHA20_")));
}

static void append(struct buffer *out, const char *name)
{
    if (out->len > 0) {
        buffer_append_byte(out, ':');
    }
    buffer_append_text(out, name);
}

enum result tls_policy_ciphers(const struct option_texts *names, struct buffer *out,
                               struct bytes *unknown)
{
    for (size_t i = 0; i < names->count; i++) {
        if (is_tls13(names->items[i])) {
            continue;
        }
        char standard[128];
        snprintf(standard, sizeof standard, "%.*s", BYTES_PRINTF(names->items[i]));
        const char *name = OPENSSL_cipher_name(standard);
        if (name == NULL || strcmp(name, "(NONE)") == 0) {
            *unknown = names->items[i];
            return RESULT_REJECT;
        }
        append(out, name);
    }
    return RESULT_OK;
}

enum result tls_policy_groups(const struct option_texts *names, struct buffer *out,
                              struct bytes *unknown)
{
    static const struct {
        const char *name, *group;
    } rows[] = {{"X25519", "X25519"}, {"P256", "P-256"}, {"P384", "P-384"}, {"P521", "P-521"}};
    for (size_t i = 0; i < names->count; i++) {
        size_t row = 0;
        while (row < sizeof rows / sizeof rows[0] &&
               !bytes_equal_nocase(names->items[i], rows[row].name)) {
            row++;
        }
        if (row == sizeof rows / sizeof rows[0]) {
            *unknown = names->items[i];
            return RESULT_REJECT;
        }
        append(out, rows[row].group);
    }
    return RESULT_OK;
}

void tls_policy_validate(const struct option_texts *ciphers, const struct option_texts *groups,
                         const struct config_node *node, const char *path,
                         struct option_errors *errors)
{
    struct buffer list;
    struct bytes unknown;
    buffer_init(&list, 1 << 16);
    if (tls_policy_ciphers(ciphers, &list, &unknown) != RESULT_OK) {
        option_error(errors, path, node, "tls::cipher_suites: invalid TLS cipher suite: %.*s",
                     BYTES_PRINTF(unknown));
    }
    if (tls_policy_groups(groups, &list, &unknown) != RESULT_OK) {
        option_error(errors, path, node,
                     "tls::curve_preferences: invalid curve type: %.*s (X25519, P256, P384, P521)",
                     BYTES_PRINTF(unknown));
    }
    buffer_fini(&list);
}
