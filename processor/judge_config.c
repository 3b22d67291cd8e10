// SPDX-License-Identifier: Apache-2.0
//
// A judge's configuration: rows, the one-line shorthand, defaults by API, dated list prices, and
// what is wrong with it in words.
//
// Refused: calling a provider to see whether a key works (doctor does that).
//
// Start only.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "processor/judge_api.h"

extern const struct judge_api_ops judge_api_openai, judge_api_anthropic;

const struct judge_api_ops *const judge_apis[] = {&judge_api_openai, &judge_api_anthropic, NULL};
const char *const judge_api_names[] = {"openai", "anthropic", NULL};

static const struct option price_options[] = {
    {.key = "input_per_mtok",
     .kind = OPTION_DOUBLE,
     .offset = offsetof(struct judge_config, input_per_mtok),
     .min = 0,
     .max = 1e4,
     .unit = "USD",
     .doc = "Price of a million input tokens."},
    {.key = "output_per_mtok",
     .kind = OPTION_DOUBLE,
     .offset = offsetof(struct judge_config, output_per_mtok),
     .min = 0,
     .max = 1e4,
     .unit = "USD",
     .doc = "Price of a million output tokens."},
    {0}};

const struct option judge_options[] = {
    {.key = "api",
     .kind = OPTION_ENUM,
     .offset = offsetof(struct judge_config, api),
     .fallback = "openai",
     .choices = judge_api_names,
     .doc = "openai: any server with OpenAI-compatible chat completions; anthropic: the Messages "
            "API."},
    {.key = "endpoint",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct judge_config, endpoint),
     .doc = "The API's base URL as its own SDK takes it (OpenAI-compatible ones end in /v1); "
            "default by api."},
    {.key = "model",
     .kind = OPTION_TEXT,
     .offset = offsetof(struct judge_config, model),
     .flags = OPTION_F_REQUIRED,
     .doc = "The model's name at that API."},
    {.key = "tls",
     .kind = OPTION_GROUP,
     .rows = tls_client_options,
     .offset = offsetof(struct judge_config, tls),
     .doc = "For https endpoints: own authorities, client certificates."},
    {.key = "api_key",
     .kind = OPTION_SECRET,
     .offset = offsetof(struct judge_config, api_key),
     .doc = "Default: ANTHROPIC_API_KEY or OPENAI_API_KEY; needed only at that provider's own "
            "endpoint."},
    {.key = "timeout",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct judge_config, timeout_ns),
     .fallback = "20s",
     .min = 0.05,
     .max = 600,
     .unit = "s",
     .doc = "Deadline of one grading, retries included."},
    {.key = "max_concurrency",
     .kind = OPTION_INT,
     .offset = offsetof(struct judge_config, max_concurrency),
     .fallback = "8",
     .min = 1,
     .max = 256,
     .doc = "Calls in flight at once."},
    {.key = "max_output_tokens",
     .kind = OPTION_INT,
     .offset = offsetof(struct judge_config, max_output_tokens),
     .fallback = "512",
     .min = 64,
     .max = 8192,
     .doc = "Bound of the answer; an answer that is cut is an error."},
    {.key = "max_retries",
     .kind = OPTION_INT,
     .offset = offsetof(struct judge_config, max_retries),
     .fallback = "2",
     .min = 0,
     .max = 10,
     .doc = "Further attempts inside the deadline after a transport failure, 429 or 5xx."},
    {.key = "price",
     .kind = OPTION_GROUP,
     .rows = price_options,
     .present_offset = offsetof(struct judge_config, has_price),
     .doc = "Needed for models without a list price; 0 is a price."},
    {0}};

static const struct judge_api_ops *api_of(const struct judge_config *config)
{
    CHECK(config->api >= 0 && config->api <= 1);
    return judge_apis[config->api];
}

static struct bytes variable(const char *name)
{
    return bytes_trim(bytes_from_text(getenv(name)));
}

// A dated version of a listed model: the name, then "-20" or "@".
static bool is_version_of(struct bytes model, const char *listed)
{
    size_t len = strlen(listed);
    if (!bytes_start_with(model, bytes_from_text(listed))) {
        return false;
    }
    struct bytes rest = bytes_slice(model, len, SIZE_MAX);
    return rest.len == 0 || bytes_start_with(rest, BYTES_LITERAL("-20")) ||
           bytes_start_with(rest, BYTES_LITERAL("@")) ||
           bytes_start_with(rest, BYTES_LITERAL("-latest"));
}

static bool price_find(const char *api, struct bytes model, double *input, double *output)
{
    static const struct {
        const char *api, *model;
        double input, output;
    } prices[] = {
#define PRICE(api, model, input, output) {api, model, input, output},
#include "processor/prices.def"
#undef PRICE
    };
    for (size_t i = 0; i < sizeof(prices) / sizeof(prices[0]); i++) {
        if (strcmp(prices[i].api, api) == 0 && is_version_of(model, prices[i].model)) {
            *input = prices[i].input;
            *output = prices[i].output;
            return true;
        }
    }
    return false;
}

void judge_complete(struct judge_config *config, struct arena *arena)
{
    const struct judge_api_ops *api = api_of(config);
    if (config->endpoint.len == 0) {
        struct bytes url = variable(api->url_variable);
        config->endpoint = arena_copy(arena, url.len > 0 ? url : bytes_from_text(api->endpoint));
    }
    if (config->api_key.len == 0) {
        config->api_key = arena_copy(arena, variable(api->key_variable));
    }
    if (!config->has_price) {
        config->has_price =
            price_find(api->name, config->model, &config->input_per_mtok, &config->output_per_mtok);
    }
}

enum result judge_from_shorthand(struct bytes text, struct arena *arena,
                                 struct judge_config *config, char *why, size_t why_len)
{
    size_t slash = bytes_find(text, BYTES_LITERAL("/"), 0);
    struct bytes provider = bytes_slice(text, 0, slash == SIZE_MAX ? 0 : slash);
    struct option_errors errors = {.out = NULL};
    struct buffer ignored;
    buffer_init(&ignored, 4096);
    errors.out = &ignored;
    option_bind(judge_options, NULL, "judge", config, sizeof(*config), arena,
                &errors);  // defaults; `model` is missing there
    buffer_fini(&ignored);
    config->name = BYTES_LITERAL("default");
    for (int i = 0; judge_apis[i] != NULL; i++) {
        if (bytes_equal_text(provider, judge_apis[i]->name) && slash + 1 < text.len) {
            config->api = i;
            config->model = arena_copy(arena, bytes_slice(text, slash + 1, SIZE_MAX));
            judge_complete(config, arena);
            return RESULT_OK;
        }
    }
    snprintf(why, why_len,
             "\"%.*s\" is not provider/model (anthropic/claude-haiku-4-5, openai/gpt-4.1-mini); "
             "other servers go under `judges`",
             BYTES_PRINTF(text));
    return RESULT_REJECT;
}

// Host of a URL: between "://" and the next "/", ":" or end.
static struct bytes url_host(struct bytes url)
{
    size_t scheme = bytes_find(url, BYTES_LITERAL("://"), 0);
    struct bytes rest = scheme == SIZE_MAX ? url : bytes_slice(url, scheme + 3, SIZE_MAX);
    size_t i = 0;
    while (i < rest.len && rest.ptr[i] != '/' && (rest.ptr[i] != ':' || rest.ptr[0] == '[')) {
        i++;
    }
    return bytes_slice(rest, 0, i);
}

static bool host_is_loopback(struct bytes host)
{
    bool is_number = bytes_start_with(host, BYTES_LITERAL("127."));
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.ptr[i];
        is_number = is_number && (c == '.' || (c >= '0' && c <= '9'));
    }
    return is_number || bytes_equal_nocase(host, "localhost") ||
           bytes_start_with(host, BYTES_LITERAL("[::1]"));
}

void judge_host(const struct judge_config *config, char out[128])
{
    struct bytes host = url_host(config->endpoint);
    snprintf(out, 128, "%.*s", host_is_loopback(host) ? 0 : (int)host.len,
             host.len > 0 ? (const char *)host.ptr : "");
}

void judge_validate(const struct judge_config *config, const char *path,
                    const struct config_node *node, struct option_errors *errors)
{
    const struct judge_api_ops *api = api_of(config);
    const char *why = NULL;
    if (!http_url_is_valid(config->endpoint, &why)) {
        option_error(errors, path, node, "`endpoint` \"%.*s\": %s", BYTES_PRINTF(config->endpoint),
                     why);
    }
    if (bytes_end_with(config->endpoint, bytes_from_text(api->path))) {
        option_error(errors, path, node,
                     "`endpoint` is the base URL: leave out \"%s\", it is appended", api->path);
    }
    if (bytes_start_with(bytes_from_text(api->path), BYTES_LITERAL("/v1/")) &&
        bytes_end_with(config->endpoint, BYTES_LITERAL("/v1"))) {
        option_error(errors, path, node, "`endpoint` ends before \"/v1\" with this API");
    }
    if (config->api_key.len > JUDGE_API_KEY_BYTES_MAX) {
        option_error(errors, path, node, "`api_key` has %zu bytes; at most %d are sent",
                     config->api_key.len, JUDGE_API_KEY_BYTES_MAX);
    }
    // Servers of one's own often take no key; the provider's never do without.
    if (config->api_key.len == 0 && bytes_equal_text(config->endpoint, api->endpoint)) {
        option_error(errors, path, node, "no API key: set %s, or `api_key`", api->key_variable);
    }
    if (!config->has_price && config->model.len > 0) {
        option_error(errors, path, node,
                     "\"%.*s\" has no list price here: give `price: {input_per_mtok: ..., "
                     "output_per_mtok: ...}` (0 is a price)",
                     BYTES_PRINTF(config->model));
    }
}

const char *judge_id(const struct judge_config *config, const char *epoch, char out[160])
{
    snprintf(out, 160, "%s/%.*s@%s", api_of(config)->name,
             config->model.len < 100 ? (int)config->model.len : 100,
             (const char *)config->model.ptr, epoch);
    return out;
}
