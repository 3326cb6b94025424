/* The cached config space.
 * Owns the fields' current values; called by device.c on the main thread. TRUST: fields were judged by
 * control_check; offsets and bytes of reads and writes are a guest's or a VMM's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/core/config_space.h"

#include <errno.h>
#include <string.h>

#include "proto/base/checked.h"

void config_space_init(struct config_space *space, const struct control_hello *hello)
{
        space->n_fields = hello->n_fields;
        space->size = 0;
        memcpy(space->fields, hello->fields, hello->n_fields * sizeof(space->fields[0]));
        if (hello->n_fields > 0) {
                const struct control_field *last = &hello->fields[hello->n_fields - 1];

                space->size = (uint32_t)last->offset + last->width;
        }
}

static bool value_fits(uint64_t value, uint8_t width)
{
        return width >= 8 || value >> (8 * width) == 0;
}

int config_space_update(struct config_space *space, const uint64_t *values, size_t n, bool *ret_changed)
{
        bool changed = false;

        if (n != space->n_fields)
                return -EPROTO;
        for (size_t i = 0; i < n; i++)
                if (!value_fits(values[i], space->fields[i].width))
                        return -EPROTO;
        for (size_t i = 0; i < n; i++) {
                changed |= space->fields[i].value != values[i];
                space->fields[i].value = values[i];
        }
        *ret_changed = changed;
        return 0;
}

/* Where the byte of weight 256^i lies in a field. */
static uint32_t byte_at(const struct control_field *field, uint8_t i, bool big_endian)
{
        return (uint32_t)field->offset + (big_endian ? field->width - 1u - i : i);
}

int config_space_read(const struct config_space *space, bool big_endian, uint32_t offset, uint32_t len,
                      uint8_t *ret_bytes)
{
        uint8_t image[LIMIT_CONFIG_BYTES] = {0};

        if (!range_inside(offset, len, sizeof(image)))
                return -EINVAL;
        for (uint32_t i = 0; i < space->n_fields; i++) {
                const struct control_field *field = &space->fields[i];

                for (uint8_t byte = 0; byte < field->width; byte++)
                        image[byte_at(field, byte, big_endian)] = (uint8_t)(field->value >> (8 * byte));
        }
        memcpy(ret_bytes, image + offset, len);
        return 0;
}

/* Which bytes of the field are written: all, or, by the legacy interface, some. */
static bool hits(const struct control_field *field, bool parts, uint32_t offset, uint32_t len)
{
        if (!field->writable || len == 0)
                return false;
        if (parts)
                return offset >= field->offset && range_inside(offset - field->offset, len, field->width);
        return field->offset == offset && field->width == len;
}

int config_space_judge_write(const struct config_space *space, const struct config_order *order,
                             uint32_t offset, uint32_t len, const uint8_t *bytes, uint32_t *ret_field,
                             uint64_t *ret_value)
{
        for (uint32_t i = 0; i < space->n_fields; i++) {
                const struct control_field *field = &space->fields[i];
                uint64_t value = field->value;

                if (!hits(field, order->parts, offset, len))
                        continue;
                for (uint8_t byte = 0; byte < field->width; byte++) {
                        uint32_t at = byte_at(field, byte, order->big_endian);

                        if (at < offset || at - offset >= len)
                                continue;
                        value &= ~(UINT64_C(0xff) << (8 * byte));
                        value |= (uint64_t)bytes[at - offset] << (8 * byte);
                }
                *ret_field = i;
                *ret_value = value;
                return 0;
        }
        return -EINVAL;
}

void config_space_set(struct config_space *space, uint32_t field, uint64_t value)
{
        space->fields[field].value = value;
}
