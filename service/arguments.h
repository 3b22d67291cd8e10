// SPDX-License-Identifier: Apache-2.0
// The command line, as the Collector has it: sub-commands from one table, flags as --key=value or
// --key value. Start only.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/result.h"

#define ARGUMENTS_SOURCES_MAX 100  // --config and --set, each

struct arguments {
    const struct command *command;
    const char *configs[ARGUMENTS_SOURCES_MAX];
    size_t config_count;
    const char *sets[ARGUMENTS_SOURCES_MAX];
    size_t set_count;
    const char *api;      // --api: where explain and status ask; default localhost:13134
    const char *operand;  // explain TRACE_ID
    bool strict;
    bool markdown;  // components --markdown
    bool json;      // status, explain: machine-readable
    bool plain;     // demo: no pauses, no colours
};

struct command {
    const char *name;      // "validate"
    const char *operands;  // "TRACE_ID" or ""
    const char *doc;
    int (*run)(struct arguments *arguments);  // exit status
};
extern const struct command
    commands[];  // ended by {0}; commands[0] is the run without a sub-command

// RESULT_REJECT with a sentence in `why`. `--version` and `--help` are commands in effect.
enum result arguments_parse(int argc, char *const *argv, struct arguments *arguments, char *why,
                            size_t why_len) MUST_USE;
// The help text.
void arguments_help(void);
