// SPDX-License-Identifier: Apache-2.0
// Whether a call ends in a failed CHECK, seen from outside: it runs in a child process, whose
// stderr is kept. For tests of programmer's errors. Call while no other thread runs.
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// True if run(arg) aborted after writing a line that contains `text`.
static inline bool crashes_with(const char *text, void (*run)(void *), void *arg)
{
    int pipe_fds[2];
    char said[1024];
    size_t said_len = 0;
    int status = 0;
    if (pipe(pipe_fds) != 0) {
        return false;
    }
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_fds[1], STDERR_FILENO);
        run(arg);
        _exit(0);
    }
    close(pipe_fds[1]);
    for (;;) {
        ssize_t len = read(pipe_fds[0], said + said_len, sizeof said - 1 - said_len);
        if (len <= 0) {
            break;
        }
        said_len += (size_t)len;
    }
    close(pipe_fds[0]);
    said[said_len] = '\0';
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return false;
    }
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT && strstr(said, text) != NULL;
}

static inline bool crashes(void (*run)(void *), void *arg)
{
    return crashes_with("check failed", run, arg);
}
