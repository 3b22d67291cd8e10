// SPDX-License-Identifier: Apache-2.0
// Messages flattened into attributes with indices in their keys, as OpenInference
// (llm.input_messages.3.message.content) and OpenLLMetry (gen_ai.prompt.3.content) write them. The
// attributes may come in any order and with hostile indices: indices from 1,024 up are left out and
// mark the reading truncated; the rest is taken in ascending order. Pure.
#pragma once

#include "processor/reading.h"
#include "proto/attribute.h"

#define FLAT_INDEX_MAX 1024u

// Reads "<digits>" at the front of *rest, cuts it and a following dot off. False: no number.
bool flat_index(struct bytes *rest, unsigned *index);

struct flat_messages;                                              // lives in the reading's scratch
struct flat_messages *flat_messages_new(struct reading *reading);  // NULL: no scratch left
// `rest` is the key behind the list's prefix: "3.message.content". Unknown fields are passed over.
void flat_messages_add(struct flat_messages *list, struct reading *reading, struct bytes rest,
                       const struct any_view *value);
// Hands the messages to the reading; false when there were none.
bool flat_messages_input(struct flat_messages *list, struct reading *reading);
bool flat_messages_output(struct flat_messages *list, struct reading *reading);
