/* A queue of the most descriptors in scattered pages. Owns nothing. TRUST: it is the guest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit_core/scattered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

unsigned scattered_lines_of_maps(void)
{
        FILE *maps = fopen("/proc/self/maps", "re");
        unsigned n = 0;
        int c;

        assert_non_null(maps);
        while ((c = fgetc(maps)) != EOF)
                n += c == '\n';
        fclose(maps);
        return n;
}

struct order scattered_backwards(void)
{
        struct order order;

        for (unsigned i = 0; i < RING_PAGES; i++)
                order.page[i] = (uint8_t)(RING_PAGES - 1 - i);
        return order;
}

uint64_t scattered_made(const struct guest *guest)
{
        uint64_t n = 0;

        for (unsigned i = 0; i < QUEUE_PARTS_; i++)
                n += guest->queue.views[i].n_made;
        return n;
}

unsigned scattered_mapped(const struct guest *guest)
{
        unsigned n = 0;

        for (unsigned i = 0; i < QUEUE_PARTS_; i++)
                n += guest->queue.views[i].window != NULL;
        return n;
}

/* One chain through the split ring, and its answer where the driver looks for it. */
void scattered_serve(struct guest *guest, unsigned i)
{
        uint16_t head = (uint16_t)(i * 7 % SIZE), index = used_index(guest);
        uint32_t id, len;

        guest_take(guest, head);
        assert_int_equal(queue_push(&guest->queue, head, i + 1), 0);
        assert_true(queue_publish(&guest->queue) >= 0);
        assert_int_equal(used_index(guest), (uint16_t)(index + 1));
        used_element(guest, index, &id, &len);
        assert_int_equal(id, head);
        assert_int_equal(len, i + 1);
}

struct guest *scattered_begin(void **state)
{
        struct guest *guest = *state;

        guest_scatter_backwards(guest);
        guest_start(guest, SIZE, 0);
        assert_int_equal(guest->queue.fault, QUEUE_FAULT_NONE);
        assert_int_equal(scattered_mapped(guest), QUEUE_PARTS_);
        return guest;
}
