# SPDX-License-Identifier: Apache-2.0
"""What the stand-in for Langfuse (langfuse_server.py) answers to those who read: the project of the
keys, and prompts. Each answer is held against the models that Langfuse's Python client ships."""

import json
import urllib.parse

from langfuse.api import Projects, Prompt_Text

PROJECTS_PATH = "/api/public/projects"
PROMPTS_PATH = "/api/public/v2/prompts/"
BIG_PROMPT, SLOW_PROMPT, FOLDED_PROMPT = "big", "slow", "shop/answer"
PROMPT_CHARACTERS = 6 * 1024 * 1024
PROJECT_NAME = "Interop"


def prompt_text():
    """Long, and of no bytes that repeat, so that a piece that is lost or moved is seen."""
    return "".join(f"{number:08}" for number in range(PROMPT_CHARACTERS // 8))


def _projects():
    answer = {
        "data": [
            {
                "id": "project",
                "name": PROJECT_NAME,
                "organization": {"id": "organization", "name": "Interop"},
                "metadata": {},
            }
        ]
    }
    Projects.model_validate(answer)
    return 200, answer


def _prompt(name):
    if name not in (BIG_PROMPT, SLOW_PROMPT, FOLDED_PROMPT):
        return 404, {"message": f"Prompt not found: '{name}'", "error": "LangfuseNotFoundError"}
    answer = {
        "type": "text", "name": name, "version": 3, "config": {}, "labels": ["production"],
        "tags": [], "commitMessage": None, "prompt": prompt_text(),
    }
    Prompt_Text.model_validate(answer)
    return 200, answer


def read_answer(target):
    """Status and body of a GET, and whether its two halves are sent apart; None for a path that is
    not known."""
    path, _, _query = target.partition("?")
    if path == PROJECTS_PATH:
        status, answer = _projects()
    elif path.startswith(PROMPTS_PATH):
        status, answer = _prompt(urllib.parse.unquote(path.removeprefix(PROMPTS_PATH)))
    else:
        return None
    return status, json.dumps(answer).encode(), path == PROMPTS_PATH + SLOW_PROMPT
