// SPDX-License-Identifier: Apache-2.0
//
// One fence, opened in the first line and closed by the last bytes.
//
// Refused: looking for JSON somewhere inside prose, since nobody who parses the answer would find
// it there either. Bounds: none needed, one search for the first line's end. Pure, any thread.

#include "processor/answer_json.h"

struct bytes answer_json(struct bytes response)
{
    const struct bytes fence = BYTES_LITERAL("```");
    struct bytes text = bytes_trim(response);
    if (text.len < 6 || !bytes_start_with(text, fence) || !bytes_end_with(text, fence)) {
        return text;
    }
    size_t line = bytes_find(text, BYTES_LITERAL("\n"), 0);
    if (line == SIZE_MAX) {
        return text;
    }
    return bytes_trim(bytes_slice(text, line + 1, text.len - fence.len - line - 1));
}
