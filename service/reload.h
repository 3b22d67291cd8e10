// SPDX-License-Identifier: Apache-2.0
// Reads the configuration again, on SIGHUP or when its files change, and has a generation made of
// it. What is bad changes nothing: the one in force stays, one ERROR line names the first fault,
// and sidejudge_config_reload_success is 0 until it is mended. What amounts to the same changes
// nothing either. Main loop's thread.
#pragma once

#include "service/arguments.h"
#include "service/generation.h"

struct reload;

struct reload_setup {  // borrowed for the reload's life
    struct loop *loop;
    struct generations *generations;
    const struct arguments *arguments;  // sources and sets
    const struct config *config;        // in force at first; for the call only
    // A new configuration is on its way into force: what is not in generations follows it.
    void (*applied)(void *arg, const struct settings *settings);
    void *arg;
};

struct reload *reload_new(const struct reload_setup *setup);
// Soon: at once, but at most once a second; several are one.
void reload_request(struct reload *reload);
void reload_free(struct reload **reload);  // accepts NULL inside
