/* What one request costs in instructions, broker and worker apart: the same requests each time, so that
 * callgrind counts the same number each time. Without callgrind it only carries them out.
 *
 *      bulkhead-bench-micro WORKER [CASE...]
 *
 * Each case: some batches to warm up, then counted ones; then both sides write down what they have counted
 * and a line of JSON says how many requests that was. tests/bench/micro/run puts it together. What is counted
 * in the broker: what a lane does when it is kicked and when one of its pipes is ready (walk, encode, send, receive,
 * decode, complete, publish). In the worker: all from one wait to the next. Not counted: the kernel, the
 * broker's event loop, and the waits themselves. TRUST: its bytes are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/bench/micro/micro_lane.h"

#define IMAGE_BYTES (16u << 20)
#define WARM_UP     256u  /* requests */
#define COUNTED     1024u /* requests: a multiple of each batch */
#define DEADLINE_S  300u  /* under callgrind, on a busy machine */
#define TYPE_IN     0u    /* virtio 1.3, 5.2.6 */
#define TYPE_OUT    1u

struct micro_case {
        const char *name;
        uint32_t type, bytes;
        unsigned batch;
        bool packed;
};

static const struct micro_case cases[] = {
    {"read-4k-1", TYPE_IN, 4096, 1, false},           {"write-4k-1", TYPE_OUT, 4096, 1, false},
    {"read-4k-32", TYPE_IN, 4096, 32, false},         {"write-4k-32", TYPE_OUT, 4096, 32, false},
    {"read-64k-4", TYPE_IN, 65536, 4, false},         {"write-64k-4", TYPE_OUT, 65536, 4, false},
    {"read-4k-1-packed", TYPE_IN, 4096, 1, true},     {"read-4k-32-packed", TYPE_IN, 4096, 32, true},
    {"write-4k-32-packed", TYPE_OUT, 4096, 32, true},
};

/* Places far from each other, so that no two requests could be merged. */
static uint64_t next_sector(const struct micro_case *c, uint32_t *number)
{
        uint32_t n_blocks = IMAGE_BYTES / c->bytes;

        return (uint64_t)(++*number * 37u % n_blocks) * (c->bytes / 512);
}

static void run_requests(struct micro_lane *micro, const struct micro_case *c, unsigned n, bool count)
{
        static uint32_t number;
        uint64_t sectors[MICRO_DEPTH];

        if (!count)
                number = 0;
        for (unsigned done = 0; done < n; done += c->batch) {
                for (unsigned i = 0; i < c->batch; i++)
                        sectors[i] = next_sector(c, &number);
                micro_lane_do(micro, c->type, sectors, c->batch, count);
        }
}

static void run_case(const char *worker, int image, const struct micro_case *c)
{
        static struct micro_lane micro;

        micro_lane_open(&micro, worker, image, c->bytes, c->packed);
        run_requests(&micro, c, WARM_UP, false);
        run_requests(&micro, c, COUNTED, true);
        micro_lane_dump(&micro, c->name);
        micro_lane_close(&micro);
        printf("{\"case\": \"%s\", \"op\": \"%s\", \"bytes\": %u, \"batch\": %u, \"ring\": \"%s\", "
               "\"requests\": %u}\n",
               c->name, c->type == TYPE_IN ? "read" : "write", c->bytes, c->batch,
               c->packed ? "packed" : "split", COUNTED);
        fflush(stdout);
}

static bool wanted(const struct micro_case *c, int argc, char **argv)
{
        for (int i = 2; i < argc; i++)
                if (strcmp(argv[i], c->name) == 0)
                        return true;
        return argc == 2;
}

int main(int argc, char **argv)
{
        int image = memfd_create("image", MFD_CLOEXEC);

        if (argc < 2) {
                fprintf(stderr, "usage: bulkhead-bench-micro WORKER [CASE...]\n");
                return 2;
        }
        if (image < 0 || ftruncate(image, IMAGE_BYTES) < 0) {
                fprintf(stderr, "bulkhead-bench-micro: no image: %s\n", strerror(errno));
                return 1;
        }
        alarm(DEADLINE_S);
        for (size_t i = 0; i < array_size(cases); i++)
                if (wanted(&cases[i], argc, argv))
                        run_case(argv[1], image, &cases[i]);
        return 0;
}
