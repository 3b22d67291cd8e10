// SPDX-License-Identifier: Apache-2.0
// The configurations of the extensions that prove who somebody is, with the Collector's keys
// (contrib extension/basicauthextension, bearertokenauthextension, headerssetterextension), and the
// key `auth` of receivers and exporters that names one. Start and reload only.
#pragma once

#include "base/option.h"

struct auth_config {             // the key `auth`
    struct bytes authenticator;  // id of an extension; empty: none
};
extern const struct option auth_options[];

struct basicauth_config {
    struct {
        struct bytes file, content;  // `inline`
    } htpasswd;
    struct {
        struct bytes username, password, username_file, password_file;
    } client;
    bool has_htpasswd, has_client;
};
extern const struct option basicauth_options[];
void basicauth_validate(const void *config, const struct config_node *node, const char *path,
                        struct option_errors *errors);

#define BEARER_TOKENS_MAX 64
struct bearertokenauth_config {
    struct bytes header, scheme, token, filename;
    struct option_texts tokens;
};
extern const struct option bearertokenauth_options[];
void bearertokenauth_validate(const void *config, const struct config_node *node, const char *path,
                              struct option_errors *errors);

#define HEADER_RULES_MAX 16
enum header_action { HEADER_INSERT, HEADER_UPDATE, HEADER_UPSERT, HEADER_DELETE };
struct header_rule {
    struct bytes key, from_context, value, default_value;
    bool has_value, has_default;
    int action;  // enum header_action
};
struct headers_setter_config {
    const struct config_node *headers;  // list of rules
};
extern const struct option headers_setter_options[];
void headers_setter_validate(const void *config, const struct config_node *node, const char *path,
                             struct option_errors *errors);
// Binds the rules, at most HEADER_RULES_MAX; returns how many. Texts go into the arena.
size_t header_rules_bind(const struct config_node *list, struct header_rule rules[HEADER_RULES_MAX],
                         const char *path, struct arena *arena, struct option_errors *errors);
