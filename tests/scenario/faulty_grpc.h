// SPDX-License-Identifier: Apache-2.0
// A gRPC backend that misbehaves as a row of a table says: nghttp2 under a frame writer of its own,
// on the scenario's loop, so that it can end streams and connections where no gRPC server would.
// Spans that it takes are told to an oracle. Messages must come uncompressed. At most 16
// connections, 128 streams of them and 32 MiB a message. The scenario's thread.
#pragma once

#include "base/loop.h"
#include "tests/scenario/oracle.h"

enum faulty_grpc_how {
    FAULTY_GRPC_ANSWERS,        // grpc-status as the row says
    FAULTY_GRPC_SILENT,         // takes the request and never answers
    FAULTY_GRPC_RESETS_STREAM,  // RST_STREAM with the row's code
    FAULTY_GRPC_GOES_AWAY,      // GOAWAY that takes the stream back, and the end of the connection
    FAULTY_GRPC_GOES_SOON,      // GOAWAY behind the stream, which is answered well, and the end
    FAULTY_GRPC_RESETS,         // the connection
    FAULTY_GRPC_NO_STATUS,      // a message and the end, without trailers
    FAULTY_GRPC_HTTP,           // an HTTP status and a page, as a proxy says it
};

struct faulty_grpc_answer {  // a row
    enum faulty_grpc_how how;
    int status;           // grpc-status; HTTP status; error code of the reset
    const char *message;  // bytes of the reply message; NULL: empty
    unsigned message_len;
    unsigned retry_after_s;  // RetryInfo in grpc-status-details-bin; 0: none
    bool keeps;              // the spans are taken, whatever is said
};

struct faulty_grpc;

// `streams_max`: SETTINGS_MAX_CONCURRENT_STREAMS; 0: 100.
struct faulty_grpc *faulty_grpc_open(struct loop *loop, struct oracle *oracle, unsigned number,
                                     unsigned streams_max);
void faulty_grpc_close(struct faulty_grpc **server);  // accepts NULL inside
unsigned faulty_grpc_port(const struct faulty_grpc *server);
// The next `times` requests are answered by `row` (0: all), others well. Begins the counts anew.
void faulty_grpc_behave(struct faulty_grpc *server, const struct faulty_grpc_answer *row,
                        unsigned times);
unsigned faulty_grpc_faults(const struct faulty_grpc *server);
unsigned faulty_grpc_requests(const struct faulty_grpc *server);
unsigned faulty_grpc_streams_peak(const struct faulty_grpc *server);  // open at a time, ever
