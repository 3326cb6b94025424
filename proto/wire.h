/* The pre-scan: everything protobuf-c would not refuse is refused here, before protobuf-c sees a byte.
 * Refused: more than LIMIT_FRAME_HEADER bytes; unknown fields, field number 0, wrong wire types, groups;
 * varints cut short, over ten bytes or wider than their field (a bool is 0 or 1, an enum has 32 bits); a
 * singular field, a oneof or a packed column that comes twice; nesting deeper than LIMIT_WIRE_DEPTH;
 * repeated messages over LIMIT_WIRE_REPEATED; columns empty, over LIMIT_WIRE_COLUMN elements, not a whole
 * number of them, or not packed; strings and bytes over LIMIT_WIRE_STRING, strings with a NUL. No schema of ours is
 * recursive. Only files in proto/ include this.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/base/arena.h"

/* 0, or -EPROTO. Reads `len` bytes, allocates nothing. The descriptor is ours: it has at most
 * LIMIT_WIRE_FIELDS fields a message and no packed column of varints (asserted). */
int wire_scan(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len);

/* wire_scan, then protobuf-c into the arena (which is reset first). The message lives until the next reset.
 * -EPROTO: refused. -ENOMEM: the arena's cap. */
int wire_unpack(const ProtobufCMessageDescriptor *descriptor, struct arena *arena, const uint8_t *bytes,
                size_t len, ProtobufCMessage **ret_message);

/* Packs into `buf` when it fits. Returns the length, or -E2BIG. */
ssize_t wire_pack(const ProtobufCMessage *message, uint8_t *buf, size_t size);

/* Copies a judged string into the place its struct has for it. -EPROTO: longer than that. The rest of the
 * place is zero, so that structs compare and travel whole. */
int wire_copy_string(const char *text, char *ret_text, size_t size);

/* A number that stands for yes or no: -EPROTO for anything but 0 and 1. */
int wire_flag(uint32_t number, bool *ret_flag);
