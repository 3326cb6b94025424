/* The bench's command line. Owns nothing. Called by main. TRUST: words of whoever started the bench.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bench_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"

#define VERIFY_AREA (64u << 20) /* every block of it is written before each measurement */

static const char usage[] =
    "Drives vhost-user-blk servers in turn and compares them.\n"
    "\n"
    "    bulkhead_bench_blk --server NAME=SOCKET[,PID...] [--server ...] [--case CASE ...] [options]\n"
    "\n"
    "  --server NAME=SOCKET[,PID...]  whom to drive; the first one's figures are divided by each other's. "
    "CPU time and\n"
    "                                 context switches are those of the PIDs and of all their descendants\n"
    "  --case OP:SIZE:DEPTH[:seq][:queues=N][:packed]   OP: read, write, mixed (7:3); random unless :seq. "
    "Without a\n"
    "                                 case: the rows of the table of bars\n"
    "  --rounds N (5), --seconds S (1), --warm-up S (0.2)   each round drives all servers, in alternating "
    "order\n"
    "  --segment SIZE (64k)           bytes of data that one descriptor names\n"
    "  --area SIZE                    work on the front of the disk only (with --verify 64M)\n"
    "  --client sleep|poll            sleep on the call descriptor, as a guest does (default), or spin on "
    "the ring\n"
    "  --without indirect|event-idx   the driver does not take that feature of the ring\n"
    "  --verify                       stamp what is written, judge what is read: not for figures\n"
    "  --json FILE                    everything measured\n"
    "  --quiet                        no table\n";

static const char *const default_cases[] = {
    "read:4k:1",    "write:4k:1", "read:4k:32",  "write:4k:32", "read:4k:128",
    "write:4k:128", "read:64k:8", "write:64k:8", "read:1M:4",   "write:1M:4",
};

static int complain(const char *what, const char *word)
{
        fprintf(stderr, "bulkhead_bench_blk: %s: %s\n", word, what);
        return -EINVAL;
}

static int add_server(struct bench_options *options, const char *word)
{
        struct bench_server *server = &options->servers[options->n_servers];
        char copy[512], *rest = copy, *name, *pid;

        if (options->n_servers == BENCH_SERVERS_MAX)
                return complain("at most 8 servers", word);
        if ((size_t)snprintf(copy, sizeof(copy), "%s", word) >= sizeof(copy))
                return complain("too long", word);
        name = strsep(&rest, "=");
        if (!rest || strlen(name) >= sizeof(server->name))
                return complain("a server is NAME=SOCKET[,PID...]", word);
        strcpy(server->name, name);
        name = strsep(&rest, ",");
        if (strlen(name) >= sizeof(server->socket))
                return complain("the path of a socket is too long", word);
        strcpy(server->socket, name);
        while ((pid = strsep(&rest, ","))) {
                if (server->n_pids == BENCH_SERVER_PIDS || atoi(pid) <= 0)
                        return complain("at most 8 process ids stand behind the socket", word);
                server->pids[server->n_pids++] = atoi(pid);
        }
        options->n_servers++;
        return 0;
}

static int add_case(struct bench_options *options, const char *word)
{
        const char *why;

        if (options->n_cases == BENCH_CASES_MAX)
                return complain("at most 64 cases", word);
        if (bench_case_parse(word, &options->cases[options->n_cases], &why) < 0)
                return complain(why, word);
        options->n_cases++;
        return 0;
}

static bool parse_seconds(const char *word, double max, double *ret_seconds)
{
        char *end;
        double value = strtod(word, &end);

        if (end == word || *end || !(value >= 0) || value > max)
                return false;
        *ret_seconds = value;
        return true;
}

static bool parse_rounds(const char *word, unsigned *ret_rounds)
{
        unsigned long value = strtoul(word, NULL, 10);

        if (value < 1 || value > BENCH_ROUNDS_MAX)
                return false;
        *ret_rounds = (unsigned)value;
        return true;
}

static bool parse_segment(struct bench_options *options, const char *word)
{
        uint64_t size;

        if (!bench_size_parse(word, &size) || size < 512 || size > BENCH_BLOCK_MAX)
                return false;
        options->segment = (uint32_t)size;
        return true;
}

static bool parse_without(struct bench_options *options, const char *word)
{
        if (strcmp(word, "indirect") == 0)
                options->without |= BLK_RING_F_INDIRECT;
        else if (strcmp(word, "event-idx") == 0)
                options->without |= BLK_RING_F_EVENT_IDX;
        else
                return false;
        return true;
}

static bool parse_client(struct bench_options *options, const char *word)
{
        options->poll = strcmp(word, "poll") == 0;
        return options->poll || strcmp(word, "sleep") == 0;
}

enum {
        SERVER = 1,
        CASE,
        ROUNDS,
        SLICES,
        SECONDS,
        WARM_UP,
        SEGMENT,
        AREA,
        CLIENT,
        WITHOUT,
        VERIFY,
        JSON,
        QUIET,
        HELP
};

static int take_option(struct bench_options *options, int option, const char *word)
{
        bool good = true;

        switch (option) {
        case SERVER:
                return add_server(options, word);
        case CASE:
                return add_case(options, word);
        case ROUNDS:
                good = parse_rounds(word, &options->rounds);
                break;
        case SLICES:
                good = parse_rounds(word, &options->slices);
                break;
        case SECONDS:
                good = parse_seconds(word, 3600, &options->seconds) && options->seconds > 0;
                break;
        case WARM_UP:
                good = parse_seconds(word, 60, &options->warm_up);
                break;
        case SEGMENT:
                good = parse_segment(options, word);
                break;
        case AREA:
                good = bench_size_parse(word, &options->area);
                break;
        case CLIENT:
                good = parse_client(options, word);
                break;
        case WITHOUT:
                good = parse_without(options, word);
                break;
        case VERIFY:
                options->verify = true;
                break;
        case JSON:
                options->json = word;
                break;
        case QUIET:
                options->quiet = true;
                break;
        case HELP:
                fputs(usage, stdout);
                return 1;
        default:
                return -EINVAL;
        }
        return good ? 0 : complain("not a value of this option", word);
}

static int complete(struct bench_options *options)
{
        int r = 0;

        if (options->n_servers == 0)
                return complain("nobody to drive", "--server");
        if (options->verify && options->area == 0)
                options->area = VERIFY_AREA;
        if (options->n_cases > 0)
                return 0;
        for (unsigned i = 0; i < array_size(default_cases) && r == 0; i++)
                r = add_case(options, default_cases[i]);
        return r;
}

int bench_options_parse(int argc, char **argv, struct bench_options *ret_options)
{
        static const struct option known[] = {
            {"server", required_argument, NULL, SERVER},
            {"case", required_argument, NULL, CASE},
            {"rounds", required_argument, NULL, ROUNDS},
            {"slices", required_argument, NULL, SLICES},

            {"seconds", required_argument, NULL, SECONDS},
            {"warm-up", required_argument, NULL, WARM_UP},
            {"segment", required_argument, NULL, SEGMENT},
            {"area", required_argument, NULL, AREA},
            {"client", required_argument, NULL, CLIENT},
            {"without", required_argument, NULL, WITHOUT},
            {"verify", no_argument, NULL, VERIFY},
            {"json", required_argument, NULL, JSON},
            {"quiet", no_argument, NULL, QUIET},
            {"help", no_argument, NULL, HELP},
            {NULL, 0, NULL, 0},
        };
        struct bench_options *options = ret_options;
        int option, r = 0;

        *options = (struct bench_options){
            .rounds = 5, .slices = 4, .seconds = 1, .warm_up = 0.05, .segment = 64u << 10};
        while (r == 0 && (option = getopt_long(argc, argv, "", known, NULL)) != -1)
                r = take_option(options, option, optarg);
        if (r == 0 && optind < argc)
                r = complain("not an option", argv[optind]);
        return r == 0 ? complete(options) : r;
}
