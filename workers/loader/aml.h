/* ACPI machine language, as much of it as our DSDT has (ACPI 6.5, 20), written into a buffer from its beginning on. What
 * does not fit is left out and remembered.
 * SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
        uint8_t *bytes;
        size_t len, size;
        bool full; /* something did not fit: the bytes are of no use */
};

void aml_init(struct aml *aml, uint8_t *bytes, size_t size);

void aml_bytes(struct aml *aml, const void *bytes, size_t len);

/* Opens a package that begins with `opcode` (one byte, or two with the first one 0x5b); what comes next until aml_close
 * belongs to it. Returns what aml_close wants. */
size_t aml_open_scope(struct aml *aml, const char *path);
size_t aml_open_device(struct aml *aml, const char name[static 4]);
size_t aml_open_resources(struct aml *aml); /* Name(_CRS, ResourceTemplate) */
void aml_close(struct aml *aml, size_t opened);
void aml_close_resources(struct aml *aml, size_t opened);

/* Name(name, ...) */
void aml_name_string(struct aml *aml, const char name[static 4], const char *value);
void aml_name_eisa_id(struct aml *aml, const char name[static 4], uint32_t id);
void aml_name_byte(struct aml *aml, const char name[static 4], uint8_t value);
void aml_name_byte_package(struct aml *aml, const char name[static 4], const uint8_t *values, uint8_t n);

/* Of a resource template. */
void aml_memory32(struct aml *aml, uint32_t start, uint32_t len);
void aml_ports(struct aml *aml, uint16_t start, uint8_t len);
void aml_interrupt_edge(struct aml *aml, uint32_t gsi); /* active high, exclusive */
