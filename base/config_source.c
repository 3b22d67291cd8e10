// SPDX-License-Identifier: Apache-2.0
//
// Configuration sources by URI, as the Collector's providers: file, env and yaml; no http, since a
// sidecar must start without a network. The same three serve "${...}" inside values.
//
// A value fetched for "${...}" is read as YAML and keeps its text: options of kind text take the
// text, so that a key of digits, or one that happens to look like a map, arrives as written. Text
// that is not YAML at all is a string.
//
// Bounds: config_node.h. Start and reload only, one thread.
#include "base/config_source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum scheme { SCHEME_NONE, SCHEME_FILE, SCHEME_ENV, SCHEME_YAML, SCHEME_UNKNOWN };

static bool is_letter(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

// "scheme:rest" (RFC 3986 3.1); a single letter is no scheme, as in the Collector.
static enum scheme scheme_of(struct bytes uri, struct bytes *rest)
{
    size_t colon = bytes_find(uri, BYTES_LITERAL(":"), 0);
    *rest = uri;
    if (colon == SIZE_MAX || colon < 2 || !is_letter(uri.ptr[0])) {
        return SCHEME_NONE;
    }
    for (size_t i = 1; i < colon; i++) {
        if (!is_letter(uri.ptr[i]) && !is_digit(uri.ptr[i]) && strchr("+.-", uri.ptr[i]) == NULL) {
            return SCHEME_NONE;
        }
    }
    struct bytes name = bytes_slice(uri, 0, colon);
    *rest = bytes_slice(uri, colon + 1, uri.len);
    return bytes_equal_text(name, "file")   ? SCHEME_FILE
           : bytes_equal_text(name, "env")  ? SCHEME_ENV
           : bytes_equal_text(name, "yaml") ? SCHEME_YAML
                                            : SCHEME_UNKNOWN;
}

static bool variable_name_is_valid(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.ptr[i];
        if (!is_letter(byte) && byte != '_' && (i == 0 || !is_digit(byte))) {
            return false;
        }
    }
    return name.len > 0;
}

static enum result check_variable_name(struct config *config, struct bytes name, const char *where)
{
    if (variable_name_is_valid(name)) {
        return RESULT_OK;
    }
    return config_fail(config, where, RESULT_REJECT,
                       "environment variable \"%.*s\" has invalid name: must match regex "
                       "^[a-zA-Z_][a-zA-Z0-9_]*$",
                       BYTES_PRINTF(bytes_slice(name, 0, 128)));
}

static const char *text_copy(struct config *config, struct bytes text)
{
    struct bytes copy = arena_copy(&config->arena, text);
    return copy.ptr != NULL ? (const char *)copy.ptr : "";
}

static enum result read_file(struct config *config, const char *path, const char *where,
                             struct buffer *text)
{
    buffer_init(text, CONFIG_SOURCE_BYTES_MAX);
    enum result result = file_read(path, text);
    if (result == RESULT_OK) {
        return RESULT_OK;
    }
    const char *what = result == RESULT_MISSING     ? "no such file"
                       : result == RESULT_TOO_LARGE ? "larger than 1 MiB"
                                                    : "the file cannot be read";
    buffer_fini(text);
    return config_fail(config, where, result, "%s: %s", path, what);
}

static enum result read_file_source(struct config *config, const char *path,
                                    struct config_node **node)
{
    struct buffer text;
    enum result result = read_file(config, path, "config", &text);
    if (result != RESULT_OK) {
        return result;
    }
    result = config_read_yaml(config, path, buffer_view(&text), node);
    buffer_fini(&text);
    return result;
}

static enum result read_env_source(struct config *config, struct bytes name, const char *uri,
                                   struct config_node **node)
{
    enum result result = check_variable_name(config, name, uri);
    if (result != RESULT_OK) {
        return result;
    }
    const char *value = getenv(text_copy(config, name));
    if (value == NULL) {
        return config_fail(config, uri, RESULT_MISSING, "the environment variable is not set");
    }
    return config_read_yaml(config, text_copy(config, bytes_from_text(uri)), bytes_from_text(value),
                            node);
}

static enum result read_yaml_source(struct config *config, struct bytes text,
                                    struct config_node **node)
{
    struct config_node *read;
    enum result result = config_read_yaml(config, "yaml", text, &read);
    if (result != RESULT_OK) {
        return result;
    }
    read = config_node_split_keys(config, read);
    if (read == NULL) {
        return config_fail(config, "yaml", RESULT_TOO_LARGE, "too many keys");
    }
    *node = read;
    return RESULT_OK;
}

enum result config_source_read(struct config *config, const char *uri, struct config_node **node)
{
    struct bytes rest;
    switch (scheme_of(bytes_from_text(uri), &rest)) {
    case SCHEME_ENV:
        return read_env_source(config, rest, uri, node);
    case SCHEME_YAML:
        return read_yaml_source(config, rest, node);
    case SCHEME_UNKNOWN:
        return config_fail(config, "config", RESULT_REJECT,
                           "scheme \"%.*s\" is not supported for uri \"%s\" (file, env, yaml are)",
                           (int)strcspn(uri, ":"), uri, uri);
    case SCHEME_NONE:
    case SCHEME_FILE:
        break;
    }
    return read_file_source(config, text_copy(config, rest), node);
}

// a.b.c as a::b::c
static struct bytes set_key(struct config *config, struct bytes path)
{
    uint8_t *key = arena_alloc(&config->arena, path.len * 2);
    size_t len = 0;
    for (size_t i = 0; key != NULL && i < path.len; i++) {
        key[len++] = path.ptr[i] == '.' ? ':' : path.ptr[i];
        if (path.ptr[i] == '.') {
            key[len++] = ':';
        }
    }
    return bytes_from(key, len);
}

enum result config_source_read_set(struct config *config, const char *set,
                                   struct config_node **node)
{
    struct bytes text = bytes_from_text(set);
    size_t equals = bytes_find(text, BYTES_LITERAL("="), 0);
    if (equals == SIZE_MAX || equals == 0) {
        return config_fail(config, "--set", RESULT_REJECT,
                           "\"%.200s\" must have the form key.key=value", set);
    }
    struct bytes path = bytes_slice(text, 0, equals);
    char name[128];
    snprintf(name, sizeof name, "--set %.*s", BYTES_PRINTF(bytes_slice(path, 0, 100)));
    struct config_node *value;
    enum result result = config_read_yaml(config, text_copy(config, bytes_from_text(name)),
                                          bytes_slice(text, equals + 1, text.len), &value);
    if (result != RESULT_OK) {
        return result;
    }
    struct config_node *map = config_node_new(config, CONFIG_MAP, value->where);
    if (map == NULL ||
        config_node_add(config, map, set_key(config, path), value->where, value) != RESULT_OK) {
        return config_fail(config, name, RESULT_TOO_LARGE, "too many keys");
    }
    map = config_node_split_keys(config, map);
    if (map == NULL) {
        return config_fail(config, name, RESULT_TOO_LARGE, "too many keys");
    }
    *node = map;
    return RESULT_OK;
}

// `text` as YAML with itself kept beside; as a string when it is no YAML.
static enum result value_from_text(struct config *config, const char *source, struct bytes text,
                                   const char *where, struct config_node **node)
{
    struct buffer quiet;
    struct buffer *errors = config->errors;
    buffer_init(&quiet, CONFIG_SOURCE_BYTES_MAX);
    config->errors = &quiet;
    struct config_node *value;
    enum result result = config_read_yaml(config, source, text, &value);
    config->errors = errors;
    buffer_fini(&quiet);
    if (result == RESULT_TOO_LARGE) {
        return config_fail(config, where, result, "the value of %s is too large", source);
    }
    if (result != RESULT_OK) {
        value = config_node_scalar(config, text, true, where);
    }
    struct bytes kept = arena_copy(&config->arena, text);
    if (value == NULL || kept.ptr == NULL) {
        return config_fail(config, where, RESULT_TOO_LARGE, "the configuration is too large");
    }
    value->text = kept;
    value->has_text = true;
    *node = value;
    return RESULT_OK;
}

static enum result fetch_env(struct config *config, struct bytes name, const char *where,
                             struct config_node **node)
{
    size_t dash = bytes_find(name, BYTES_LITERAL(":-"), 0);
    struct bytes fallback = bytes_slice(name, dash == SIZE_MAX ? name.len : dash + 2, name.len);
    name = bytes_slice(name, 0, dash);
    enum result result = check_variable_name(config, name, where);
    if (result != RESULT_OK) {
        return result;
    }
    const char *key = text_copy(config, name);
    const char *value = getenv(key);
    if (value == NULL && dash == SIZE_MAX) {
        config_warn(config, where, "environment variable \"%s\" is not set: read as null", key);
        *node = config_node_new(config, CONFIG_NULL, where);
        return *node != NULL
                   ? RESULT_OK
                   : config_fail(config, where, RESULT_TOO_LARGE, "the configuration is too large");
    }
    struct bytes text = value != NULL ? bytes_from_text(value) : fallback;
    char source[256];
    snprintf(source, sizeof source, "%.150s, %.80s", where, key);
    return value_from_text(config, source, text, where, node);
}

// Mounted secrets end in a line feed that nobody means.
static struct bytes without_line_end(struct bytes text)
{
    while (text.len > 0 && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r')) {
        text.len--;
    }
    return text;
}

static enum result fetch_file(struct config *config, struct bytes path, const char *where,
                              struct config_node **node)
{
    const char *name = text_copy(config, path);
    struct buffer text;
    enum result result = read_file(config, name, where, &text);
    if (result != RESULT_OK) {
        return result;
    }
    struct bytes kept = without_line_end(buffer_view(&text));
    result = value_from_text(config, name, kept, where, node);
    buffer_fini(&text);
    return result;
}

enum result config_source_fetch(struct config *config, struct bytes uri, const char *where,
                                struct config_node **node)
{
    struct bytes rest;
    switch (scheme_of(uri, &rest)) {
    case SCHEME_FILE:
        return fetch_file(config, rest, where, node);
    case SCHEME_YAML:
        return value_from_text(config, where, rest, where, node);
    case SCHEME_ENV:
        return fetch_env(config, rest, where, node);
    case SCHEME_NONE:
        return fetch_env(config, uri, where, node);
    case SCHEME_UNKNOWN:
        break;
    }
    if (bytes_start_with(rest, BYTES_LITERAL("-"))) {  // ${NAME:-default}
        return fetch_env(config, uri, where, node);
    }
    return config_fail(config, where, RESULT_REJECT,
                       "scheme \"%.*s\" is not supported in \"${...}\" (env, file, yaml are)",
                       BYTES_PRINTF(bytes_slice(uri, 0, uri.len - rest.len - 1)));
}
