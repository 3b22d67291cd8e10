// SPDX-License-Identifier: Apache-2.0
// The replies of an HTTP/2 connection: responses to requests and to gRPC calls as frames. On the
// server's thread.
#pragma once

#include "receiver/http2.h"

// request_reply's way in: submits the response on the request's stream. Copies everything.
void http2_reply(struct http2 *http2, struct request *request, const struct response *response);
// The same in parts.
void http2_reply_begin(struct http2 *http2, struct request *request,
                       const struct response_head *head);
size_t http2_reply_room(const struct request *request);
void http2_reply_data(struct http2 *http2, struct request *request, struct bytes part);
void http2_reply_end(struct http2 *http2, struct request *request, bool is_whole);
