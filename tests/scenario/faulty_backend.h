// SPDX-License-Identifier: Apache-2.0
// A backend, or a judge, that misbehaves as a row of a table says: HTTP/1.1 on a raw socket, on the
// scenario's loop, so that it can say what no server library would. Spans that it takes are told to
// an oracle. Bodies must come uncompressed and with a length. At most 32 connections and 32 MiB a
// request; 64 times of arrival are kept. The scenario's thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "tests/scenario/oracle.h"

enum faulty_how {
    FAULTY_ANSWERS,       // status, headers and body as the row says
    FAULTY_SILENT,        // takes the request and never answers
    FAULTY_DRIPS,         // the answer, a byte each 50 ms
    FAULTY_CUT,           // claims 1000 bytes of body, sends half, resets
    FAULTY_RESETS,        // resets instead of answering
    FAULTY_RESETS_EARLY,  // resets when it has the head, while the body comes
    FAULTY_ENDLESS,       // chunks without end
    FAULTY_CLAIMS_5_GB,   // a Content-Length of 5 GiB, and as much of it as is taken
};

struct faulty_answer {  // a row; all borrowed
    int status;
    const char *headers;  // whole lines; NULL: none
    const char *body;     // NULL: empty
    size_t body_len;      // 0: up to its NUL
    enum faulty_how how;
    bool says_date;      // Retry-After as an HTTP-date two seconds from now
    bool keeps;          // the spans are taken, whatever is said
    bool closes;         // the connection, behind the answer
    const char *only;    // only requests in which this text stands; NULL: all
    size_t only_beyond;  // only bodies larger than this
};

struct faulty_backend;

// `number`: of this backend at the oracle. A port of the kernel's choice.
struct faulty_backend *faulty_backend_open(struct loop *loop, struct oracle *oracle,
                                           unsigned number);
void faulty_backend_close(struct faulty_backend **backend);            // accepts NULL inside
const char *faulty_backend_url(const struct faulty_backend *backend);  // "http://127.0.0.1:PORT"
// Stops listening and cuts what is open; and listens on the same port again.
void faulty_backend_down(struct faulty_backend *backend);
void faulty_backend_up(struct faulty_backend *backend);

// From now on the next `times` requests that `row` is about are answered by it (0: all), others
// with `sound`, where NULL is 200 and taken. Begins the counts below anew.
void faulty_backend_behave(struct faulty_backend *backend, const struct faulty_answer *row,
                           unsigned times);
void faulty_backend_sound(struct faulty_backend *backend, const struct faulty_answer *sound);
unsigned faulty_backend_faults(const struct faulty_backend *backend);    // by the row
unsigned faulty_backend_requests(const struct faulty_backend *backend);  // read whole
unsigned faulty_backend_strayed(const struct faulty_backend *backend);   // for "/elsewhere"
// Requests from now on in which `text` stands (borrowed), whatever they are answered.
void faulty_backend_look_for(struct faulty_backend *backend, const char *text);
unsigned faulty_backend_found(const struct faulty_backend *backend);
uint64_t faulty_backend_sent_bytes(const struct faulty_backend *backend);
// When request `index` was there, monotonic; 0: not yet.
uint64_t faulty_backend_at_ns(const struct faulty_backend *backend, unsigned index);
