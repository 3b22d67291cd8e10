// SPDX-License-Identifier: Apache-2.0
// Certificates for tests, made on the spot: nothing expires in the repository. Any thread.
#pragma once

struct certificate {
    char pem[4096];
    char key_pem[1024];
};

// A self-signed certificate (P-256, valid for a day from yesterday on) of a server or client that
// is called `name`, which is also its own authority. Asserts.
void certificate_make(const char *name, struct certificate *certificate);
