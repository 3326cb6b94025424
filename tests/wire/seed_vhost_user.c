/* Writes the fuzzer's corpus: what each dialect says from connect to stop, and every message alone. Usage:
 * seed DIRECTORY TRUST: everything here is our own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/wire/messages.h"

#define HELD_STOP      0xe0 /* device events, see fuzz_vhost_user.c */
#define CHANNEL_OPEN   0xf0
#define CHANNEL_ANSWER 0xf1

/* Request numbers; | NEED asks for an acknowledgement; from 0xe0 on: device events, the next number is what
 * happens. */
#define NEED 0x100

static const int qemu_7_2[] = {1,  15, 16,        17, 36, 21 | NEED, 3,  1,  13,   14,        24, 2,
                               13, 2,  37 | NEED, 8,  10, 9,         12, 18, 0xe0, 4,         18, 11,
                               2,  8,  10,        9,  12, 18,        11, 34, 2,    38 | NEED, -1};
static const int qemu_11_1[] = {1,         15,   16, 17,        36,        21 | NEED, 3,  1, 13 | NEED,
                                14,        24,   2,  13 | NEED, 37 | NEED, 8,         10, 9, 12 | NEED,
                                18 | NEED, 0xe0, 8,  18 | NEED, 11,        34,        -1};
static const int crosvm[] = {1, 3,  2,  15, 16, 17,   21, 24,   25, 2,  5, 8,
                             9, 10, 13, 12, 18, 0xe0, 16, 0xe0, 1,  11, -1};
static const int regions[] = {0xe0, 33, 16,   0xf0, 44,   3,  2,    5,    8,    10,   9,  12,   18, 0xf1, 0,
                              0xe0, 34, 0xf1, 1,    0xe0, 35, 11,   0xf1, 0,    0xe0, 65, 2,    8,  10,   9,
                              12,   18, 0xf1, 0,    0xf1, 1,  0xf1, 0,    0xf1, 0,    34, 0xe0, 36, 2,    8,
                              10,   9,  12,   18,   0xf1, 0,  0xf0, 0xe0, 66,   0xf1, 0,  -1};
static const int session_setup[] = {16, 2, -1};

static void put(FILE *file, int step)
{
        const struct message_example *example = message_example_find((uint32_t)step & 0xff);
        uint8_t need = step & NEED ? 8 : 0;

        if (!example)
                abort();
        fputc((int)example->request, file);
        fputc(need, file); /* version 1 is the zero of this byte */
        fputc(example->fd == MESSAGE_FD_NONE ? 0 : (int)example->fd | 1 << 2, file);
        fputc((int)(example->len & 0xff), file);
        fputc((int)(example->len >> 8), file);
        fwrite(example->payload, 1, example->len, file);
}

static void put_all(FILE *file, const int *steps)
{
        for (; *steps >= 0; steps++) {
                if (*steps == HELD_STOP) {
                        fputc(HELD_STOP, file);
                        fputc(*++steps, file);
                        fwrite("\0\0\0", 1, 3, file);
                } else if (*steps == CHANNEL_OPEN) {
                        fputc(CHANNEL_OPEN, file);
                        fwrite("\0\0\0\0", 1, 4, file);
                } else if (*steps == CHANNEL_ANSWER) {
                        fputc(CHANNEL_ANSWER, file);
                        fwrite("\0\0\0", 1, 3, file);
                        fputc(*++steps, file);
                } else {
                        put(file, *steps);
                }
        }
}

static FILE *create(const char *directory, const char *name)
{
        char path[512];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", directory, name);
        file = fopen(path, "we");
        if (!file)
                abort();
        return file;
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                const int *steps;
        } sequences[] = {
            {"qemu_7_2", qemu_7_2}, {"qemu_11_1", qemu_11_1}, {"crosvm", crosvm}, {"regions", regions}};

        if (argc != 2)
                return 2;
        for (size_t i = 0; i < sizeof(sequences) / sizeof(sequences[0]); i++) {
                FILE *file = create(argv[1], sequences[i].name);

                put_all(file, sequences[i].steps);
                fclose(file);
        }
        for (size_t i = 0; i < n_message_examples; i++) {
                FILE *file = create(argv[1], message_examples[i].name);

                put_all(file, session_setup);
                put(file, (int)message_examples[i].request | NEED);
                fclose(file);
        }
        return 0;
}
