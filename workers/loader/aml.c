/* ACPI machine language, as much of it as our DSDT has.
 * Owns nothing; called by acpi.c. TRUST: everything here is our own or the broker's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "workers/loader/aml.h"

#include <string.h>

#include "proto/base/bytes.h"

/* ACPI 6.5, 20.2: opcodes and prefixes. */
#define OP_NAME     0x08
#define OP_BYTE     0x0a
#define OP_WORD     0x0b
#define OP_DWORD    0x0c
#define OP_STRING   0x0d
#define OP_SCOPE    0x10
#define OP_BUFFER   0x11
#define OP_PACKAGE  0x12
#define OP_EXTENDED 0x5b
#define OP_DEVICE   0x82

#define LENGTH_BYTES 3u /* a PkgLength of 20 bits, whatever the length is: it is filled in afterwards */
#define END_TAG      0x79

void aml_init(struct aml *aml, uint8_t *bytes, size_t size)
{
        *aml = (struct aml){.bytes = bytes, .size = size};
}

void aml_bytes(struct aml *aml, const void *bytes, size_t len)
{
        if (len > aml->size - aml->len) {
                aml->full = true;
                return;
        }
        memcpy(aml->bytes + aml->len, bytes, len);
        aml->len += len;
}

static void aml_byte(struct aml *aml, uint8_t byte)
{
        aml_bytes(aml, &byte, 1);
}

/* Returns the place of the length, which counts itself and all behind it. */
static size_t aml_open(struct aml *aml)
{
        static const uint8_t later[LENGTH_BYTES];
        size_t at = aml->len;

        aml_bytes(aml, later, sizeof(later));
        return at;
}

void aml_close(struct aml *aml, size_t opened)
{
        size_t len = aml->len - opened;
        uint8_t *at = aml->bytes + opened;

        if (aml->full)
                return;
        at[0] = (uint8_t)((LENGTH_BYTES - 1) << 6 | (len & 0xf));
        at[1] = (uint8_t)(len >> 4);
        at[2] = (uint8_t)(len >> 12);
}

size_t aml_open_scope(struct aml *aml, const char *path)
{
        size_t opened;

        aml_byte(aml, OP_SCOPE);
        opened = aml_open(aml);
        aml_bytes(aml, path, strlen(path));
        return opened;
}

size_t aml_open_device(struct aml *aml, const char name[static 4])
{
        size_t opened;

        aml_byte(aml, OP_EXTENDED);
        aml_byte(aml, OP_DEVICE);
        opened = aml_open(aml);
        aml_bytes(aml, name, 4);
        return opened;
}

static void aml_name(struct aml *aml, const char name[static 4])
{
        aml_byte(aml, OP_NAME);
        aml_bytes(aml, name, 4);
}

void aml_name_string(struct aml *aml, const char name[static 4], const char *value)
{
        aml_name(aml, name);
        aml_byte(aml, OP_STRING);
        aml_bytes(aml, value, strlen(value) + 1);
}

void aml_name_eisa_id(struct aml *aml, const char name[static 4], uint32_t id)
{
        uint8_t bytes[4];

        aml_name(aml, name);
        aml_byte(aml, OP_DWORD);
        bytes_store32(bytes, id);
        aml_bytes(aml, bytes, sizeof(bytes));
}

void aml_name_byte(struct aml *aml, const char name[static 4], uint8_t value)
{
        aml_name(aml, name);
        aml_byte(aml, OP_BYTE);
        aml_byte(aml, value);
}

void aml_name_byte_package(struct aml *aml, const char name[static 4], const uint8_t *values, uint8_t n)
{
        size_t opened;

        aml_name(aml, name);
        aml_byte(aml, OP_PACKAGE);
        opened = aml_open(aml);
        aml_byte(aml, n);
        for (uint8_t i = 0; i < n; i++) {
                aml_byte(aml, OP_BYTE);
                aml_byte(aml, values[i]);
        }
        aml_close(aml, opened);
}

/* ---- resource templates (ACPI 6.5, 6.4): a buffer whose size, a word, is filled in at its end ---- */

#define BUFFER_SIZE_BYTES 3u /* prefix and word */

size_t aml_open_resources(struct aml *aml)
{
        static const uint8_t later[BUFFER_SIZE_BYTES] = {OP_WORD};
        size_t opened;

        aml_name(aml, "_CRS");
        aml_byte(aml, OP_BUFFER);
        opened = aml_open(aml);
        aml_bytes(aml, later, sizeof(later));
        return opened;
}

void aml_close_resources(struct aml *aml, size_t opened)
{
        static const uint8_t end[] = {END_TAG, 0}; /* 0: no checksum */
        size_t start = opened + LENGTH_BYTES + BUFFER_SIZE_BYTES;

        aml_bytes(aml, end, sizeof(end));
        if (aml->full)
                return;
        bytes_store16(aml->bytes + start - 2, (uint16_t)(aml->len - start));
        aml_close(aml, opened);
}

/* 6.4.3.4; read-write. */
void aml_memory32(struct aml *aml, uint32_t start, uint32_t len)
{
        uint8_t bytes[12] = {0x86, 9, 0, 1};

        bytes_store32(bytes + 4, start);
        bytes_store32(bytes + 8, len);
        aml_bytes(aml, bytes, sizeof(bytes));
}

/* 6.4.2.5; 16 bits are decoded. */
void aml_ports(struct aml *aml, uint16_t start, uint8_t len)
{
        uint8_t bytes[8] = {0x47, 1};

        bytes_store16(bytes + 2, start);
        bytes_store16(bytes + 4, start);
        bytes[6] = 1; /* alignment */
        bytes[7] = len;
        aml_bytes(aml, bytes, sizeof(bytes));
}

/* 6.4.3.6; a consumer's. */
void aml_interrupt_edge(struct aml *aml, uint32_t gsi)
{
        uint8_t bytes[9] = {0x89, 6, 0, 0x03, 1};

        bytes_store32(bytes + 5, gsi);
        aml_bytes(aml, bytes, sizeof(bytes));
}
