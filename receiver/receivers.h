// SPDX-License-Identifier: Apache-2.0
// The kinds of receiver that exist; receivers.c lists them (declared in proto/component.h).
#pragma once

#include "proto/component.h"

extern const struct receiver_ops otlp_receiver;
