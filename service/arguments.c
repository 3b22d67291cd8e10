// SPDX-License-Identifier: Apache-2.0
//
// Parses the command line from two tables: commands (service/main.c) and flags (below).
//
// Chosen over getopt_long because the Collector's flags are repeatable, come as --k=v from the
// Operator, and an unknown flag must be named in its wording.
//
// Bounds: 100 sources.

#include "service/arguments.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

enum flag_kind { FLAG_LIST, FLAG_TEXT, FLAG_BOOL, FLAG_IGNORED };

struct flag {
    const char *name;
    enum flag_kind kind;
    size_t offset, count_offset;
    const char *doc;
};

static const struct flag flags[] = {
    {"config", FLAG_LIST, offsetof(struct arguments, configs),
     offsetof(struct arguments, config_count),
     "PATH | file:PATH | env:NAME | yaml:TEXT, repeatable; later ones win. None: the environment"},
    {"set", FLAG_LIST, offsetof(struct arguments, sets), offsetof(struct arguments, set_count),
     "a.b=value on top of the configuration, repeatable"},
    {"feature-gates", FLAG_IGNORED, 0, 0, "accepted for the Collector's sake; there are none"},
    {"api", FLAG_TEXT, offsetof(struct arguments, api), 0,
     "host:port of the running process, for status and explain (localhost:13134)"},
    {"strict", FLAG_BOOL, offsetof(struct arguments, strict), 0,
     "run: any fault of the configuration ends the start"},
    {"json", FLAG_BOOL, offsetof(struct arguments, json), 0, "status, explain: as JSON"},
    {"markdown", FLAG_BOOL, offsetof(struct arguments, markdown), 0,
     "components: every key of every component as docs/CONFIG.md"},
    {"plain", FLAG_BOOL, offsetof(struct arguments, plain), 0, "demo: no pauses and no colours"},
};

static const struct flag *flag_find(struct bytes name)
{
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (bytes_equal_text(name, flags[i].name)) {
            return &flags[i];
        }
    }
    return NULL;
}

static enum result flag_take(const struct flag *flag, const char *value,
                             struct arguments *arguments, char *why, size_t why_len)
{
    char *base = (char *)arguments;
    switch (flag->kind) {
    case FLAG_LIST: {
        size_t *count = (size_t *)(void *)(base + flag->count_offset);
        if (*count == ARGUMENTS_SOURCES_MAX) {
            snprintf(why, why_len, "more than %d --%s flags", ARGUMENTS_SOURCES_MAX, flag->name);
            return RESULT_REJECT;
        }
        ((const char **)(void *)(base + flag->offset))[(*count)++] = value;
        break;
    }
    case FLAG_TEXT:
        *(const char **)(void *)(base + flag->offset) = value;
        break;
    case FLAG_BOOL:
        *(bool *)(void *)(base + flag->offset) = strcmp(value, "false") != 0;
        break;
    case FLAG_IGNORED:
        break;
    }
    return RESULT_OK;
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 1; commands[i].name != NULL; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

// One word that is not a flag: the command, then its operand.
static enum result word_take(const char *word, struct arguments *arguments, char *why,
                             size_t why_len)
{
    if (arguments->command == &commands[0]) {
        const struct command *command = command_find(word);
        if (command == NULL) {
            snprintf(why, why_len,
                     "unknown command \"%s\" for \"sidejudge\" (sidejudge --help lists them)",
                     word);
            return RESULT_REJECT;
        }
        arguments->command = command;
        return RESULT_OK;
    }
    if (arguments->command->operands[0] != '\0' && arguments->operand == NULL) {
        arguments->operand = word;
        return RESULT_OK;
    }
    snprintf(why, why_len, "\"%s\" takes no argument \"%s\"", arguments->command->name, word);
    return RESULT_REJECT;
}

enum result arguments_parse(int argc, char *const *argv, struct arguments *arguments, char *why,
                            size_t why_len)
{
    memset(arguments, 0, sizeof(*arguments));
    arguments->command = &commands[0];
    arguments->api = "localhost:13134";
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (word[0] != '-' || word[1] == '\0') {
            enum result result = word_take(word, arguments, why, why_len);
            if (result != RESULT_OK) {
                return result;
            }
            continue;
        }
        const char *name = word + (word[1] == '-' ? 2 : 1);
        if (strcmp(name, "version") == 0 || strcmp(name, "help") == 0 || strcmp(name, "v") == 0 ||
            strcmp(name, "h") == 0) {
            arguments->command = command_find(name[0] == 'v' ? "version" : "help");
            return RESULT_OK;
        }
        const char *equal = strchr(name, '=');
        const struct flag *flag =
            flag_find(bytes_from(name, equal != NULL ? (size_t)(equal - name) : strlen(name)));
        if (flag == NULL) {
            snprintf(why, why_len, "unknown flag: %s (sidejudge --help lists them)", word);
            return RESULT_REJECT;
        }
        const char *value = equal != NULL ? equal + 1 : "true";
        if (equal == NULL && flag->kind != FLAG_BOOL) {
            if (i + 1 == argc) {
                snprintf(why, why_len, "flag needs an argument: --%s", flag->name);
                return RESULT_REJECT;
            }
            value = argv[++i];
        }
        enum result result = flag_take(flag, value, arguments, why, why_len);
        if (result != RESULT_OK) {
            return result;
        }
    }
    bool is_run = arguments->command == &commands[0];
    if (!is_run && arguments->command->operands[0] != '\0' && arguments->operand == NULL) {
        snprintf(why, why_len, "usage: sidejudge %s %s", arguments->command->name,
                 arguments->command->operands);
        return RESULT_REJECT;
    }
    return RESULT_OK;
}

void arguments_help(void)
{
    printf("sidejudge: an OpenTelemetry Collector sidecar that grades what LLM agents "
           "answer\n\nUsage:\n");
    for (size_t i = 0; commands[i].name != NULL; i++) {
        char left[64];
        snprintf(left, sizeof(left), "sidejudge %s %s", commands[i].name, commands[i].operands);
        printf("  %-30s %s\n", left, commands[i].doc);
    }
    printf("\nFlags:\n");
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        printf("  --%-28s %s\n", flags[i].name, flags[i].doc);
    }
    printf("\nWithout --config the environment is the configuration: LANGFUSE_*, PHOENIX_*, "
           "OTEL_EXPORTER_OTLP_*,\n"
           "SIDEJUDGE_JUDGE, SIDEJUDGE_BUDGET_USD_PER_DAY, SIDEJUDGE_LISTEN (sidejudge "
           "print-config shows what it amounts to).\n");
}
