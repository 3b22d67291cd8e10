// SPDX-License-Identifier: Apache-2.0
//
// The commands that need no running process, and the run itself: load the configuration (files, or
// the environment), say what is wrong with it in the Collector's words, go on.
//
// Main thread.

#include "service/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "service/environment.h"
#include "service/runtime.h"

#define TEXT_MAX ((size_t)1 << 20)

static const char *read_variable(const char *name)
{
    return getenv(name);
}

enum result commands_load(const struct arguments *arguments, struct loaded *loaded)
{
    memset(loaded, 0, sizeof(*loaded));
    buffer_init(&loaded->faults, TEXT_MAX);
    buffer_init(&loaded->warnings, TEXT_MAX);
    buffer_init(&loaded->notes, TEXT_MAX);
    struct buffer yaml;
    buffer_init(&yaml, TEXT_MAX);
    const char *environment_source[1];
    const char *const *sources = arguments->configs;
    size_t count = arguments->config_count;
    if (count == 0) {
        buffer_append_text(&yaml, "yaml:");
        environment_config(read_variable, &yaml, &loaded->notes);
        environment_source[0] = buffer_text(&yaml);
        sources = environment_source;
        count = 1;
    }
    enum result result = config_load(sources, count, arguments->sets, arguments->set_count,
                                     &loaded->config, &loaded->faults, &loaded->warnings);
    buffer_fini(&yaml);
    if (result != RESULT_OK) {
        loaded->fault_count = 1;
        return result;
    }
    struct option_errors errors = {.out = &loaded->faults, .warnings = &loaded->warnings};
    loaded->settings = settings_new(loaded->config, &errors);
    loaded->fault_count = errors.count;
    return RESULT_OK;
}

void commands_unload(struct loaded *loaded)
{
    settings_free(&loaded->settings);
    config_free(&loaded->config);
    buffer_fini(&loaded->faults);
    buffer_fini(&loaded->warnings);
    buffer_fini(&loaded->notes);
}

static void print_faults(struct loaded *loaded)
{
    fprintf(stderr, "Error: invalid configuration, %u fault%s:\n\n%s", loaded->fault_count,
            loaded->fault_count == 1 ? "" : "s", buffer_text(&loaded->faults));
}

int command_validate(struct arguments *arguments)
{
    struct loaded loaded;
    enum result result = commands_load(arguments, &loaded);
    if (loaded.warnings.len > 0) {
        fprintf(stderr, "Warning:\n%s", buffer_text(&loaded.warnings));
    }
    int status = 0;
    if (result != RESULT_OK || loaded.fault_count > 0) {
        print_faults(&loaded);
        status = 1;
    }
    commands_unload(&loaded);
    return status;
}

static void print_kind(const char *name, const void *const *ops)
{
    printf("%s:\n", name);
    for (size_t i = 0; ops[i] != NULL; i++) {
        const struct component_kind *kind = ops[i];
        printf("    - name: %s\n", kind->type);
        if (kind->alias != NULL) {
            printf("      deprecated_alias: %s\n", kind->alias);
        }
        printf("      signals: [");
        for (unsigned s = 0, first = 1; s < SIGNAL_COUNT; s++) {
            if ((kind->signals & 1U << s) != 0) {
                printf("%s%s", first ? "" : ", ", signal_name((enum signal)s));
                first = 0;
            }
        }
        printf("]\n      description: %s\n", kind->doc);
    }
}

int command_components(struct arguments *arguments)
{
    if (arguments->markdown) {
        struct buffer out;
        buffer_init(&out, TEXT_MAX);
        settings_document(&out);
        printf("%s", buffer_text(&out));
        buffer_fini(&out);
        return 0;
    }
    printf("buildinfo:\n    command: sidejudge\n    version: %s\n", SIDEJUDGE_VERSION);
    print_kind("receivers", (const void *const *)receivers);
    print_kind("processors", (const void *const *)processors);
    print_kind("exporters", (const void *const *)exporters);
    printf("extensions:\n    - name: health_check\n    - name: evaluation_api\n");
    for (const struct authenticator_kind *kind = authenticator_kinds; kind->type != NULL; kind++) {
        printf("    - name: %s\n", kind->type);
    }
    printf("    - name: file_storage\n");
    return 0;
}

int command_print_config(struct arguments *arguments)
{
    struct loaded loaded;
    int status = 0;
    if (commands_load(arguments, &loaded) != RESULT_OK) {
        print_faults(&loaded);
        status = 1;
    } else {
        struct buffer out;
        buffer_init(&out, TEXT_MAX);
        config_print(loaded.config, &out);
        printf("%s", buffer_text(&out));
        buffer_fini(&out);
    }
    commands_unload(&loaded);
    return status;
}

int command_version(struct arguments *arguments)
{
    (void)arguments;
    printf("sidejudge version %s\n", SIDEJUDGE_VERSION);
    return 0;
}

int command_help(struct arguments *arguments)
{
    (void)arguments;
    arguments_help();
    return 0;
}

void commands_log_lines(enum log_level level, const char *message, const struct buffer *text)
{
    struct bytes rest = buffer_view(text);
    while (rest.len > 0) {
        size_t end = bytes_find(rest, BYTES_LITERAL("\n"), 0);
        struct bytes line = bytes_slice(rest, 0, end == SIZE_MAX ? rest.len : end);
        rest = bytes_slice(rest, end == SIZE_MAX ? rest.len : end + 1, SIZE_MAX);
        if (line.len > 0) {
            log_line(level, "service", message, LOG_BYTES("what", line));
        }
    }
}

static int run_loaded(struct loaded *loaded, const struct arguments *arguments)
{
    const struct telemetry_settings *telemetry = &loaded->settings->telemetry;
    log_configure((enum log_level)telemetry->log_level, (enum log_encoding)telemetry->log_encoding,
                  2);
    commands_log_lines(LOG_INFO, "configured by the environment", &loaded->notes);
    commands_log_lines(LOG_WARN, "configuration", &loaded->warnings);
    commands_log_lines(LOG_ERROR, "configuration fault, going on with what is sound",
                       &loaded->faults);
    struct runtime_options options = {
        .strict = arguments->strict, .arguments = arguments, .config = loaded->config};
    struct runtime *runtime = NULL;
    char why[256];
    if (runtime_start(loaded->settings, &options, &runtime, why, sizeof(why)) != RESULT_OK) {
        fprintf(stderr, "Error: %s\n", why);
        return 1;
    }
    runtime_run(runtime);
    runtime_free(&runtime);
    return 0;
}

int command_run(struct arguments *arguments)
{
    struct loaded loaded;
    enum result result = commands_load(arguments, &loaded);
    int status = 1;
    if (result != RESULT_OK || (arguments->strict && loaded.fault_count > 0)) {
        print_faults(&loaded);
    } else {
        status = run_loaded(&loaded, arguments);
    }
    commands_unload(&loaded);
    return status;
}
