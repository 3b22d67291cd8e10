// SPDX-License-Identifier: Apache-2.0
// Messages as JSON, in the shapes that instrumentations write: GenAI conventions ({role, parts}),
// OpenAI ({role, content, tool_calls}), Anthropic content blocks, Bedrock blocks, LangChain's
// serialised messages. Text that was cut is read as a prefix and marked. Copies into the reading's
// scratch. Pure.
#pragma once

#include "processor/reading.h"

// `text` is a JSON array of messages (or an object that holds one, a single message, or plain
// text). False when nothing in it was a message.
bool message_json_input(struct reading *reading, struct bytes text);
bool message_json_output(struct reading *reading, struct bytes text);
// System instructions: an array of parts, or plain text.
void message_json_system(struct reading *reading, struct bytes text);
// Plain text of a content value: a string, parts, blocks. Copied to scratch; blobs become a note.
struct bytes message_json_text(struct reading *reading, const struct json_value *content);
// Documents of a retrieval: an array of objects or texts, or an object that holds one.
void message_json_documents(struct reading *reading, struct bytes text);
// Content that may be text or a JSON string of blocks: the text of it.
struct bytes message_json_unwrap(struct reading *reading, struct bytes content,
                                 struct message *message);
