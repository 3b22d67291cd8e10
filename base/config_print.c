// SPDX-License-Identifier: Apache-2.0
//
// The merged configuration as YAML in block style, for print-config: what it prints can be loaded
// again, except that secrets are "[REDACTED]".
//
// Here no option table says what is a secret, and components outside the tables must be safe too,
// so keys decide: names that end in a secret's word, everything below "headers", and the user part
// of URLs. Masking too much is the cheaper mistake. Depth is bounded by the loader. Any thread.
#include "base/config_print.h"

#include <string.h>

#include "base/config_node.h"

#define REDACTED "\"[REDACTED]\""

static bool ends_with_nocase(struct bytes text, const char *word)
{
    size_t len = strlen(word);
    return text.len >= len && bytes_equal_nocase(bytes_slice(text, text.len - len, len), word);
}

bool config_key_is_secret(struct bytes key)
{
    static const char *const words[] = {
        "api_key",  "apikey",     "api-key",     "private_key", "secret_key",    "access_key",
        "hash_key", "key_pem",    "password",    "passwd",      "passphrase",    "token",
        "secret",   "credential", "credentials", "bearer",      "authorization", "cookie",
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (ends_with_nocase(key, words[i])) {
            return true;
        }
    }
    return false;
}

bool config_key_hides_all_below(struct bytes key)
{
    return ends_with_nocase(key, "headers") || bytes_equal_text(key, "tokens");
}

// A word that reads back as the same string without quotes.
static bool text_is_plain(struct bytes text)
{
    if (text.len == 0 || text.len > 200) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        bool word = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                    (byte >= '0' && byte <= '9') || byte == '_' || byte == '/';
        bool inner = i > 0 && (byte == '.' || byte == '-' || byte == '+' ||
                               (byte == ':' && i + 1 < text.len));
        if (!word && !inner) {
            return false;
        }
    }
    return true;
}

// Values are expanded when they are loaded again, keys are not.
static void print_quoted(struct buffer *out, struct bytes text, bool is_key)
{
    buffer_append_byte(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.ptr[i];
        if (byte == '"' || byte == '\\') {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, byte);
        } else if (byte == '$' && !is_key) {
            buffer_append_text(out, "$$");
        } else if (byte == '\n') {
            buffer_append_text(out, "\\n");
        } else if (byte < 0x20 || byte == 0x7f) {
            buffer_printf(out, "\\x%02x", byte);
        } else {
            buffer_append_byte(out, byte);
        }
    }
    buffer_append_byte(out, '"');
}

// "https://user:password@host" without what stands before the "@".
static bool print_url_without_user(struct buffer *out, struct bytes text)
{
    size_t scheme = bytes_find(text, BYTES_LITERAL("://"), 0);
    size_t at = scheme == SIZE_MAX ? SIZE_MAX : bytes_find(text, BYTES_LITERAL("@"), scheme);
    if (at == SIZE_MAX) {
        return false;
    }
    struct buffer masked;
    buffer_init(&masked, text.len + 32);
    buffer_append_bytes(&masked, bytes_slice(text, 0, scheme + 3));
    buffer_append_text(&masked, "[REDACTED]");
    buffer_append_bytes(&masked, bytes_slice(text, at, text.len));
    print_quoted(out, buffer_view(&masked), false);
    buffer_fini(&masked);
    return true;
}

static void print_scalar(struct buffer *out, const struct config_node *node, bool secret)
{
    if (node->kind == CONFIG_NULL) {
        buffer_append_text(out, "null");
    } else if (secret) {
        buffer_append_text(out, REDACTED);
    } else if (print_url_without_user(out, node->text)) {
        return;
    } else if (text_is_plain(node->text) && !node->quoted) {
        buffer_append_bytes(out, node->text);
    } else {
        print_quoted(out, node->text, false);
    }
}

static void print_members(struct buffer *out, const struct config_node *node, unsigned indent,
                          bool secret);

// Behind "key:" or "-".
static void print_value(struct buffer *out, const struct config_node *node, unsigned indent,
                        bool secret)
{
    if (node->kind == CONFIG_MAP || node->kind == CONFIG_LIST) {
        if (node->count == 0) {
            buffer_append_text(out, node->kind == CONFIG_MAP ? " {}\n" : " []\n");
            return;
        }
        buffer_append_byte(out, '\n');
        print_members(out, node, indent + 1, secret);
        return;
    }
    buffer_append_byte(out, ' ');
    print_scalar(out, node, secret);
    buffer_append_byte(out, '\n');
}

static void print_key(struct buffer *out, struct bytes key)
{
    if (text_is_plain(key) && !bytes_equal_nocase(key, "null")) {
        buffer_append_bytes(out, key);
    } else {
        print_quoted(out, key, true);
    }
}

static void print_members(struct buffer *out, const struct config_node *node, unsigned indent,
                          bool secret)
{
    for (size_t i = 0; i < node->count; i++) {
        const struct config_member *member = &node->members[i];
        bool hide = secret;
        for (unsigned level = 0; level < indent; level++) {
            buffer_append_text(out, "  ");
        }
        if (node->kind == CONFIG_LIST) {
            buffer_append_byte(out, '-');
        } else {
            print_key(out, member->key);
            buffer_append_byte(out, ':');
            hide = hide || config_key_is_secret(member->key) ||
                   config_key_hides_all_below(member->key);
        }
        print_value(out, member->value, indent, hide);
    }
}

void config_print(const struct config *config, struct buffer *out)
{
    if (config->root->count == 0) {
        buffer_append_text(out, "{}\n");
        return;
    }
    print_members(out, config->root, 0, false);
}
