// SPDX-License-Identifier: Apache-2.0
//
// Mistakes that people make, one file each: `validate` must name each in one line that says where
// it is, by line and column, and what to do about it; and a running process whose file turns bad
// must say so wherever an operator looks. Refused: exact lines, which would make every wording a
// test. Bounds: those of the harness. One thread.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "tests/scenario/harness.h"

#define IN "receivers: {otlp: {protocols: {http: }}}\n"
#define OUT "exporters: {debug: }\n"
#define PATHS "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug]}}}\n"

struct mistake {
    const char *yaml;
    const char *place;     // line:column
    const char *texts[3];  // what the line must say; NULL ends them
    bool is_warning;       // the configuration is accepted all the same
};

static const struct mistake mistakes[] = {
    {"receivers: {otlp: {protocols: {http: {endpont: a:1}}}}\n" OUT PATHS,
     "1:39",
     {"endpont", "did you mean 'endpoint'"},
     false},
    {IN "exporters: {debug: {verbosity: loud}}\n" PATHS,
     "2:32",
     {"must be one of [basic, normal, detailed]", "\"loud\""},
     false},
    {IN "processors: {evaluation: {hold: 4}}\n" OUT PATHS,
     "2:33",
     {"write 500ms, 4s or 2m"},
     false},
    {IN "processors: {evaluation: {sampling: {baseline: often}}}\n" OUT PATHS,
     "2:48",
     {"auto or between 0 and 1", "\"often\""},
     false},
    {IN OUT "service: {pipelines: {traces: {receivers: otlp, exporters: [debug]}}}\n",
     "3:43",
     {"expected a list", "receivers: [otlp]"},
     false},
    {IN "exporters: {debug: , nop: }\n" PATHS, "2:22", {"no pipeline uses it"}, true},
    {IN OUT "service: {pipelines: {traces: {receivers: [otlp], exporters: [debug, x]}}}\n",
     "3:70",
     {"exporter \"x\" which is not configured"},
     false},
    {IN "exporters: {debug: {sending_queue: {storage: file_storage}}}\n" PATHS,
     "2:46",
     {"\"file_storage\" is not configured", "service::extensions"},
     false},
    {IN "exporters: {debug: {sending_queue: {storage: file_storage}}}\n"
        "extensions: {file_storage: {directory: /tmp}}\n" PATHS,
     "2:46",
     {"is not in service::extensions: add it there"},
     false},
    {IN "exporters: {debug: {sending_queue: {storage: file_storage}}}\n"
        "extensions: {file_storage: {directory: /nowhere/at/all}}\n"
        "service: {extensions: [file_storage], pipelines: {traces: {receivers: [otlp], exporters: "
        "[debug]}}}\n",
     "3:40",
     {"/nowhere/at/all", "create_directory: true"},
     true},
    {IN "exporters: {debug: {sending_queue: {storage: file_storage/a}}, otlp_http: "
        "{endpoint: \"http://localhost:1\", sending_queue: {storage: file_storage/b}}}\n"
        "extensions: {file_storage/a: {directory: /tmp}, file_storage/b: {directory: /tmp}}\n"
        "service: {extensions: [file_storage/a, file_storage/b], pipelines: {traces: {receivers: "
        "[otlp], exporters: [debug, otlp_http]}}}\n",
     "2:133",
     {"there is one journal", "name the same"},
     false},
    {"receivers: {otlp: {protocols: {http: {auth: {authenticator: basicauth}}}}}\n" OUT PATHS,
     "1:61",
     {"authenticator not found", "service::extensions"},
     false},
    {IN "processors: {evaluation: }\nexporters: {webhook: {endpoint: \"http://localhost:1/\"}}\n"
        "service: {pipelines: {traces: {receivers: [otlp], processors: [evaluation], exporters: "
        "[webhook]}}}\n",
     "4:31",
     {"take scores only", "add one that takes traces"},
     false},
    {IN OUT "extensions: {health_check: {endpoint: 13133}}\n" PATHS,
     "3:39",
     {"must be host:port", "\"13133\""},
     false},
    {IN "exporters: {otlp_http: {endpoint: \"${env:NOWHERE_SET}\"}}\n"
        "service: {pipelines: {traces: {receivers: [otlp], exporters: [otlp_http]}}}\n",
     "2:35",
     {"\"NOWHERE_SET\" is not set"},
     false},
    {IN "exporters:\n  debug:\n  debug:\n" PATHS, "4:3", {"duplicate key"}, false},
    {"receivers:\n\totlp:\n" OUT PATHS, "2:1", {"tab"}, false},
    {"receivers: {otlp: {protocols: {grpc: {endpoint: localhost:4317}, http: {endpoint: "
     "localhost:4317}}}}\n" OUT PATHS,
     "1:83",
     {"the same endpoint", "leave one out"},
     false},
    {"receivers: {otlp: {protocols: {http: {tls: {cert_file: /nowhere.pem, key_file: "
     "/nowhere.key}}}}}\n" OUT PATHS,
     "1:56",
     {"cert_file: /nowhere.pem: No such file or directory", "cannot listen"},
     true},
    {IN "processors: {tail_sampling: }\n" OUT PATHS, "2:14", {"not part of this build"}, false},
};

// The line of `out` that speaks of this place; NULL: none.
static const char *line_of(const char *out, const char *place, char line[1024])
{
    char wanted[48];
    snprintf(wanted, sizeof(wanted), "mistake.yaml:%s", place);
    const char *found = strstr(out, wanted);
    if (found == NULL) {
        return NULL;
    }
    const char *start = found;
    while (start > out && start[-1] != '\n') {
        start--;
    }
    snprintf(line, 1024, "%.*s", (int)strcspn(start, "\n"), start);
    return line;
}

static void mistake_check(struct harness *harness, const struct mistake *mistake)
{
    struct buffer out;
    char line[1024];
    const char *path = harness_file(harness, "mistake.yaml", mistake->yaml);
    int status =
        harness_command(harness, (const char *const[]){"validate", "--config", path, NULL}, &out);
    if (line_of(buffer_text(&out), mistake->place, line) == NULL) {
        fail_msg("no line names %s:\n%s%s", mistake->place, mistake->yaml, buffer_text(&out));
    }
    for (size_t i = 0; i < 3 && mistake->texts[i] != NULL; i++) {
        if (strstr(line, mistake->texts[i]) == NULL) {
            fail_msg("\"%s\" is not in:\n%s", mistake->texts[i], line);
        }
    }
    if (status != (mistake->is_warning ? 0 : 1)) {
        fail_msg("exit status %d:\n%s", status, buffer_text(&out));
    }
    buffer_fini(&out);
}

static void each_mistake_is_one_line_with_its_place_and_the_remedy(void **state)
{
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        mistake_check(*state, &mistakes[i]);
    }
}

static bool is_rejected(void *arg)
{
    return harness_metric(arg, "sidejudge_config_reload_success", "") == 0;
}

static void expect_said(struct harness *harness, const char *command, const char *path,
                        const char *text)
{
    char api[48];
    struct buffer out;
    snprintf(api, sizeof(api), "127.0.0.1:%u", harness->api_port);
    (void)harness_command(
        harness, (const char *const[]){command, "--api", api, "--config", path, NULL}, &out);
    if (strstr(buffer_text(&out), text) == NULL) {
        fail_msg("%s does not say \"%s\":\n%s", command, text, buffer_text(&out));
    }
    buffer_fini(&out);
}

static void a_file_that_turns_bad_is_told_by_log_metric_status_and_doctor(void **state)
{
    struct harness *harness = *state;
    static const char good[] =
        "receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:0\"}}}}\n"
        "processors: {evaluation: {sampling: {baseline: 1}}}\n" OUT
        "service: {pipelines: {traces: {receivers: [otlp], processors: "
        "[evaluation], exporters: [debug]}}}\n";
    const char *path = harness_file(harness, "watched.yaml", good);
    harness_start(harness, (const char *const[]){"--config", path, NULL});
    harness_file(harness, "watched.yaml", IN "processors: {evaluation: {hold: soon}}\n" OUT PATHS);
    harness_wait(harness, is_rejected, harness, HARNESS_PATIENCE_S, "the rejection");
    harness_wait_said(harness, "watched.yaml:2:33");
    expect_said(harness, "status", path, "REJECTED");
    expect_said(harness, "doctor", path, "configuration in force");
    harness_stop(harness);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, harness_setup, harness_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_mistake_is_one_line_with_its_place_and_the_remedy),
        TEST(a_file_that_turns_bad_is_told_by_log_metric_status_and_doctor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
