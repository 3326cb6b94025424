/* The options of a network device: the one place that knows them all.
 * Owns nothing; called by what judges and carries configurations, by the spawner's resources and by the worker.
 * TRUST: a set has been judged by these rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proto/device/net.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const carriers[] = {"passt", "tap", "stream", NULL};

_Static_assert(sizeof(carriers) / sizeof(carriers[0]) == NET_CARRIER_COUNT_ + 1, "one name each");

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char)tolower((unsigned char)c);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Six bytes in hex with colons between them; one interface's address. */
static bool parse_mac(const char *text, uint8_t ret_mac[NET_MAC_BYTES])
{
        uint8_t any = 0;

        if (strlen(text) != 3 * NET_MAC_BYTES - 1)
                return false;
        for (unsigned i = 0; i < NET_MAC_BYTES; i++) {
                int high = hex_digit(text[3 * i]), low = hex_digit(text[3 * i + 1]);

                if (high < 0 || low < 0 || (i + 1 < NET_MAC_BYTES && text[3 * i + 2] != ':'))
                        return false;
                ret_mac[i] = (uint8_t)(high << 4 | low);
                any |= ret_mac[i];
        }
        return any != 0 && !(ret_mac[0] & 1);
}

static bool mac_ok(const char *text)
{
        uint8_t mac[NET_MAC_BYTES];

        return text[0] == '\0' || parse_mac(text, mac);
}

/* What the kernel takes for an interface, and no pattern ("tap%d"). */
static bool tap_ok(const char *text)
{
        for (const char *c = text; *c; c++)
                if (!isalnum((unsigned char)*c) && !strchr("_.-", *c))
                        return false;
        return strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

/* One port, or a range of them. Returns what is behind it, NULL: it is none. */
static const char *parse_ports(const char *text)
{
        unsigned long first = 0, last = 0;
        char *end = NULL;

        if (!isdigit((unsigned char)*text))
                return NULL;
        first = last = strtoul(text, &end, 10);
        if (*end == '-' && isdigit((unsigned char)end[1]))
                last = strtoul(end + 1, &end, 10);
        return first >= 1 && first <= last && last <= UINT16_MAX ? end : NULL;
}

/* "tcp/2222:22", "udp/53", "tcp/8000-8010": what the host listens at, and where in the guest it goes. */
static bool forward_ok(const char *text)
{
        const char *at = strncmp(text, "tcp/", 4) == 0 || strncmp(text, "udp/", 4) == 0 ? text + 4 : NULL;

        at = at ? parse_ports(at) : NULL;
        if (at && *at == ':')
                at = parse_ports(at + 1);
        return at && *at == '\0';
}

struct net_options net_options_read(const struct option_set *set)
{
        const struct option_value *value = set->value;
        struct net_options options = {.carrier = (enum net_carrier)value[NET_OPTION_BACKEND].number,
                                      .tap = value[NET_OPTION_TAP].text,
                                      .path = value[NET_OPTION_PATH].text,
                                      .forward = value[NET_OPTION_FORWARD].text,
                                      .pcap = value[NET_OPTION_PCAP].text,
                                      .pcap_max = value[NET_OPTION_PCAP_MAX].number,
                                      .mtu = (uint32_t)value[NET_OPTION_MTU].number};

        options.has_mac = parse_mac(value[NET_OPTION_MAC].text, options.mac);
        return options;
}

/* Each back-end takes one key of these, and only passt can do without. */
static const struct carrier_row {
        enum net_option option;
        bool needed;
        const char *missing, *remedy;
} carrier_rows[NET_CARRIER_COUNT_] = {
    [NET_CARRIER_PASST] = {NET_OPTION_FORWARD, false, NULL, NULL},
    [NET_CARRIER_TAP] = {NET_OPTION_TAP, true, "no interface", "name it with tap"},
    [NET_CARRIER_STREAM] = {NET_OPTION_PATH, true, "no socket to connect to", "name it with path"},
};

int net_options_judge(const struct option_set *set, char *why, size_t why_size)
{
        unsigned carrier = (unsigned)set->value[NET_OPTION_BACKEND].number;

        for (unsigned i = 0; i < NET_CARRIER_COUNT_; i++) {
                const struct carrier_row *row = &carrier_rows[i];
                bool given = set->value[row->option].text[0] != '\0';

                if (i == carrier && row->needed && !given) {
                        snprintf(why, why_size, "backend %s has %s: %s", carriers[i], row->missing,
                                 row->remedy);
                        return -EINVAL;
                }
                if (i != carrier && given) {
                        snprintf(why, why_size, "%s is for backend %s: remove it, or say backend: %s",
                                 net_option_rows[row->option].key, carriers[i], carriers[i]);
                        return -EINVAL;
                }
        }
        return 0;
}

const char *const net_counter_names[NET_COUNTER_COUNT_] = {
    [NET_COUNTER_IN_SHORT] = "in_short",         [NET_COUNTER_IN_LONG] = "in_long",
    [NET_COUNTER_IN_HEADER] = "in_header",       [NET_COUNTER_IN_OFFLOAD] = "in_offload",
    [NET_COUNTER_IN_ROOM] = "in_room",           [NET_COUNTER_IN_FILTERED] = "in_filtered",
    [NET_COUNTER_IN_LINK] = "in_link",           [NET_COUNTER_IN_HOST] = "in_host",
    [NET_COUNTER_IN_LOST] = "in_lost",           [NET_COUNTER_OUT_SHORT] = "out_short",
    [NET_COUNTER_OUT_LONG] = "out_long",         [NET_COUNTER_OUT_HEADER] = "out_header",
    [NET_COUNTER_OUT_OFFLOAD] = "out_offload",   [NET_COUNTER_OUT_ROOM] = "out_room",
    [NET_COUNTER_OUT_FILTERED] = "out_filtered", [NET_COUNTER_OUT_LINK] = "out_link",
    [NET_COUNTER_OUT_HOST] = "out_host",         [NET_COUNTER_OUT_LOST] = "out_lost",
};

const struct option_row net_option_rows[NET_OPTION_COUNT_] = {
    [NET_OPTION_BACKEND] = {.key = "backend", .kind = OPTION_CHOICE, .choices = carriers},
    [NET_OPTION_TAP] = {.key = "tap",
                        .kind = OPTION_TEXT,
                        .of_host = true,
                        .max = NET_TAP_NAME,
                        .ok = tap_ok,
                        .form = "the name of an interface, at most 15 letters, digits and any of _ . -"},
    [NET_OPTION_PATH] = {.key = "path", .kind = OPTION_PATH},
    [NET_OPTION_FORWARD] =
        {.key = "forward",
         .kind = OPTION_TEXTS,
         .of_host = true,
         .max = NET_FORWARDS,
         .ok = forward_ok,
         .form = "tcp/PORTS or udp/PORTS, and :PORTS of the guest behind it where they are others"},
    [NET_OPTION_PCAP] = {.key = "pcap", .kind = OPTION_PATH},
    [NET_OPTION_PCAP_MAX] =
        {.key = "pcap_max", .kind = OPTION_SIZE, .min = 64u << 10, .max = 1u << 30, .preset = 64u << 20},
    [NET_OPTION_MAC] = {.key = "mac",
                        .kind = OPTION_TEXT,
                        .max = 17,
                        .ok = mac_ok,
                        .form = "six bytes like 52:54:00:12:34:56, of one interface"},
    [NET_OPTION_MTU] = {.key = "mtu", .kind = OPTION_NUMBER, .min = 1280, .max = 65535, .preset = 1500},
};
