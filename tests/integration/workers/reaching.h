/* What the guest of reaching.c tells it.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a command lies: u32 what, u32 len, u64 at, little endian. what 0: none. */
#define REACHING_COMMAND 0x1ff000u
#define REACHING_BYTES   16u
#define REACHING_READ    1u
#define REACHING_WRITE   2u
