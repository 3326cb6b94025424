/* What the test guest says, and what it is told: serial port and command line.
 * Owns nothing; called by the bodies of tests. TRUST: it is the guest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/kvm/guest/guest.h"

#include <stddef.h>

extern uint64_t guest_start_info;

/* Xen's hvm_start_info, version 1. */
struct start_info {
        uint32_t magic, version, flags, n_modules;
        uint64_t modules, cmdline, rsdp;
};

void put_char(char c)
{
        out8(0x3f8, (uint8_t)c);
}

void put_text(const char *text)
{
        while (*text)
                put_char(*text++);
}

void put_number(uint64_t value)
{
        char digits[20];
        unsigned n = 0;

        do
                digits[n++] = (char)('0' + value % 10);
        while (value /= 10);
        while (n > 0)
                put_char(digits[--n]);
}

void put_hex(uint64_t value)
{
        bool begun = false;

        put_text("0x");
        for (int shift = 60; shift >= 0; shift -= 4) {
                unsigned digit = value >> shift & 15;

                begun |= digit || shift == 0;
                if (begun)
                        put_char("0123456789abcdef"[digit]);
        }
}

void fail(const char *name, const char *what, uint64_t value)
{
        put_text("FAIL ");
        put_text(name);
        put_text(": ");
        put_text(what);
        put_char(' ');
        put_hex(value);
        put_char('\n');
}

void pass(const char *name, uint64_t value)
{
        put_text("ok ");
        put_text(name);
        put_char(' ');
        put_number(value);
        put_char('\n');
}

char get_char(void)
{
        volatile uint32_t *came = &interrupts[VECTOR_SERIAL];

        apic_enable();
        apic_route(4, VECTOR_SERIAL);
        out8(0x3fc, 0x0b);
        out8(0x3f9, 0x01);
        for (;;) {
                uint32_t seen = *came;

                if (in8(0x3fd) & 1)
                        return (char)in8(0x3f8);
                wait_while(came, seen);
        }
}

static uint64_t parse(const char *at)
{
        uint64_t value = 0;

        if (at[0] == '0' && at[1] == 'x') {
                for (at += 2;; at++) {
                        if (*at >= '0' && *at <= '9')
                                value = value * 16 + (uint64_t)(*at - '0');
                        else if (*at >= 'a' && *at <= 'f')
                                value = value * 16 + (uint64_t)(*at - 'a' + 10);
                        else
                                return value;
                }
        }
        while (*at >= '0' && *at <= '9')
                value = value * 10 + (uint64_t)(*at++ - '0');
        return value;
}

uint64_t option(const char *name, uint64_t otherwise)
{
        const struct start_info *info = (const struct start_info *)guest_start_info;
        const char *at = info && info->magic == 0x336ec578 ? (const char *)info->cmdline : NULL;

        while (at && *at) {
                const char *word = at, *n = name;

                while (*n && *word == *n)
                        word++, n++;
                if (!*n && *word == '=')
                        return parse(word + 1);
                if (!*n && (*word == ' ' || !*word))
                        return 1;
                while (*at && *at != ' ')
                        at++;
                while (*at == ' ')
                        at++;
        }
        return otherwise;
}
