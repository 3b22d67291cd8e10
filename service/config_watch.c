// SPDX-License-Identifier: Apache-2.0
//
// One inotify descriptor, one watch for each folder, names compared when something happens there.
// A timer gathers what belongs together: it starts again with each event, but not beyond the
// patience. A folder that goes away (a volume mounted anew) is looked for again with each quiet
// period until it is back, which counts as a change. Refused: watching the files themselves (a
// rename leaves the watch on the old one) and polling their times. Bounds: CONFIG_WATCH_FILES_MAX.
// Main loop's thread.

#include "service/config_watch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"

#define CONFIG_WATCH_MAGIC MAGIC('C', 'W', 'C', 'H')
#define EVENTS                                                                                     \
    (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF |       \
     IN_MOVE_SELF | IN_ONLYDIR)

struct watched_file {
    char folder[PATH_MAX];
    char name[NAME_MAX + 1];
    int watch;  // of its folder, shared by files of the same one; -1: the folder is not there
};

struct config_watch {
    uint32_t magic;
    struct loop *loop;
    struct loop_fd fd;
    struct timer timer;
    uint64_t first_ns;  // of the events that the timer gathers; 0: none
    void (*changed)(void *arg);
    void *arg;
    struct watched_file files[CONFIG_WATCH_FILES_MAX];
    size_t count;
};

// False: a source that is not a file, or a path beyond all bounds.
static bool file_of(const char *source, struct watched_file *file)
{
    const char *path = strncmp(source, "file:", 5) == 0 ? source + 5 : source;
    if (path == source && (strncmp(source, "yaml:", 5) == 0 || strncmp(source, "env:", 4) == 0)) {
        return false;
    }
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    size_t len = slash != NULL ? (size_t)(slash - path) : 0;
    if (name[0] == '\0' || strlen(name) > NAME_MAX || len >= PATH_MAX) {
        return false;
    }
    snprintf(file->folder, sizeof(file->folder), "%.*s", (int)len, path);
    if (len == 0) {
        snprintf(file->folder, sizeof(file->folder), "%s", slash != NULL ? "/" : ".");
    }
    snprintf(file->name, sizeof(file->name), "%s", name);
    file->watch = -1;
    return true;
}

// The same folder again gives the same watch. Returns whether one has come back.
static bool folders_watch(struct config_watch *watch)
{
    bool is_back = false;
    for (size_t i = 0; i < watch->count; i++) {
        struct watched_file *file = &watch->files[i];
        if (file->watch < 0) {
            file->watch = inotify_add_watch(watch->fd.fd, file->folder, EVENTS);
            is_back = is_back || file->watch >= 0;
        }
    }
    return is_back;
}

static bool folder_is_missing(const struct config_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) {
        if (watch->files[i].watch < 0) {
            return true;
        }
    }
    return false;
}

static void note_change(struct config_watch *watch)
{
    uint64_t now_ns = loop_now_ns(watch->loop);
    watch->first_ns = watch->first_ns != 0 ? watch->first_ns : now_ns;
    uint64_t at_ns = now_ns + CONFIG_WATCH_QUIET_NS;
    uint64_t latest_ns = watch->first_ns + CONFIG_WATCH_PATIENCE_NS;
    loop_set_timer(watch->loop, &watch->timer, at_ns < latest_ns ? at_ns : latest_ns);
}

static void on_timer(struct timer *timer, void *arg, uint64_t now_ns)
{
    struct config_watch *watch = arg;
    CHECK(watch->magic == CONFIG_WATCH_MAGIC && timer == &watch->timer);
    bool has_changed = watch->first_ns != 0;
    has_changed = folders_watch(watch) || has_changed;
    watch->first_ns = 0;
    if (folder_is_missing(watch)) {
        loop_set_timer(watch->loop, timer, now_ns + CONFIG_WATCH_QUIET_NS);
    }
    if (has_changed) {
        watch->changed(watch->arg);
    }
}

// Is it one of our files, or what a mounted volume swaps under them?
static bool event_matters(struct config_watch *watch, const struct inotify_event *event)
{
    bool matters = false;
    for (size_t i = 0; i < watch->count; i++) {
        struct watched_file *file = &watch->files[i];
        if (file->watch != event->wd) {
            continue;
        }
        if ((event->mask & (IN_IGNORED | IN_MOVE_SELF | IN_UNMOUNT)) != 0) {
            file->watch = -1;
            matters = true;
        } else if (event->len > 0) {
            matters = matters || strcmp(event->name, file->name) == 0 ||
                      strcmp(event->name, "..data") == 0;
        }
    }
    return matters || (event->mask & IN_Q_OVERFLOW) != 0;
}

static void on_event(struct loop_fd *fd, uint32_t events)
{
    struct config_watch *watch = fd->arg;
    CHECK(watch->magic == CONFIG_WATCH_MAGIC);
    (void)events;
    _Alignas(struct inotify_event) char room[8192];
    ssize_t got;
    bool matters = false;
    while ((got = read(fd->fd, room, sizeof(room))) > 0) {
        for (ssize_t at = 0; at < got;) {
            const struct inotify_event *event = (const void *)(room + at);
            matters = event_matters(watch, event) || matters;
            at += (ssize_t)(sizeof(*event) + event->len);
        }
    }
    if (matters) {
        note_change(watch);
    }
}

static struct config_watch *watch_open(struct loop *loop)
{
    struct config_watch *watch = calloc(1, sizeof(*watch));
    CHECK(watch != NULL);
    watch->magic = CONFIG_WATCH_MAGIC;
    watch->loop = loop;
    watch->fd = (struct loop_fd){
        .fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC), .ready = on_event, .arg = watch};
    timer_init(&watch->timer, on_timer, watch);
    return watch;
}

struct config_watch *config_watch_new(struct loop *loop, const char *const *sources, size_t count,
                                      void (*changed)(void *arg), void *arg)
{
    struct config_watch *watch = watch_open(loop);
    watch->changed = changed;
    watch->arg = arg;
    for (size_t i = 0; i < count && watch->count < CONFIG_WATCH_FILES_MAX; i++) {
        watch->count += file_of(sources[i], &watch->files[watch->count]);
    }
    if (watch->count == 0) {
        config_watch_free(&watch);
        return NULL;
    }
    if (watch->fd.fd < 0 || loop_watch(loop, &watch->fd, EPOLLIN) != RESULT_OK) {
        log_line(LOG_WARN, "service/reload",
                 "the configuration's files cannot be watched: reload by SIGHUP only");
        config_watch_free(&watch);
        return NULL;
    }
    (void)folders_watch(watch);
    if (folder_is_missing(watch)) {
        loop_set_timer(loop, &watch->timer, loop_now_ns(loop) + CONFIG_WATCH_QUIET_NS);
    }
    return watch;
}

void config_watch_free(struct config_watch **watch)
{
    struct config_watch *moved = *watch;
    *watch = NULL;
    if (moved == NULL) {
        return;
    }
    loop_cancel_timer(moved->loop, &moved->timer);
    loop_unwatch(moved->loop, &moved->fd);
    if (moved->fd.fd >= 0) {
        close(moved->fd.fd);
    }
    moved->magic = 0;
    free(moved);
}
