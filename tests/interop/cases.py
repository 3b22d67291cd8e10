# SPDX-License-Identifier: Apache-2.0
"""Runs all interop cases, with the options that `run` passes.

With --peer the program under test is the real Collector itself: a check of the checks.
"""

import argparse
import pathlib
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass

from evaluation import evaluation_cases
from forwarding import forwarding_cases, secure_cases
from passing import passing_cases
from report import Report


@dataclass
class Paths:
    program: str
    collector: str
    node: str
    directory: str
    python: str


def _end(_signal, _frame):
    # Unwinds, so that everything that was started is stopped.
    sys.exit("ended by a signal")


def main():
    signal.signal(signal.SIGTERM, _end)
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--collector", required=True)
    parser.add_argument("--node", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--peer", action="store_true")
    options = parser.parse_args()
    pathlib.Path(options.work).mkdir(parents=True, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="run-", dir=options.work)
    paths = Paths(options.program, options.collector, options.node, directory, sys.executable)
    report = Report()
    try:
        forwarding_cases(report, paths, own=not options.peer)
        secure_cases(report, paths, own=not options.peer)
        passing_cases(report, paths, own=not options.peer)
        if not options.peer:
            evaluation_cases(report, paths)
    except Exception as error:
        report.add("the_cases_themselves", f"{type(error).__name__}: {error}")
    if not report.failed:
        shutil.rmtree(directory)
    report.finish()


if __name__ == "__main__":
    main()
