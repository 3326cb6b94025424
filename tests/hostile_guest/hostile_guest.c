/* The hostile guest: runs every named ring and every bad message against a running broker, and judges the broker
 * after each. tests/hostile_guest/with_vm starts one.
 *
 *   hostile_guest [rings|messages] [--part K/N] [TEXT]
 *   hostile_guest --list [rings|messages]     each case: "group name"
 *   hostile_guest --groups                    each group: how many cases, which bugs of others they try
 *
 * TEXT: only cases whose "kind.group.name" holds it. --part: the K-th of N parts, to be run at the same time.
 *
 * BULKHEAD_RUN_DIR, BULKHEAD_VM: the broker. BULKHEAD_TIME_FACTOR stretches deadlines; BULKHEAD_SANITIZED=1 says
 * that the broker keeps what it frees for a while. TRUST: this is the hostile side.
 * SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/checked.h"
#include "tests/hostile_guest/history.h"
#include "tests/hostile_guest/message_case.h"
#include "tests/hostile_guest/ring_case.h"

struct tally {
        unsigned n, failed, legal;
        unsigned by_outcome[32];
        double slowest_ms;
        char slowest[128];
};

static unsigned part = 0, n_parts = 1;
static struct ring_list rings;
static struct message_list messages;
static struct oracle oracle;

static bool chosen(unsigned index, const char *kind, const char *group, const char *name, const char *text)
{
        char whole[192];

        if (index / 2 % n_parts != part) /* in pairs: a case for both devices stays together */
                return false;

        snprintf(whole, sizeof(whole), "%s.%s.%s", kind, group, name);
        return !text || strstr(whole, text);
}

static void make_lists(void)
{
        rings_chain_list(&rings);
        rings_index_list(&rings);
        rings_indirect_list(&rings);
        rings_address_list(&rings);
        rings_blk_list(&rings);
        rings_geometry_list(&rings);
        rings_state_list(&rings);
        rings_moving_list(&rings);
        rings_packed_list(&rings);
        messages_form_list(&messages);
        messages_value_list(&messages);
}

/* Rings first, then messages. */
struct listed {
        const char *kind, *group, *name;
};

static struct listed listed_at(unsigned i)
{
        if (i < rings.n)
                return (struct listed){"ring", rings.cases[i].group, rings.cases[i].name};
        i -= rings.n;
        return (struct listed){"message", messages.cases[i].group, messages.cases[i].name};
}

static bool same_group(struct listed a, struct listed b)
{
        return strcmp(a.kind, b.kind) == 0 && strcmp(a.group, b.group) == 0;
}

static void print_list(const char *what)
{
        for (unsigned i = 0; i < rings.n + messages.n; i++) {
                struct listed l = listed_at(i);

                if (strcmp(what, "all") == 0 || strncmp(what, l.kind, strlen(l.kind)) == 0)
                        printf("%s.%s %s\n", l.kind, l.group, l.name);
        }
}

static bool print_group(struct listed l, unsigned n)
{
        char group[64];
        const char *was;

        snprintf(group, sizeof(group), "%s.%s", l.kind, l.group);
        was = history_of(group);
        printf("| %s | %u | %s |\n", group, n, was ? was : "no word of it in history.c");
        return was != NULL;
}

/* A row a group, in the order of their first cases. */
static bool print_groups(void)
{
        bool all = true;

        for (unsigned i = 0; i < rings.n + messages.n; i++) {
                unsigned n = 0, before = 0;

                for (unsigned j = 0; j < rings.n + messages.n; j++)
                        if (same_group(listed_at(i), listed_at(j))) {
                                n++;
                                before += j < i;
                        }
                if (before == 0 && !print_group(listed_at(i), n))
                        all = false;
        }
        return all;
}

static void count(struct tally *tally, const char *kind, const char *group, const char *name,
                  const struct verdict *verdict, bool legal, bool good)
{
        tally->n++;
        tally->failed += !good;
        tally->legal += legal;
        tally->by_outcome[verdict->outcome]++;
        if (verdict->ms > tally->slowest_ms) {
                tally->slowest_ms = verdict->ms;
                snprintf(tally->slowest, sizeof(tally->slowest), "%s.%s", group, name);
        }
        if (good)
                printf("ok %u - %s.%s.%s: %s in %.1f ms\n", tally->n, kind, group, name,
                       outcome_name(verdict->outcome), verdict->ms);
        else
                printf("not ok %u - %s.%s.%s: %s\n", tally->n, kind, group, name, verdict->why);
        fflush(stdout);
}

static void run_rings(struct tally *tally, const char *text)
{
        for (unsigned i = 0; i < rings.n; i++) {
                const struct ring_case *c = &rings.cases[i];
                struct verdict verdict;

                if (chosen(i, "ring", c->group, c->name, text)) {
                        bool good = ring_case_run(&oracle, c, &verdict);

                        count(tally, "ring", c->group, c->name, &verdict, c->expect == OUTCOME_SERVED, good);
                }
        }
}

static void run_messages(struct tally *tally, const char *text)
{
        for (unsigned i = 0; i < messages.n; i++) {
                const struct message_case *c = &messages.cases[i];
                struct verdict verdict;

                if (chosen(i, "message", c->group, c->name, text)) {
                        bool good = message_case_run(&oracle, c, &verdict);

                        count(tally, "message", c->group, c->name, &verdict, strcmp(c->group, "good") == 0,
                              good);
                }
        }
}

static void print_tally(const char *kind, const struct tally *tally)
{
        static const enum outcome outcomes[] = {OUTCOME_SERVED,  OUTCOME_BROKEN,  OUTCOME_DROPPED,
                                                OUTCOME_REFUSED, OUTCOME_IGNORED, OUTCOME_NOTHING};

        if (tally->n == 0)
                return;
        printf("# %u %s (%u of them legal)", tally->n, kind, tally->legal);
        for (size_t i = 0; i < array_size(outcomes); i++)
                if (tally->by_outcome[outcomes[i]] > 0)
                        printf(", %u %s", tally->by_outcome[outcomes[i]], outcome_name(outcomes[i]));
        printf("; slowest verdict %.1f ms (%s)\n", tally->slowest_ms, tally->slowest);
}

static int run(const char *what, const char *text)
{
        const char *run_dir = getenv("BULKHEAD_RUN_DIR"), *vm = getenv("BULKHEAD_VM");
        struct tally of_rings = {0}, of_messages = {0};
        struct process_view now;
        char why[512];

        if (!run_dir || !vm) {
                fprintf(stderr, "skipped: BULKHEAD_RUN_DIR and BULKHEAD_VM are not set\n");
                return 77;
        }
        if (oracle_open(&oracle, run_dir, vm, why, sizeof(why)) < 0) {
                printf("not ok - the broker is not as it should be at the start: %s\n", why);
                return 1;
        }
        if (strcmp(what, "messages") != 0)
                run_rings(&of_rings, text);
        if (strcmp(what, "rings") != 0)
                run_messages(&of_messages, text);
        print_tally("rings", &of_rings);
        print_tally("messages", &of_messages);
        if (process_view_take(oracle.broker, &now) == 0) {
                now.maps = oracle.sanitized ? oracle.before.maps : now.maps;
                process_view_explain(&oracle.before, &now, why, sizeof(why));
                printf("# broker %d: %s; the neighbour had %llu requests served\n", (int)oracle.broker, why,
                       (unsigned long long)oracle.neighbour.n_requests);
        }
        oracle_close(&oracle);
        printf("1..%u\n", of_rings.n + of_messages.n);
        if (of_rings.n + of_messages.n == 0)
                printf("not ok - there is no such case\n");
        return of_rings.failed + of_messages.failed > 0 || of_rings.n + of_messages.n == 0;
}

int main(int argc, char **argv)
{
        const char *what = "all", *text = NULL;
        bool list = false, groups = false;

        signal(SIGPIPE, SIG_IGN);
        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--list") == 0)
                        list = true;
                else if (strcmp(argv[i], "--groups") == 0)
                        groups = true;
                else if (strcmp(argv[i], "rings") == 0 || strcmp(argv[i], "messages") == 0)
                        what = argv[i];
                else if (strcmp(argv[i], "--part") == 0 && i + 1 < argc &&
                         sscanf(argv[i + 1], "%u/%u", &part, &n_parts) == 2 && part >= 1 && part <= n_parts)
                        part--, i++;
                else
                        text = argv[i];
        }
        make_lists();
        if (groups)
                return print_groups() ? 0 : 1;
        if (!list)
                return run(what, text);
        print_list(what);
        return 0;
}
