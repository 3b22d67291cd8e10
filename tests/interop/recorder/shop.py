# SPDX-License-Identifier: Apache-2.0
"""A small online shop: its policy documents, its orders, and the tools its support agents call.

Everything is fixed, so that a recording differs from the next one only in ids and times.
"""

import json
import re

POLICIES = {
    "returns": (
        "Returns. Unused items can be returned within 30 days of delivery for a full refund. "
        "After 30 days we do not refund; a one-time exchange for the same item in another size "
        "is possible until day 45."
    ),
    "refund-payout": (
        "Refund payout. Refunds are paid to the original means of payment. After the parcel has "
        "reached our warehouse the payout takes 5 to 7 working days."
    ),
    "shipping": (
        "Shipping and delivery. Standard delivery takes 2 to 3 working days within Germany and "
        "4 to 6 working days to Austria and Switzerland. Shipping is free from 60 EUR, otherwise "
        "it costs 4.90 EUR."
    ),
    "warranty": (
        "Sleeping bag and tent warranty. Sleeping bags, including every down sleeping bag, and "
        "tents carry a warranty of 2 years on seams and zips. Wear and improper storage are not "
        "covered."
    ),
    "exchange": (
        "Exchange of sizes. Shoes and clothing can be exchanged for another size free of charge "
        "within 45 days of delivery. The return label is in the parcel."
    ),
    "gift-cards": (
        "Gift cards. Gift cards are valid for 3 years from the date of purchase and cannot be paid "
        "out in cash."
    ),
}

ORDERS = {
    "A-1042": {
        "order": "A-1042",
        "status": "in transit",
        "carrier": "parcel service",
        "expected_delivery": "Thursday",
        "items": ["Trekking poles, pair"],
        "total_eur": 79.0,
    },
    "A-1077": {
        "order": "A-1077",
        "status": "delivered",
        "delivered_days_ago": 6,
        "items": ["Storm jacket, size M"],
        "total_eur": 240.0,
    },
    "A-1093": {
        "order": "A-1093",
        "status": "delivered",
        "delivered_days_ago": 3,
        "items": ["Titanium mug", "Head lamp"],
        "total_eur": 72.0,
        "missing_items": [{"item": "Titanium mug", "price_eur": 35.0}],
    },
    "A-1108": {
        "order": "A-1108",
        "status": "delivered",
        "delivered_days_ago": 12,
        "items": ["Four-person tent"],
        "total_eur": 389.0,
    },
}

_STOP = set(
    "a an and are be can do does for from have how i if in is it me my of on or so that the "
    "this to was what when which will with you your after still get take".split()
)


def _words(text):
    return {w.rstrip("s") for w in re.findall(r"[a-z]+", text.lower()) if w not in _STOP}


def search_policies(query, limit=2):
    """Ranks the policy documents by shared words, which is all the retrieval a demo needs."""
    wanted = _words(query)
    scored = []
    for doc_id, text in POLICIES.items():
        shared = len(wanted & _words(text))
        if shared:
            scored.append({"id": doc_id, "score": round(shared / len(wanted), 3), "content": text})
    scored.sort(key=lambda doc: (-doc["score"], doc["id"]))
    return scored[:limit]


def lookup_order(order_id):
    return ORDERS.get(order_id, {"order": order_id, "status": "unknown"})


def issue_refund(order_id, amount_eur):
    return {"order": order_id, "refunded_eur": amount_eur, "state": "booked"}


def request_supervisor_approval(order_id, amount_eur, reason):
    return {"order": order_id, "amount_eur": amount_eur, "state": "waiting for a supervisor"}


TOOLS = {
    "lookup_order": lookup_order,
    "issue_refund": issue_refund,
    "request_supervisor_approval": request_supervisor_approval,
}

TOOL_DESCRIPTIONS = {
    "lookup_order": "Reads an order: its state, items and total.",
    "issue_refund": "Books a refund for an order at once. It cannot be undone.",
    "request_supervisor_approval": "Asks a supervisor to approve a refund.",
}

_ORDER_ID = {"type": "string", "description": "The order number, such as A-1000."}
_AMOUNT = {"type": "number", "description": "The amount in EUR."}

TOOL_PARAMETERS = {
    "lookup_order": {
        "type": "object",
        "properties": {"order_id": _ORDER_ID},
        "required": ["order_id"],
    },
    "issue_refund": {
        "type": "object",
        "properties": {"order_id": _ORDER_ID, "amount_eur": _AMOUNT},
        "required": ["order_id", "amount_eur"],
    },
    "request_supervisor_approval": {
        "type": "object",
        "properties": {
            "order_id": _ORDER_ID,
            "amount_eur": _AMOUNT,
            "reason": {"type": "string"},
        },
        "required": ["order_id", "amount_eur", "reason"],
    },
}


def openai_tools(names):
    """The tools in the form of the chat-completions API."""
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": TOOL_DESCRIPTIONS[name],
                "parameters": TOOL_PARAMETERS[name],
            },
        }
        for name in names
    ]


def anthropic_tools(names):
    """The tools in the form of the Anthropic Messages API."""
    return [
        {
            "name": name,
            "description": TOOL_DESCRIPTIONS[name],
            "input_schema": TOOL_PARAMETERS[name],
        }
        for name in names
    ]


def call_tool(name, arguments):
    """Runs a tool with the arguments that the model wrote; text in, text out."""
    if isinstance(arguments, str):
        arguments = json.loads(arguments)
    return json.dumps(TOOLS[name](**arguments))
