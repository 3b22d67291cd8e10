// SPDX-License-Identifier: Apache-2.0
// A direct-mapped array from index to message keeps the order without sorting and bounds what a
// hostile index can cost. Refused: a list sorted at the end, which is quadratic or needs a heap,
// and an array that grows to the highest index seen.
//
// Bounds: 1,024 indices, 16 calls per message, texts stay views into the batch. Pure; any thread.
#include "processor/flat_messages.h"

#include <string.h>

#include "processor/message_json.h"

struct flat_message {
    struct message message;
    struct bytes role, content;
    struct bytes contents[8];  // .contents.{j}.message_content.text
};

struct flat_messages {
    struct flat_message *at[FLAT_INDEX_MAX];
    unsigned end;  // one above the highest index
};

bool flat_index(struct bytes *rest, unsigned *index)
{
    size_t digits = 0;
    unsigned value = 0;
    while (digits < rest->len && rest->ptr[digits] >= '0' && rest->ptr[digits] <= '9') {
        if (value < FLAT_INDEX_MAX) {
            value = value * 10 + (unsigned)(rest->ptr[digits] - '0');
        }
        digits++;
    }
    if (digits == 0 || (digits < rest->len && rest->ptr[digits] != '.')) {
        return false;
    }
    *rest = bytes_slice(*rest, digits + (digits < rest->len), rest->len);
    *index = value < FLAT_INDEX_MAX ? value : FLAT_INDEX_MAX;
    return true;
}

struct flat_messages *flat_messages_new(struct reading *reading)
{
    return arena_zalloc(reading->scratch, sizeof(struct flat_messages));
}

static bool cut(struct bytes *rest, const char *prefix)
{
    struct bytes view = bytes_from_text(prefix);
    if (!bytes_start_with(*rest, view)) {
        return false;
    }
    *rest = bytes_slice(*rest, view.len, rest->len);
    return true;
}

static void flat_call(struct flat_message *flat, struct reading *reading, struct bytes rest,
                      struct bytes text)
{
    unsigned index;
    if (!flat_index(&rest, &index)) {
        return;
    }
    if (index >= MESSAGE_CALLS_MAX) {
        reading->truncated = true;
        return;
    }
    struct tool_call *call = &flat->message.calls[index];
    (void)cut(&rest, "tool_call.");
    (void)cut(&rest, "function.");
    if (bytes_equal_text(rest, "id")) {
        call->id = text;
    } else if (bytes_equal_text(rest, "name")) {
        call->name = text;
    } else if (bytes_equal_text(rest, "arguments")) {
        call->arguments = text;
    } else {
        return;
    }
    if (flat->message.call_count <= index) {
        flat->message.call_count = index + 1;
    }
}

static void flat_part(struct flat_message *flat, struct reading *reading, struct bytes rest,
                      struct bytes text)
{
    unsigned index;
    if (!flat_index(&rest, &index)) {
        return;
    }
    if (index >= sizeof(flat->contents) / sizeof(flat->contents[0])) {
        reading->truncated = true;
        return;
    }
    if (cut(&rest, "message_content.") && bytes_equal_text(rest, "text")) {
        flat->contents[index] = text;
    }
}

void flat_messages_add(struct flat_messages *list, struct reading *reading, struct bytes rest,
                       const struct any_view *value)
{
    unsigned index;
    if (!list || value->kind != ANY_KIND_STRING || !flat_index(&rest, &index)) {
        return;
    }
    if (index >= FLAT_INDEX_MAX) {
        reading->truncated = true;
        return;
    }
    if (!list->at[index]) {
        list->at[index] = arena_zalloc(reading->scratch, sizeof(struct flat_message));
        if (!list->at[index]) {
            reading->truncated = true;
            return;
        }
        list->end = index >= list->end ? index + 1 : list->end;
    }
    struct flat_message *flat = list->at[index];
    (void)cut(&rest, "message.");
    if (cut(&rest, "tool_calls.")) {
        flat_call(flat, reading, rest, value->bytes);
    } else if (cut(&rest, "contents.")) {
        flat_part(flat, reading, rest, value->bytes);
    } else if (bytes_equal_text(rest, "role")) {
        flat->role = value->bytes;
    } else if (bytes_equal_text(rest, "content") || bytes_equal_text(rest, "prompt.text") ||
               bytes_equal_text(rest, "completion.text")) {
        flat->content = value->bytes;
    } else if (bytes_equal_text(rest, "tool_call_id")) {
        flat->message.tool_call_id = value->bytes;
    } else if (bytes_equal_text(rest, "name")) {
        flat->message.tool_name = value->bytes;
    } else if (bytes_equal_text(rest, "finish_reason")) {
        flat->message.finish_reason = value->bytes;
    }
}

static struct message *flat_settle(struct flat_message *flat, struct reading *reading,
                                   enum speaker otherwise)
{
    struct message *message = &flat->message;
    message->speaker = flat->role.len > 0 ? reading_speaker(flat->role) : otherwise;
    message->text = message_json_unwrap(reading, flat->content, message);
    if (message->text.len > 0) {
        return message;
    }
    struct buffer joined;
    buffer_init(&joined, READING_SCRATCH_MAX);
    for (size_t i = 0; i < sizeof(flat->contents) / sizeof(flat->contents[0]); i++) {
        if (flat->contents[i].len > 0) {
            buffer_append(&joined, "\n", joined.len > 0 ? 1 : 0);
            buffer_append_bytes(&joined, flat->contents[i]);
        }
    }
    message->text = reading_keep(reading, buffer_view(&joined));
    buffer_fini(&joined);
    return message;
}

bool flat_messages_input(struct flat_messages *list, struct reading *reading)
{
    struct conversation conversation;
    if (!list || list->end == 0 || !reading_input_begin(reading, &conversation)) {
        return false;
    }
    for (unsigned i = 0; i < list->end; i++) {
        if (list->at[i]) {
            reading_input_message(reading, &conversation,
                                  flat_settle(list->at[i], reading, SPEAKER_USER));
        }
    }
    reading_input_end(reading, &conversation);
    return true;
}

bool flat_messages_output(struct flat_messages *list, struct reading *reading)
{
    if (!list || list->end == 0 || reading->output_done) {
        return false;
    }
    for (unsigned i = 0; i < list->end; i++) {
        if (list->at[i]) {
            reading_output_message(reading, flat_settle(list->at[i], reading, SPEAKER_ASSISTANT));
        }
    }
    reading->output_done = reading->response.len > 0 || reading->pending_tools;
    return true;
}
