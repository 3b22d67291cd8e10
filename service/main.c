// SPDX-License-Identifier: Apache-2.0
//
// The program: picks the command from one table.
//
// Everything else is elsewhere: arguments.c reads the command line, settings.c binds the
// configuration, runtime.c runs it, the commands have a file each.

#include <stdio.h>

#include "service/arguments.h"
#include "service/commands.h"

const struct command commands[] = {
    {"", "[--config FILE]", "receive, grade, forward until SIGTERM", command_run},
    {"validate", "", "check the configuration and name every fault with line and column",
     command_validate},
    {"components", "", "list the components of this build", command_components},
    {"print-config", "", "the merged configuration, secrets masked", command_print_config},
    {"explain", "TRACE_ID", "why the interactions of this trace were or were not graded",
     command_explain},
    {"status", "", "one screen: received, forwarded, targets, graded, why not, spend, queues",
     command_status},
    {"doctor", "", "check ports, backends, judge, budget and content; a line each with the remedy",
     command_doctor},
    {"demo", "", "the demonstration: real traces, a scripted judge on loopback, no key, no network",
     command_demo},
    {"version", "", "print the version (also --version)", command_version},
    {"help", "", "print this (also --help)", command_help},
    {0},
};

int main(int argc, char **argv)
{
    struct arguments arguments;
    char why[256];
    if (arguments_parse(argc, argv, &arguments, why, sizeof(why)) != RESULT_OK) {
        fprintf(stderr, "Error: %s\n", why);
        return 1;
    }
    return arguments.command->run(&arguments);
}
