// SPDX-License-Identifier: Apache-2.0
//
// Runs Sidejudge under callgrind with a fixed number of requests of 512 spans: instructions_load
// SIDEJUDGE REQUESTS; the profile goes to $BENCH_CALLGRIND_OUT. Bench only.

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "tests/bench/load.h"
#include "tests/bench/sink.h"

static bool is_open(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    close(fd);
    return open;
}

static pid_t spawn(const char *program, uint16_t port, uint16_t sink_port)
{
    char yaml[1024], out[512];
    const char *profile = getenv("BENCH_CALLGRIND_OUT");
    snprintf(out, sizeof(out), "--callgrind-out-file=%s",
             profile != NULL ? profile : "callgrind.out");
    snprintf(yaml, sizeof(yaml),
             "--config=yaml:{receivers: {otlp: {protocols: {http: {endpoint: \"127.0.0.1:%u\"}}}}, "
             "processors: {evaluation: }, "
             "exporters: {otlp_http: {endpoint: \"http://127.0.0.1:%u\", compression: none, "
             "sending_queue: {merge: false}}}, "
             "extensions: {evaluation_api: {endpoint: \"127.0.0.1:0\"}}, "
             "service: {telemetry: {logs: {level: error}, metrics: {level: none}}, extensions: "
             "[evaluation_api], "
             "pipelines: {traces: {receivers: [otlp], processors: [evaluation], exporters: "
             "[otlp_http]}}}}",
             port, sink_port);
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 1);
        dup2(null, 2);
        execlp("valgrind", "valgrind", "--tool=callgrind", out, program, yaml, (char *)NULL);
        _exit(127);
    }
    return pid;
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    struct sink *sink = sink_start();
    struct workload workload;
    struct load_result result;
    uint16_t port = 20000 + (uint16_t)(getpid() % 20000);
    workload_init(&workload, WORKLOAD_SMALL, 512);
    pid_t pid = spawn(argv[1], port, sink_port(sink));
    uint64_t give_up_ns = clock_mono_ns() + 60 * NS_PER_S;
    while (!is_open(port) && clock_mono_ns() < give_up_ns && waitpid(pid, NULL, WNOHANG) == 0) {
        usleep(50000);
    }
    const struct load_config load = {.port = port,
                                     .workload = &workload,
                                     .connections = 1,
                                     .window = 1,
                                     .requests = strtoull(argv[2], NULL, 10)};
    load_run(&load, &result);
    while (sink_requests(sink) < load.requests && clock_mono_ns() < give_up_ns) {
        usleep(50000);
    }
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    workload_fini(&workload);
    sink_stop(&sink);
    return result.failed == 0 ? 0 : 1;
}
