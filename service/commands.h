// SPDX-License-Identifier: Apache-2.0
// The sub-commands: each takes the parsed command line and returns the exit status. Main thread.
#pragma once

#include "service/arguments.h"
#include "service/settings.h"

int command_run(struct arguments *arguments);
int command_validate(struct arguments *arguments);
int command_components(struct arguments *arguments);
int command_print_config(struct arguments *arguments);
int command_explain(struct arguments *arguments);  // service/command/explain.c
int command_status(struct arguments *arguments);   // service/command/status.c
int command_doctor(struct arguments *arguments);   // service/command/doctor.c
int command_demo(struct arguments *arguments);     // service/demo/demo.c
int command_version(struct arguments *arguments);
int command_help(struct arguments *arguments);

// The configuration that the arguments name, or that the environment amounts to; errors and
// warnings collected, not printed.
struct loaded {
    struct config *config;
    struct settings *settings;
    struct buffer faults, warnings, notes;
    unsigned fault_count;
};
// RESULT_REJECT: unreadable YAML (the text is in loaded->faults); settings are NULL then. Otherwise
// settings are usable even with fault_count > 0.
enum result commands_load(const struct arguments *arguments, struct loaded *loaded) MUST_USE;
void commands_unload(struct loaded *loaded);
// One log line per line of a text.
void commands_log_lines(enum log_level level, const char *message, const struct buffer *text);
