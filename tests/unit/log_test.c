// SPDX-License-Identifier: Apache-2.0
//
// Log lines as they arrive at the other end of a pipe that stands in for stderr, also when it is
// full, broken, or fed by several threads.
#include "base/log.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/thread.h"
#include "tests/unit/allocation.h"

// A pipe in place of stderr; `said` is what came out of it.
static int pipe_fds[2];
static char said[1 << 20];

static int open_pipe(void **state)
{
    (void)state;
    return pipe(pipe_fds);
}

static int close_pipe(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_CONSOLE, STDERR_FILENO);
    close(pipe_fds[0]);
    return close(pipe_fds[1]);
}

static const char *read_said(void)
{
    ssize_t len = read(pipe_fds[0], said, sizeof said - 1);
    assert_true(len > 0);
    said[len] = '\0';
    return said;
}

// What follows the time stamp, whose form is checked.
static const char *after_time(const char *line)
{
    assert_true(strlen(line) > 25);
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[23], 'Z');
    return line + 24;
}

static void a_console_line_is_the_collectors(void **state)
{
    (void)state;
    log_configure(LOG_DEBUG, LOG_CONSOLE, pipe_fds[1]);
    log_line(LOG_INFO, "receiver/otlp", "listening", LOG_TEXT("endpoint", "localhost:4317"),
             LOG_INT("port", 4317), LOG_REAL("share", 0.1), LOG_BYTES("id", BYTES_LITERAL("ab")));
    assert_string_equal(after_time(read_said()),
                        "\tinfo\treceiver/otlp\tlistening\t{\"endpoint\": \"localhost:4317\", "
                        "\"port\": 4317, \"share\": 0.1, \"id\": \"ab\"}\n");
    log_line(LOG_DEBUG, "service", "started");
    assert_string_equal(after_time(read_said()), "\tdebug\tservice\tstarted\n");
    log_line(LOG_WARN, "service", "w");
    assert_string_equal(after_time(read_said()), "\twarn\tservice\tw\n");
    log_line(LOG_ERROR, "service", "e");
    assert_string_equal(after_time(read_said()), "\terror\tservice\te\n");
}

static void a_json_line_is_one_object(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_JSON, pipe_fds[1]);
    log_line(LOG_WARN, "exporter/otlp", "failed", LOG_INT("status", -14));
    const char *line = read_said();
    assert_int_equal(strncmp(line, "{\"level\": \"warn\", \"ts\": \"2", 25), 0);
    assert_non_null(strstr(line, "Z\", \"component\": \"exporter/otlp\", \"msg\": \"failed\", "
                                 "\"status\": -14}\n"));
    log_line(LOG_ERROR, "service", "no fields");
    assert_non_null(strstr(read_said(), "\"msg\": \"no fields\"}\n"));
}

static void levels_below_the_configured_one_are_silent(void **state)
{
    (void)state;
    log_configure(LOG_WARN, LOG_CONSOLE, pipe_fds[1]);
    assert_false(log_is_on(LOG_DEBUG));
    assert_false(log_is_on(LOG_INFO));
    assert_true(log_is_on(LOG_WARN));
    log_line(LOG_DEBUG, "a", "hidden");
    log_line(LOG_INFO, "a", "hidden");
    log_line(LOG_ERROR, "a", "shown");
    assert_null(strstr(read_said(), "hidden"));
}

static void hostile_values_stay_inside_their_quotes_and_line(void **state)
{
    (void)state;
    const struct {
        struct bytes value;
        const char *expected;
    } rows[] = {
        {BYTES_LITERAL("a\"b\\c"), "{\"k\": \"a\\\"b\\\\c\"}\n"},
        {BYTES_LITERAL("a\nb\tc\0d\x1b[31m\x7f"),
         "{\"k\": \"a\\nb\\u0009c\\u0000d\\u001b[31m\\u007f\"}\n"},
        {BYTES_LITERAL("\xc3\xa4"), "{\"k\": \"\xc3\xa4\"}\n"},
        {BYTES_LITERAL("a\xff"
                       "b"),
         "{\"k\": \"a\xef\xbf\xbd"
         "b\"}\n"},
        {BYTES_NONE, "{\"k\": \"\"}\n"},
    };
    log_configure(LOG_INFO, LOG_CONSOLE, pipe_fds[1]);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        log_line(LOG_INFO, "c", "m", LOG_BYTES("k", rows[i].value));
        assert_string_equal(after_time(read_said()) + strlen("\tinfo\tc\tm\t"), rows[i].expected);
    }
    log_line(LOG_INFO, "c\n2026", "m\tx", LOG_TEXT("k\"", NULL));
    assert_string_equal(after_time(read_said()),
                        "\tinfo\tc\\n2026\tm\\u0009x\t{\"k\\\"\": \"\"}\n");
}

static void numbers_that_json_does_not_know_become_text(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_JSON, pipe_fds[1]);
    log_line(LOG_INFO, "c", "m", LOG_REAL("a", INFINITY), LOG_REAL("b", 1.0 / 3),
             LOG_REAL("c", 1e300), LOG_INT("d", INT64_MIN));
    assert_non_null(strstr(read_said(),
                           "\"a\": \"inf\", \"b\": 0.33333333333333331, \"c\": 1e+300, "
                           "\"d\": -9223372036854775808}"));
}

static void long_values_are_cut_and_many_fields_left_out_with_their_number(void **state)
{
    (void)state;
    static char text[100000];
    struct log_field fields[100];
    for (int encoding = LOG_CONSOLE; encoding <= LOG_JSON; encoding++) {
        log_configure(LOG_INFO, (enum log_encoding)encoding, pipe_fds[1]);
        for (int byte = 1; byte < 256; byte += 30) {
            memset(text, byte, sizeof text - 1);
            for (unsigned i = 0; i < 100; i++) {
                fields[i] = LOG_TEXT("key", text);
            }
            log_write(LOG_INFO, text, text, fields, 100);
            const char *line = read_said();
            assert_in_range(strlen(line), 500, 4096);
            assert_non_null(strstr(line, "\"fields_omitted\": "));
            assert_string_equal(line + strlen(line) - 2, "}\n");
            log_write(LOG_INFO, "c", "m", fields, 1);
            line = read_said();
            assert_true(strlen(line) <= 4096);
        }
    }
    assert_int_equal(log_dropped_count(), 0);
}

static void a_full_pipe_drops_lines_and_counts_them(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_CONSOLE, pipe_fds[1]);
    uint64_t before = log_dropped_count();
    for (unsigned i = 0; i < 5000; i++) {
        log_line(LOG_INFO, "c", "nobody reads this", LOG_INT("i", i));
    }
    uint64_t dropped = log_dropped_count() - before;
    assert_in_range(dropped, 1, 4999);
    assert_int_equal(fcntl(pipe_fds[1], F_GETFL) & O_NONBLOCK, 0);  // others' flag is untouched
    size_t lines = 0;
    while (lines < 5000 - dropped) {
        for (const char *at = read_said(); (at = strchr(at, '\n')); at++) {
            lines++;
        }
    }
    assert_int_equal(lines, 5000 - dropped);  // whole lines only
}

static void a_pipe_without_reader_drops_lines_and_does_not_kill(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    log_configure(LOG_INFO, LOG_CONSOLE, fds[1]);
    close(fds[0]);
    uint64_t before = log_dropped_count();
    log_line(LOG_INFO, "c", "m");
    assert_int_equal(log_dropped_count() - before, 1);
    log_configure(LOG_INFO, LOG_CONSOLE, -1);
    log_line(LOG_INFO, "c", "m");
    assert_int_equal(log_dropped_count() - before, 2);
    close(fds[1]);
}

static void a_socket_and_a_file_are_written_too(void **state)
{
    (void)state;
    int fds[2];
    char line[200];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    log_configure(LOG_INFO, LOG_CONSOLE, fds[1]);
    log_line(LOG_INFO, "c", "socket");
    assert_true(read(fds[0], line, sizeof line) > 30);
    close(fds[0]);
    uint64_t before = log_dropped_count();
    log_line(LOG_INFO, "c", "closed");
    assert_int_equal(log_dropped_count() - before, 1);
    close(fds[1]);
    FILE *file = tmpfile();
    assert_non_null(file);
    log_configure(LOG_INFO, LOG_CONSOLE, fileno(file));
    log_line(LOG_INFO, "c", "file");
    assert_true(lseek(fileno(file), 0, SEEK_END) > 30);
    log_configure(LOG_INFO, LOG_CONSOLE, STDERR_FILENO);
    fclose(file);
}

static void out_of_memory_drops_the_line(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_CONSOLE, pipe_fds[1]);
    uint64_t before = log_dropped_count();
    allocation_fail(1, SIZE_MAX);
    log_line(LOG_INFO, "c", "m");
    assert_int_equal(allocation_pass(), 1);
    assert_int_equal(log_dropped_count() - before, 1);
}

enum { THREADS = 4, LINES = 100 };

static void log_lines(void *arg)
{
    for (unsigned i = 0; i < LINES; i++) {
        log_line(LOG_INFO, "thread", "from many", LOG_TEXT("who", (const char *)arg));
    }
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    static const char *const names[THREADS] = {"a", "bb", "ccc", "dddd"};
    struct thread threads[THREADS];
    log_configure(LOG_INFO, LOG_CONSOLE, pipe_fds[1]);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(
            thread_start(&threads[i], "logger", log_lines, (void *)(uintptr_t)names[i]), RESULT_OK);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        thread_join(&threads[i]);
    }
    log_line(LOG_INFO, "c", "last");
    size_t len = 0;
    while (!strstr(said, "last\n")) {
        ssize_t part = read(pipe_fds[0], said + len, sizeof said - 1 - len);
        assert_true(part > 0);
        len += (size_t)part;
        said[len] = '\0';
    }
    unsigned lines = 0;
    char *rest = said;
    for (char *line; (line = strsep(&rest, "\n")) && *line;) {
        assert_int_equal(line[23], 'Z');
        assert_true(strstr(line, "last") || line[strlen(line) - 1] == '}');
        lines++;
    }
    assert_int_equal(lines, THREADS * LINES + 1);
}

static void an_episode_opens_once_until_it_was_quiet(void **state)
{
    (void)state;
    struct log_episode episode = {0};
    uint64_t now_ns = 0;
    assert_true(log_episode_opens(&episode, now_ns, NS_PER_S));
    for (unsigned i = 0; i < 10; i++) {
        now_ns += NS_PER_S - 1;  // every call prolongs the episode
        assert_false(log_episode_opens(&episode, now_ns, NS_PER_S));
    }
    assert_int_equal(episode.swallowed, 10);
    assert_false(log_episode_opens(&episode, now_ns - 5, NS_PER_S));  // another thread's clock
    now_ns += NS_PER_S;
    assert_true(log_episode_opens(&episode, now_ns, NS_PER_S));
    assert_int_equal(episode.swallowed, 11);
}

#define WITH_PIPE(test) cmocka_unit_test_setup_teardown(test, open_pipe, close_pipe)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PIPE(a_console_line_is_the_collectors),
        WITH_PIPE(a_json_line_is_one_object),
        WITH_PIPE(levels_below_the_configured_one_are_silent),
        WITH_PIPE(hostile_values_stay_inside_their_quotes_and_line),
        WITH_PIPE(numbers_that_json_does_not_know_become_text),
        WITH_PIPE(long_values_are_cut_and_many_fields_left_out_with_their_number),
        WITH_PIPE(lines_of_threads_do_not_mix),
        WITH_PIPE(a_full_pipe_drops_lines_and_counts_them),
        WITH_PIPE(a_pipe_without_reader_drops_lines_and_does_not_kill),
        WITH_PIPE(a_socket_and_a_file_are_written_too),
        WITH_PIPE(out_of_memory_drops_the_line),
        cmocka_unit_test(an_episode_opens_once_until_it_was_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
