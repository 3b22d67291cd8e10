# SPDX-License-Identifier: Apache-2.0
"""One line for each case, and the count."""

import sys


class Report:
    def __init__(self):
        self.passed = 0
        self.failed = 0

    def add(self, name, reason=None):
        """Reason None is a pass."""
        if reason is None:
            self.passed += 1
            print(f"ok {name}", flush=True)
        else:
            self.failed += 1
            print(f"not ok {name} {' '.join(str(reason).split())}", flush=True)

    def guard(self, name, action):
        """Runs a case; what it returns is the reason for failing, and an exception is one too."""
        try:
            self.add(name, action())
        except Exception as error:  # a case that breaks must not keep the others from running
            self.add(name, f"{type(error).__name__}: {error}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)
