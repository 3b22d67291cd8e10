# SPDX-License-Identifier: Apache-2.0
"""Sends one span and a score of each type with Langfuse's own client: emit_langfuse.py URL
PUBLIC_KEY SECRET_KEY."""

import sys

from langfuse import Langfuse

SCORES = (
    {"name": "number", "value": 0.5, "data_type": "NUMERIC", "comment": "because"},
    {"name": "yes", "value": 1, "data_type": "BOOLEAN"},
    {"name": "colour", "value": "red", "data_type": "CATEGORICAL"},
)


def main(url, public_key, secret_key):
    client = Langfuse(
        base_url=url, public_key=public_key, secret_key=secret_key, environment="interop"
    )
    with client.start_as_current_observation(name="answer") as span:
        for score in SCORES:
            client.create_score(trace_id=span.trace_id, observation_id=span.id, **score)
    client.flush()
    client.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
