/* The pre-scan: everything protobuf-c would not refuse is refused here, before protobuf-c sees a byte.
 * Refused: unknown fields, wrong wire types, varints over ten bytes or cut short, a singular field or a oneof set
 * twice, nesting deeper than LIMIT_WIRE_DEPTH, repeated messages over LIMIT_WIRE_REPEATED, packed columns over
 * LIMIT_WIRE_COLUMN elements or not a whole number of them, unpacked columns, strings over LIMIT_WIRE_STRING or
 * with a NUL, field number 0, groups. No schema of ours is recursive.
 * Only files in proto/ include this. SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/base/arena.h"

/* 0, or -EPROTO. Reads `len` bytes, allocates nothing. */
int wire_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len);

/* wire_scan, then protobuf-c into the arena (which is reset first). The message lives until the next reset.
 * -EPROTO: refused. -ENOMEM: the arena's cap. */
int wire_unpack(const ProtobufCMessageDescriptor *descriptor, struct arena *arena, const uint8_t *bytes, size_t len,
                ProtobufCMessage **ret_message);

/* Packs into `buf` when it fits. Returns the length, or -E2BIG. */
ssize_t wire_pack(const ProtobufCMessage *message, uint8_t *buf, size_t size);
