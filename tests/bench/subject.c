// SPDX-License-Identifier: Apache-2.0
//
// Starting, asking and ending the servers that are compared. Configurations are written into
// build/bench. CPU comes from each thread's schedstat, which counts nanoseconds, where the kernel
// has it, else from stat in ticks. Bench only.

#include "tests/bench/subject.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

static const char *const names[] = {"sidejudge", "forwarder", "nghttpx", "collector"};

const char *subject_name(enum subject_kind kind)
{
    return names[kind];
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, len) == 0 &&
          getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

static const char *exporter_of(const struct subject_config *config)
{
    return config->grpc_out ? "otlp_grpc" : "otlp_http";
}

static void write_sidejudge(FILE *out, const struct subject_config *config,
                            const struct subject *subject)
{
    fprintf(out,
            "receivers: {otlp: {protocols: {%s: {endpoint: \"127.0.0.1:%u\"}}}}\n"
            "processors: %s\n"
            "exporters: {%s: {endpoint: \"http://127.0.0.1:%u\", tls: {insecure: true}, "
            "compression: %s, "
            "sending_queue: {merge: %s}}}\n"
            "extensions: {evaluation_api: {endpoint: \"127.0.0.1:%u\"}}\n"
            "service:\n  telemetry: {logs: {level: error}, metrics: {readers: [{pull: {exporter: "
            "{prometheus: {host: 127.0.0.1, port: %u}}}}]}}\n"
            "  extensions: [evaluation_api]\n"
            "  pipelines: {traces: {receivers: [otlp], processors: [evaluation], exporters: "
            "[%s]}}\n",
            config->grpc_in ? "grpc" : "http", subject->port,
            config->processors != NULL ? config->processors : "{evaluation: }", exporter_of(config),
            config->sink_port, config->gzip ? "gzip" : "none", config->merge ? "true" : "false",
            subject->api_port, subject->metrics_port, exporter_of(config));
}

static void write_collector(FILE *out, const struct subject_config *config,
                            const struct subject *subject)
{
    fprintf(out,
            "receivers: {otlp: {protocols: {%s: {endpoint: \"127.0.0.1:%u\"}}}}\n"
            "exporters: {%s: {endpoint: \"http://127.0.0.1:%u\", tls: {insecure: true}, "
            "compression: %s}}\n"
            "service:\n  telemetry: {logs: {level: error}, metrics: {level: none}}\n"
            "  pipelines: {traces: {receivers: [otlp], exporters: [%s]}}\n",
            config->grpc_in ? "grpc" : "http", subject->port, exporter_of(config),
            config->sink_port, config->gzip ? "gzip" : "none", exporter_of(config));
}

// The command line of a subject, into `arguments`; false when its program is not there.
static bool command_of(enum subject_kind kind, const struct subject_config *config,
                       const struct subject *subject, char text[][256], char *arguments[])
{
    const char *programs[] = {getenv("BENCH_SIDEJUDGE"), getenv("BENCH_FORWARDER"),
                              getenv("BENCH_NGHTTPX"), getenv("BENCH_COLLECTOR")};
    if (kind == SUBJECT_FORWARDER && config->grpc_in) {
        programs[kind] = getenv("BENCH_GRPC_FORWARDER");
    }
    if (programs[kind] == NULL || access(programs[kind], X_OK) != 0) {
        return false;
    }
    int count = 0;
    snprintf(text[count++], 256, "%s", programs[kind]);
    if (kind == SUBJECT_FORWARDER) {
        snprintf(text[count++], 256, "%u", subject->port);
        snprintf(text[count++], 256, "%u", config->sink_port);
    } else if (kind == SUBJECT_NGHTTPX) {
        snprintf(text[count++], 256, "--frontend=127.0.0.1,%u;no-tls", subject->port);
        snprintf(text[count++], 256, "--backend=127.0.0.1,%u;;proto=%s", config->sink_port,
                 config->grpc_out ? "h2" : "http/1.1");
        snprintf(text[count++], 256, "--workers=1");
        snprintf(text[count++], 256, "--errorlog-file=/dev/null");
        snprintf(text[count++], 256, "--conf=/dev/null");
    } else {
        mkdir("build/bench", 0755);
        snprintf(text[count], 256, "--config=build/bench/%s.yaml", names[kind]);
        FILE *out = fopen(text[count] + strlen("--config="), "w");
        CHECK(out != NULL);
        (kind == SUBJECT_SIDEJUDGE ? write_sidejudge : write_collector)(out, config, subject);
        fclose(out);
        count++;
    }
    for (int i = 0; i < count; i++) {
        arguments[i] = text[i];
    }
    arguments[count] = NULL;
    return true;
}

static bool wait_for_port(const struct subject *subject)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(subject->port)};
    uint64_t give_up_ns = clock_mono_ns() + 20 * NS_PER_S;
    while (clock_mono_ns() < give_up_ns && waitpid(subject->pid, NULL, WNOHANG) == 0) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool there = connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
        close(fd);
        if (there) {
            return true;
        }
        usleep(200);
    }
    return false;
}

bool subject_start(enum subject_kind kind, const struct subject_config *config,
                   struct subject *subject)
{
    char text[8][256];
    char *arguments[9];
    *subject =
        (struct subject){.port = free_port(), .api_port = free_port(), .metrics_port = free_port()};
    if (!command_of(kind, config, subject, text, arguments)) {
        return false;
    }
    uint64_t from_ns = clock_mono_ns();
    subject->pid = fork();
    if (subject->pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        if (getenv("BENCH_VERBOSE") == NULL) {
            dup2(null, 2);
        }
        execv(arguments[0], arguments);
        _exit(127);
    }
    if (!wait_for_port(subject)) {
        subject_stop(subject);
        return false;
    }
    subject->start_ns = clock_mono_ns() - from_ns;
    return true;
}

void subject_stop(struct subject *subject)
{
    if (subject->pid <= 0) {
        return;
    }
    kill(subject->pid, SIGTERM);
    for (int i = 0; i < 8000; i++) {
        if (waitpid(subject->pid, NULL, WNOHANG) != 0) {
            subject->pid = 0;
            return;
        }
        usleep(1000);
    }
    kill(subject->pid, SIGKILL);
    waitpid(subject->pid, NULL, 0);
    subject->pid = 0;
}

static uint64_t process_cpu_ns(pid_t pid)
{
    char path[320];
    uint64_t sum = 0;
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    for (struct dirent *entry; tasks != NULL && (entry = readdir(tasks)) != NULL;) {
        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, entry->d_name);
        FILE *in = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        unsigned long long ns = 0;
        if (in != NULL) {
            sum += fscanf(in, "%llu", &ns) == 1 ? ns : 0;
            fclose(in);
        }
    }
    if (tasks != NULL) {
        closedir(tasks);
    }
    return sum;
}

// nghttpx works in a child of the process that was started.
uint64_t subject_cpu_ns(const struct subject *subject)
{
    char path[64];
    uint64_t sum = process_cpu_ns(subject->pid);
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", subject->pid, subject->pid);
    FILE *in = fopen(path, "r");
    int child;
    while (in != NULL && fscanf(in, "%d", &child) == 1) {
        sum += process_cpu_ns(child);
    }
    if (in != NULL) {
        fclose(in);
    }
    return sum;
}

static uint64_t status_bytes(const struct subject *subject, const char *key)
{
    char path[64], line[256];
    unsigned long long kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/status", subject->pid);
    FILE *in = fopen(path, "r");
    while (in != NULL && fgets(line, sizeof(line), in) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            kib = strtoull(line + strlen(key) + 1, NULL, 10);
        }
    }
    if (in != NULL) {
        fclose(in);
    }
    return kib * 1024;
}

uint64_t subject_rss_bytes(const struct subject *subject)
{
    return status_bytes(subject, "VmRSS");
}

uint64_t subject_rss_anon_bytes(const struct subject *subject)
{
    return status_bytes(subject, "RssAnon");
}

uint64_t subject_rss_peak_bytes(const struct subject *subject)
{
    return status_bytes(subject, "VmHWM");
}
