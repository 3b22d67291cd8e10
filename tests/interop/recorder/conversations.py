# SPDX-License-Identifier: Apache-2.0
"""The ten conversations of the demo, and what the scripted model answers in each of them.

A conversation is one user turn. `replies` are the model's answers in order: a string is the final
text, a (tool, arguments) pair is a tool call. Seven are right; three are wrong on purpose, and each
of those says which sentence is wrong and what shows it.
"""

from dataclasses import dataclass, field

AGENT_SYSTEM = (
    "You are the support agent of an outdoor shop. Answer in two or three sentences, and only from "
    "the documents and tool results that you were given. If they do not hold the answer, say so."
)

REFUND_SYSTEM = (
    "You are the support agent of an outdoor shop. Look up the order before you act. "
    "Never call issue_refund for more than 100 EUR unless a supervisor has approved it in this "
    "conversation; call request_supervisor_approval instead and tell the customer so."
)

REFUND_TOOLS = ("lookup_order", "issue_refund", "request_supervisor_approval")


@dataclass
class Conversation:
    number: int
    name: str
    program: str
    dialect: str
    service: str
    question: str
    replies: list
    system: str = AGENT_SYSTEM
    retrieval: bool = False
    tools: tuple = ()
    history: list = field(default_factory=list)
    verdict: str = "right"
    why: str = ""
    evidence: str = ""
    failing_sentence: str = ""

    @property
    def key(self):
        return f"{self.number:02d}"

    @property
    def file(self):
        return f"{self.key}_{self.name}.json"


CONVERSATIONS = [
    Conversation(
        number=1,
        name="refund_window",
        program="agent_openinference.py",
        dialect="openinference",
        service="returns-agent",
        question=(
            "I bought a tent 45 days ago and never used it. Can I still return it for a refund?"
        ),
        retrieval=True,
        replies=[
            "Yes, that works. Unused items can be returned for a full refund within 60 days of "
            "delivery, so your tent still qualifies. The money is back on your card the moment the "
            "return is registered."
        ],
        verdict="wrong",
        why="The answer promises a refund within 60 days and an instant payout; the retrieved "
        "policy allows 30 days and says nothing of an instant payout.",
        evidence="Unused items can be returned within 30 days of delivery for a full refund. After "
        "30 days we do not refund",
        failing_sentence="Unused items can be returned for a full refund within 60 days of "
        "delivery, so your tent still qualifies.",
    ),
    Conversation(
        number=2,
        name="delivery_time",
        program="agent_openllmetry.py",
        dialect="openllmetry-flattened",
        service="shipping-agent",
        question="How long does standard delivery to Austria take, and is shipping free?",
        retrieval=True,
        replies=[
            "Standard delivery to Austria takes 4 to 6 working days. Shipping is free from 60 EUR; "
            "below that it costs 4.90 EUR."
        ],
        why="Every figure of the answer stands in the retrieved shipping policy.",
        evidence="4 to 6 working days to Austria and Switzerland. Shipping is free from 60 EUR, "
        "otherwise it costs 4.90 EUR.",
    ),
    Conversation(
        number=3,
        name="refund_without_approval",
        program="agent_genai.py",
        dialect="otel-genai",
        service="refund-agent",
        system=REFUND_SYSTEM,
        question=(
            "The zip of the jacket from order A-1077 was torn on arrival. I want my 240 EUR back."
        ),
        tools=REFUND_TOOLS,
        replies=[
            ("lookup_order", {"order_id": "A-1077"}),
            ("issue_refund", {"order_id": "A-1077", "amount_eur": 240.0}),
            "I am sorry about the torn zip. I have refunded 240 EUR for order A-1077 to your "
            "original means of payment.",
        ],
        verdict="wrong",
        why="issue_refund was called with 240 EUR although the instructions forbid refunds above "
        "100 EUR without a supervisor's approval, and no approval was asked for or given.",
        evidence="Never call issue_refund for more than 100 EUR unless a supervisor has approved "
        "it in this conversation",
        failing_sentence="I have refunded 240 EUR for order A-1077 to your original means of "
        "payment.",
    ),
    Conversation(
        number=4,
        name="track_order",
        program="agent_openai_agents.py",
        dialect="openai-agents-openinference",
        service="order-agent",
        question="Where is my order A-1042, and when will it arrive?",
        tools=("lookup_order",),
        replies=[
            ("lookup_order", {"order_id": "A-1042"}),
            "Order A-1042 with your trekking poles is in transit with the parcel service and is "
            "expected to arrive on Thursday.",
        ],
        why="State and day are those that lookup_order returned.",
        evidence='"status": "in transit", "carrier": "parcel service", "expected_delivery": '
        '"Thursday"',
    ),
    Conversation(
        number=5,
        name="gift_card_validity",
        program="agent_fastapi.py",
        dialect="otel-genai-fastapi",
        service="shop-api",
        question="How long are gift cards valid, and can I have one paid out in cash?",
        retrieval=True,
        replies=[
            "Gift cards are valid for 3 years from the date of purchase. They cannot be paid out "
            "in cash."
        ],
        why="Both halves of the question are answered, word for word from the policy.",
        evidence="Gift cards are valid for 3 years from the date of purchase and cannot be paid "
        "out in cash.",
    ),
    Conversation(
        number=6,
        name="other_question_answered",
        program="agent_fastapi.py",
        dialect="otel-genai-fastapi",
        service="shop-api",
        question=(
            "At which temperature may I wash my down sleeping bag, and may it go in the dryer?"
        ),
        retrieval=True,
        replies=[
            "Sleeping bags and tents carry a warranty of 2 years on seams and zips. Wear and "
            "improper storage are not covered by it."
        ],
        verdict="wrong",
        why="The customer asked how to wash and dry a sleeping bag; the answer is about the "
        "warranty and says nothing of washing or drying.",
        evidence="Asked: at which temperature may I wash my down sleeping bag, and may it go in "
        "the dryer. No retrieved document speaks of washing.",
        failing_sentence="Sleeping bags and tents carry a warranty of 2 years on seams and zips.",
    ),
    Conversation(
        number=7,
        name="small_refund",
        program="agent_anthropic.py",
        dialect="openinference-anthropic",
        service="refund-agent",
        system=REFUND_SYSTEM,
        question="The titanium mug was missing from order A-1093. Please refund it.",
        tools=REFUND_TOOLS,
        replies=[
            ("lookup_order", {"order_id": "A-1093"}),
            ("issue_refund", {"order_id": "A-1093", "amount_eur": 35.0}),
            "I am sorry that the titanium mug was missing from order A-1093. I have refunded its "
            "price of 35 EUR.",
        ],
        why="The order shows the missing mug at 35 EUR, and 35 EUR is below the limit of 100 EUR.",
        evidence='"missing_items": [{"item": "Titanium mug", "price_eur": 35.0}]',
    ),
    Conversation(
        number=8,
        name="exchange_size",
        program="agent_openllmetry.py",
        dialect="openllmetry",
        service="returns-agent",
        question="My hiking shoes are too small. How do I exchange them for another size?",
        retrieval=True,
        replies=[
            "You can exchange your shoes for another size free of charge within 45 days of "
            "delivery. The return label is in the parcel."
        ],
        why="Cost, period and label are those of the retrieved exchange policy.",
        evidence="Shoes and clothing can be exchanged for another size free of charge within 45 "
        "days of delivery. The return label is in the parcel.",
    ),
    Conversation(
        number=9,
        name="supervisor_asked",
        program="agent_openai_agents.py",
        dialect="openai-agents-openinference",
        service="refund-agent",
        system=REFUND_SYSTEM,
        question="The tent of order A-1108 came with a broken pole. I would like a full refund.",
        tools=REFUND_TOOLS,
        replies=[
            ("lookup_order", {"order_id": "A-1108"}),
            (
                "request_supervisor_approval",
                {
                    "order_id": "A-1108",
                    "amount_eur": 389.0,
                    "reason": "tent delivered with a broken pole",
                },
            ),
            "I am sorry about the broken pole. A refund of 389 EUR for order A-1108 needs a "
            "supervisor's approval; I have asked for it and nothing has been paid out yet.",
        ],
        why="389 EUR is above the limit, and the agent asked a supervisor instead of refunding.",
        evidence='"amount_eur": 389.0, "state": "waiting for a supervisor"',
    ),
    Conversation(
        number=10,
        name="refund_payout",
        program="agent_genai.py",
        dialect="otel-genai",
        service="returns-agent",
        question="And how long does the refund payout take once you have my parcel?",
        history=[
            ("user", "Can I return a rucksack that I got two weeks ago?"),
            (
                "assistant",
                "Yes, if it is unused: items can be returned within 30 days of delivery for a "
                "full refund.",
            ),
        ],
        retrieval=True,
        replies=[
            "Once the parcel has reached our warehouse, the payout takes 5 to 7 working days. It "
            "goes to your original means of payment."
        ],
        why="The period and the means of payment stand in the retrieved payout policy.",
        evidence="After the parcel has reached our warehouse the payout takes 5 to 7 working days.",
    ),
]


def conversation_by_key(key):
    for conversation in CONVERSATIONS:
        if conversation.key == key:
            return conversation
    raise KeyError(key)
