/* A device that reaches guest memory through windows alone.
 * Owns the map of its windows; called by the other device files, on the main thread. It is an edge. TRUST: windows are the operator's,
 * judged (vm_config_memory.c); what lies outside of them a guest has chosen.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/device_windows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "broker/core/interval_map.h"
#include "proto/admin.h"
#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "proto/vm_config.h"

static void add_text(struct device_windows *windows, size_t *used, const struct device_window *window)
{
        int n = snprintf(windows->text + *used, sizeof(windows->text) - *used, "%s0x%" PRIx64 "-0x%" PRIx64,
                         *used > 0 ? "," : "", window->start, window->start + (window->size - 1));

        *used = MIN(*used + (size_t)n, sizeof(windows->text) - 1);
}

int device_windows_init(struct device_windows *windows, const struct device_memory *memory)
{
        struct interval_map *map;
        size_t used = 0;

        *windows = (struct device_windows){0};
        if (memory->n_windows == 0)
                return 0;
        map = interval_map_new(NULL, LIMIT_WINDOWS);
        if (!map)
                return -ENOMEM;
        for (uint32_t i = 0; i < memory->n_windows; i++) {
                const struct device_window *window = &memory->windows[i];
                const struct interval interval = {.start = window->start,
                                                  .len = window->size,
                                                  .base = window->start,
                                                  .rights = INTERVAL_READ | INTERVAL_WRITE};
                int r = interval_map_replace(&map, &interval);

                if (r < 0) {
                        (void)interval_map_unref(map);
                        return r;
                }
                windows->bytes += window->size; /* no two overlap */
                add_text(windows, &used, window);
        }
        windows->map = map;
        windows->raw = memory->raw;
        return 0;
}

void device_windows_done(struct device_windows *windows)
{
        windows->map = interval_map_unref(windows->map);
}

int device_windows_view(const struct device_windows *windows, struct guest_memory *memory,
                        struct guest_memory **ret_view)
{
        if (memory && windows->map)
                return guest_memory_confine(memory, windows->map, ret_view);
        *ret_view = memory ? guest_memory_ref(memory) : NULL;
        return 0;
}

static void refused(struct device_windows *windows, const char *what, const char *device, unsigned queue,
                    gpa_t at, uint64_t len)
{
        windows->n_refused++;
        log_limited(LOG_LEVEL_WARNING,
                    "the guest has posted a %s outside of the device's windows: dev=%s queue=%u at=0x%" PRIx64
                    " len=%" PRIu64 " windows=%s",
                    what, device, queue, at.v, len, windows->text);
}

void device_windows_refuse(struct device_windows *windows, const char *device, unsigned queue,
                           const struct segment *outside)
{
        refused(windows, "buffer", device, queue, outside->at, outside->len);
}

void device_windows_refuse_ring(struct device_windows *windows, const char *device, unsigned queue,
                                const struct queue_layout *layout, bool packed)
{
        const struct queue_bytes bytes = queue_bytes(layout->size, packed);
        const struct {
                gpa_t at;
                uint64_t len;
        } parts[] = {{layout->desc, bytes.desc}, {layout->avail, bytes.avail}, {layout->used, bytes.used}};

        for (size_t i = 0; windows->map && i < array_size(parts); i++) {
                if (interval_map_covers(windows->map, parts[i].at.v, parts[i].len, 0))
                        continue;
                refused(windows, "ring", device, queue, parts[i].at, parts[i].len);
                return;
        }
}

void device_windows_status(const struct device_windows *windows, struct admin_windows *ret_status)
{
        *ret_status = (struct admin_windows){
            .n = windows->map ? (uint32_t)interval_map_n(windows->map) : 0,
            .bytes = windows->bytes,
            .refused = windows->n_refused,
            .raw = windows->raw,
        };
}
