# SPDX-License-Identifier: Apache-2.0
"""Runs all interop cases, with the options that `run` passes.

With --peer the program under test is the real Collector itself: a check of the checks. With --only
BLOCK, which may be repeated, only those blocks are run.
"""

import argparse
import contextlib
import pathlib
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass

from collector_backend import collector_cases, loop_cases
from evaluation import evaluation_cases
from forwarding import forwarding_cases, secure_cases
from langfuse_backend import langfuse_cases
from passing import passing_cases
from phoenix_backend import phoenix_cases
from phoenix_server import Phoenix
from promptfoo_backend import promptfoo_begin, promptfoo_cases
from relay_backend import relay_cases
from report import Report

BLOCKS = (
    "forwarding", "tls", "passing", "evaluation", "langfuse", "relay", "collector", "loop",
    "promptfoo", "phoenix",
)
# Blocks of which the peer has what they need.
OF_THE_PEER = ("forwarding", "tls", "passing", "collector")


@dataclass
class Paths:
    program: str
    collector: str
    node: str
    promptfoo: str
    phoenix: str
    langfuse: str
    directory: str
    python: str


def _end(_signal, _frame):
    # Unwinds, so that everything that was started is stopped.
    sys.exit("ended by a signal")


def _options():
    parser = argparse.ArgumentParser()
    for name in ("program", "collector", "node", "promptfoo", "phoenix", "langfuse", "work"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--only", action="append", choices=BLOCKS)
    return parser.parse_args()


def _blocks(report, paths, own, phoenix, promptfoo):
    """Each block of cases as a function; the two that need time by themselves come last."""
    return {
        "forwarding": lambda: forwarding_cases(report, paths, own=own),
        "tls": lambda: secure_cases(report, paths, own=own),
        "passing": lambda: passing_cases(report, paths, own=own),
        "evaluation": lambda: evaluation_cases(report, paths),
        "langfuse": lambda: langfuse_cases(report, paths),
        "relay": lambda: relay_cases(report, paths),
        "collector": lambda: collector_cases(report, paths, own=own),
        "loop": lambda: loop_cases(report, paths),
        "promptfoo": lambda: promptfoo_cases(report, promptfoo),
        "phoenix": lambda: phoenix_cases(report, paths, phoenix),
    }


def _run(report, paths, wanted, own):
    with contextlib.ExitStack() as started:
        phoenix, promptfoo = None, None
        if "phoenix" in wanted:
            phoenix = Phoenix(paths.phoenix, paths.directory)
            started.callback(phoenix.stop)
        if "promptfoo" in wanted:
            promptfoo = promptfoo_begin(paths)
            started.callback(promptfoo.close)
        blocks = _blocks(report, paths, own, phoenix, promptfoo)
        for name in wanted:
            began = time.monotonic()
            blocks[name]()
            print(f"# {name}: {time.monotonic() - began:.1f} s", flush=True)


def main():
    signal.signal(signal.SIGTERM, _end)
    options = _options()
    pathlib.Path(options.work).mkdir(parents=True, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="run-", dir=options.work)
    paths = Paths(
        options.program, options.collector, options.node, options.promptfoo, options.phoenix,
        options.langfuse, directory, sys.executable,
    )
    of_kind = OF_THE_PEER if options.peer else BLOCKS
    wanted = [name for name in of_kind if name in (options.only or BLOCKS)]
    report = Report()
    try:
        _run(report, paths, wanted, own=not options.peer)
    except Exception as error:
        report.add("the_cases_themselves", f"{type(error).__name__}: {error}")
    if not report.failed:
        shutil.rmtree(directory)
    report.finish()


if __name__ == "__main__":
    main()
