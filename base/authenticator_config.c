// SPDX-License-Identifier: Apache-2.0
//
// Rows and semantic checks. Files are not read here: a mounted Secret is often absent where a
// configuration is validated, and may be absent for a moment where it runs. What would let a
// stranger in or send an empty credential is an error: an authenticator without users, a token
// without text, a header whose value no header can carry. Bounds stand in the rows. Start and
// reload only.
#include "base/authenticator_config.h"

#include <stddef.h>
#include <stdio.h>

#include "base/password.h"

#define ROW(type, member, name, row_kind, sentence)                                                \
    {                                                                                              \
        .key = (name), .kind = (row_kind), .offset = offsetof(type, member), .doc = (sentence)     \
    }

const struct option auth_options[] = {
    ROW(struct auth_config, authenticator, "authenticator", OPTION_TEXT,
        "Id of an extension in service::extensions."),
    {.key = "request_params",
     .kind = OPTION_NODE,
     .flags = OPTION_F_IGNORED,
     .doc = "No effect: credentials are taken from headers only."},
    {0},
};

#define HTPASSWD_TYPE __typeof__(((struct basicauth_config *)0)->htpasswd)
#define CLIENT_TYPE __typeof__(((struct basicauth_config *)0)->client)

static const struct option htpasswd_options[] = {
    ROW(HTPASSWD_TYPE, file, "file", OPTION_TEXT,
        "Lines of user:hash; read again when the file changes."),
    ROW(HTPASSWD_TYPE, content, "inline", OPTION_SECRET,
        "The same as text; for a user in both, this one counts."),
    {0},
};

static const struct option client_options[] = {
    ROW(CLIENT_TYPE, username, "username", OPTION_TEXT, "Who the exporter is."),
    ROW(CLIENT_TYPE, password, "password", OPTION_SECRET, "Its password."),
    ROW(CLIENT_TYPE, username_file, "username_file", OPTION_TEXT,
        "The same from a file, read again when it changes; wins over username."),
    ROW(CLIENT_TYPE, password_file, "password_file", OPTION_TEXT,
        "The same from a file, read again when it changes; wins over password."),
    {0},
};

const struct option basicauth_options[] = {
    {.key = "htpasswd",
     .kind = OPTION_GROUP,
     .rows = htpasswd_options,
     .offset = offsetof(struct basicauth_config, htpasswd),
     .present_offset = offsetof(struct basicauth_config, has_htpasswd),
     .doc = "For receivers: who may come in (bcrypt, $apr1$, $5$, $6$, {SHA}, {SSHA}, plain)."},
    {.key = "client_auth",
     .kind = OPTION_GROUP,
     .rows = client_options,
     .offset = offsetof(struct basicauth_config, client),
     .present_offset = offsetof(struct basicauth_config, has_client),
     .doc = "For exporters: what they show."},
    {0},
};

const struct option bearertokenauth_options[] = {
    {.key = "header",
     .kind = OPTION_TEXT,
     .fallback = "Authorization",
     .offset = offsetof(struct bearertokenauth_config, header),
     .doc = "Header that carries the token."},
    {.key = "scheme",
     .kind = OPTION_TEXT,
     .fallback = "Bearer",
     .offset = offsetof(struct bearertokenauth_config, scheme),
     .doc = "Word before the token; \"\" for the token alone."},
    ROW(struct bearertokenauth_config, token, "token", OPTION_SECRET, "The token."),
    {.key = "tokens",
     .kind = OPTION_TEXTS,
     .flags = OPTION_F_SECRET,
     .count_max = BEARER_TOKENS_MAX,
     .offset = offsetof(struct bearertokenauth_config, tokens),
     .doc = "Several: receivers take any of them, exporters show the first."},
    ROW(struct bearertokenauth_config, filename, "filename", OPTION_TEXT,
        "One token a line, read again when the file changes; token and tokens are then ignored."),
    {0},
};

const struct option headers_setter_options[] = {
    {.key = "headers",
     .kind = OPTION_NODE,
     .offset = offsetof(struct headers_setter_config, headers),
     .doc = "List of {action: insert|update|upsert|delete, key, value | from_context, "
            "default_value}; from_context names a header of the agent's request, which the "
            "receiver keeps with include_metadata: true."},
    {.key = "additional_auth",
     .kind = OPTION_NODE,
     .offset = offsetof(struct headers_setter_config, headers),
     .flags = OPTION_F_IGNORED,
     .doc = "Name the other authenticator at the exporter instead."},
    {0},
};

static const char *const actions[] = {"insert", "update", "upsert", "delete", NULL};

static const struct option rule_options[] = {
    {.key = "key",
     .kind = OPTION_TEXT,
     .flags = OPTION_F_REQUIRED,
     .offset = offsetof(struct header_rule, key)},
    {.key = "from_context",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct header_rule, from_context)},
    {.key = "value",
     .kind = OPTION_SECRET,
     .offset = offsetof(struct header_rule, value),
     .present_offset = offsetof(struct header_rule, has_value)},
    {.key = "default_value",
     .kind = OPTION_SECRET,
     .offset = offsetof(struct header_rule, default_value),
     .present_offset = offsetof(struct header_rule, has_default)},
    {.key = "action",
     .kind = OPTION_ENUM,
     .fallback = "upsert",
     .choices = actions,
     .offset = offsetof(struct header_rule, action)},
    {0},
};

// Visible ASCII, and spaces inside: what both HTTP and gRPC carry.
static bool is_header_value(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] < ' ' || value.ptr[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool is_header_name(struct bytes name)
{
    static const char others[] = "-_.";
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.ptr[i];
        bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        bool is_digit = byte >= '0' && byte <= '9';
        if (!is_letter && !is_digit &&
            bytes_find(bytes_from_text(others), bytes_from(&byte, 1), 0) == SIZE_MAX) {
            return false;
        }
    }
    return name.len > 0 && name.len <= 100;
}

static void check_users(struct bytes content, const struct config_node *node, const char *path,
                        struct option_errors *errors)
{
    while (content.len > 0) {
        size_t end = bytes_find(content, BYTES_LITERAL("\n"), 0);
        struct bytes line = bytes_trim(bytes_slice(content, 0, end));
        content = end == SIZE_MAX ? BYTES_NONE : bytes_slice(content, end + 1, SIZE_MAX);
        size_t colon = bytes_find(line, BYTES_LITERAL(":"), 0);
        const char *why = "a line is not user:hash";
        if (line.len > 0 && line.ptr[0] != '#' &&
            (colon == SIZE_MAX || colon == 0 ||
             !password_hash_is_usable(bytes_slice(line, colon + 1, SIZE_MAX), &why))) {
            option_error(errors, path, node, "htpasswd::inline: %s", why);
            return;
        }
    }
}

void basicauth_validate(const void *arg, const struct config_node *node, const char *path,
                        struct option_errors *errors)
{
    const struct basicauth_config *config = arg;
    if (config->has_htpasswd && config->has_client) {
        option_error(errors, path, node,
                     "htpasswd and client_auth cannot be used together: use two extensions");
    }
    if (!config->has_htpasswd && !config->has_client) {
        option_error(errors, path, node, "one of htpasswd and client_auth is needed");
    }
    if (config->has_htpasswd && config->htpasswd.file.len == 0 &&
        bytes_trim(config->htpasswd.content).len == 0) {
        option_error(errors, path, node, "htpasswd: no credential source provided");
    }
    check_users(config->htpasswd.content, node, path, errors);
    bool has_name = config->client.username.len > 0 || config->client.username_file.len > 0;
    bool has_password = config->client.password.len > 0 || config->client.password_file.len > 0;
    if (config->has_client && (!has_name || !has_password)) {
        option_error(errors, path, node,
                     "client_auth: username and password (or their files) are both needed");
    }
    if (bytes_find(config->client.username, BYTES_LITERAL(":"), 0) != SIZE_MAX) {
        option_error(errors, path, node, "client_auth: a username holds no colon (RFC 7617 2)");
    }
}

void bearertokenauth_validate(const void *arg, const struct config_node *node, const char *path,
                              struct option_errors *errors)
{
    const struct bearertokenauth_config *config = arg;
    bool is_sound = is_header_value(config->token) && is_header_value(config->scheme);
    for (size_t i = 0; i < config->tokens.count; i++) {
        is_sound = is_sound && is_header_value(config->tokens.items[i]) &&
                   bytes_trim(config->tokens.items[i]).len > 0;
    }
    if (config->filename.len == 0 && config->token.len == 0 && config->tokens.count == 0) {
        option_error(errors, path, node, "no bearer token provided: token, tokens or filename");
    }
    if (config->token.len > 0 && config->tokens.count > 0) {
        option_error(errors, path, node, "either tokens or token should be set, not both");
    }
    if (!is_sound) {
        option_error(errors, path, node, "a token is empty or holds what a header cannot carry");
    }
    if (!is_header_name(config->header)) {
        option_error(errors, path, config_get(node, "header"), "header: not the name of a header");
    }
}

static bool is_reserved(struct bytes key)
{
    static const char *const ours[] = {"content-type",   "content-encoding",
                                       "content-length", "transfer-encoding",
                                       "connection",     "host",
                                       "sidejudge-hop",  "te"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        if (bytes_equal_nocase(key, ours[i])) {
            return true;
        }
    }
    return bytes_start_with(key, BYTES_LITERAL("grpc-"));
}

static void check_rule(const struct header_rule *rule, const struct config_node *node,
                       const char *path, struct option_errors *errors)
{
    int key_len = (int)rule->key.len;
    const char *key = (const char *)rule->key.ptr;
    if (!is_header_name(rule->key) || is_reserved(rule->key)) {
        option_error(errors, path, node, "headers: \"%.*s\" cannot be set here", key_len, key);
        return;
    }
    bool is_context = rule->from_context.len > 0;
    if (rule->action != HEADER_DELETE && is_context == rule->has_value) {
        option_error(errors, path, node,
                     "headers: \"%.*s\" needs exactly one of value and from_context", key_len, key);
    }
    if (is_context && !is_header_name(rule->from_context)) {
        option_error(errors, path, node,
                     "headers: \"%.*s\": from_context is not the name of a header", key_len, key);
    }
    if (!is_header_value(rule->value) || !is_header_value(rule->default_value)) {
        option_error(errors, path, node,
                     "headers: \"%.*s\": a value holds what a header cannot carry", key_len, key);
    }
}

size_t header_rules_bind(const struct config_node *list, struct header_rule rules[HEADER_RULES_MAX],
                         const char *path, struct arena *arena, struct option_errors *errors)
{
    size_t count = config_count(list) < HEADER_RULES_MAX ? config_count(list) : HEADER_RULES_MAX;
    if (config_kind(list) != CONFIG_LIST || config_count(list) == 0) {
        option_error(errors, path, list, "headers: a list of at least one rule is needed");
        return 0;
    }
    if (config_count(list) > HEADER_RULES_MAX) {
        option_error(errors, path, list, "headers: more than %d rules", HEADER_RULES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        const struct config_node *node = config_at(list, i);
        option_bind(rule_options, node, path, &rules[i], sizeof rules[i], arena, errors);
        check_rule(&rules[i], node, path, errors);
    }
    return count;
}

void headers_setter_validate(const void *arg, const struct config_node *node, const char *path,
                             struct option_errors *errors)
{
    (void)node;
    const struct headers_setter_config *config = arg;
    struct header_rule rules[HEADER_RULES_MAX];
    struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    (void)header_rules_bind(config->headers, rules, path, &arena, errors);
    arena_fini(&arena);
}
