// SPDX-License-Identifier: Apache-2.0
// Versions, cipher suites and groups of TLS under the Collector's names (Go's crypto/tls) and under
// OpenSSL's, for servers and clients alike. Start and reload only; any thread.
#pragma once

#include "base/buffer.h"
#include "base/option.h"

// "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ... as OpenSSL's list of TLS 1.2 suites, appended to
// `out`; the suites of TLS 1.3 are not configurable, as in Go, and are passed over. RESULT_REJECT:
// *unknown is the first name that is not known.
enum result tls_policy_ciphers(const struct option_texts *names, struct buffer *out,
                               struct bytes *unknown) MUST_USE;
// "X25519", "P256", "P384", "P521" as OpenSSL's list of groups.
enum result tls_policy_groups(const struct option_texts *names, struct buffer *out,
                              struct bytes *unknown) MUST_USE;
// Both, for `validate`: appends an error for each list that does not read.
void tls_policy_validate(const struct option_texts *ciphers, const struct option_texts *groups,
                         const struct config_node *node, const char *path,
                         struct option_errors *errors);
