// SPDX-License-Identifier: Apache-2.0
// What else can be asked of a running otlp receiver. Any thread between start and free.
#pragma once

#include <stdint.h>

#include "proto/component.h"

// The port of the endpoint under protocols.grpc or protocols.http, which is the kernel's choice
// when the configuration said 0; 0 when that protocol is off.
uint16_t otlp_receiver_grpc_port(const struct receiver *receiver);
uint16_t otlp_receiver_http_port(const struct receiver *receiver);
