/* What the author of a loader works with.
 * Owns nothing; called by the loader. TRUST: everything here is our own; bytes of files pass through.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/runtime/boot_memory.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "proto/control.h"
#include "workers/runtime/trap.h"

#define MESSAGE_BYTES (LIMIT_BOOT_REASON + 64u)

void boot_memory_init(struct boot_memory *memory, struct outbox *outbox, struct link *control)
{
        outbox->space = LANE_SPACE_BOOT;
        *memory = (struct boot_memory){.outbox = outbox, .control = control};
}

void boot_memory_write(struct boot_memory *memory, uint32_t range, uint32_t offset, const void *bytes,
                       uint32_t len)
{
        uint32_t done = 0;

        while (done < len) {
                uint32_t piece = MIN(len - done, OUTBOX_PIECE);

                memcpy(outbox_reserve(memory->outbox, piece), (const uint8_t *)bytes + done, piece);
                outbox_write(memory->outbox, range, offset + done, piece);
                done += piece;
        }
}

/* By way of our own memory, for file systems that cannot hand their pages to a socket. */
static int copy_piece(struct boot_memory *memory, uint32_t range, uint32_t offset, uint32_t len, int fd,
                      uint64_t file_offset)
{
        uint8_t *bytes = outbox_reserve(memory->outbox, len);
        uint32_t done = 0;

        for (unsigned retries = 0; done < len;) {
                ssize_t n = pread(fd, bytes + done, len - done, (off_t)(file_offset + done));

                if (n < 0 && errno == EINTR && retries++ < LIMIT_IO_RETRIES)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                done += (uint32_t)n;
        }
        outbox_write(memory->outbox, range, offset, len);
        return 0;
}

int boot_memory_write_file(struct boot_memory *memory, uint32_t range, uint32_t offset, uint64_t len, int fd,
                           uint64_t file_offset)
{
        bool by_copy = false;

        for (uint64_t done = 0; done < len;) {
                uint32_t at = offset + (uint32_t)done;
                uint32_t piece = (uint32_t)MIN(len - done, (uint64_t)(by_copy ? OUTBOX_PIECE : OUTBOX_FILE));
                int r;

                if (by_copy)
                        r = copy_piece(memory, range, at, piece, fd, file_offset + done);
                else
                        r = outbox_write_file(
                            memory->outbox, range, at,
                            &(struct link_file){.fd = fd, .offset = file_offset + done, .len = piece});
                if (r == -EINVAL && !by_copy) {
                        by_copy = true; /* what was padded with zeros is written again */
                        continue;
                }
                if (r < 0)
                        return r;
                done += piece;
        }
        return 0;
}

static void say(struct boot_memory *memory, const struct control_to_broker *message)
{
        uint8_t frame[FRAME_HEAD_BYTES + MESSAGE_BYTES];
        ssize_t len = control_make_to_broker(message, frame + FRAME_HEAD_BYTES, MESSAGE_BYTES);

        if (len <= 0)
                worker_trap();
        outbox_flush(memory->outbox);
        link_send(memory->control, frame, (uint32_t)len, NULL, 0);
}

void boot_memory_booted(struct boot_memory *memory, const struct boot_done *done)
{
        static struct control_to_broker message;

        message.kind = CONTROL_BOOTED;
        message.booted = *done;
        say(memory, &message);
}

void boot_memory_failed(struct boot_memory *memory, const char *reason)
{
        static struct control_to_broker message;

        if (strnlen(reason, LIMIT_BOOT_REASON) == LIMIT_BOOT_REASON)
                worker_trap();
        message.kind = CONTROL_BOOT_FAILED;
        strcpy(message.boot_failed.reason, reason);
        say(memory, &message);
}
