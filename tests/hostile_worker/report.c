/* What the runner prints.
 * Owns nothing; called by the runner. TRUST: texts of outcomes hold words of the broker's log, which are escaped
 * there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/hostile_worker/report.h"

#include <stdio.h>
#include <string.h>

#include "proto/base/checked.h"

#define WORKS_WITHOUT_JAIL 60u /* attempts that must work there, or the others show nothing */
#define OWN_WORK_WITHOUT_JAIL                                                                                \
        4u /* one in so many of what only one device can try: much of that its descriptors refuse */

unsigned report_expected(const struct attempt *attempt, enum layer_set set, const struct kind *kind)
{
        switch (set) {
        case LAYERS_ALL:
                return attempt->filtered;
        case LAYERS_SECCOMP:
                return attempt->filtered | (attempt->flags & ATTEMPT_LIMIT ? END_OWN : 0);
        case LAYERS_SPACES:
                return attempt->unfiltered |
                       (attempt->flags & ATTEMPT_ROOT && kind->on & ON_ROOTED ? END_OWN : 0);
        case LAYERS_NONE:
        case LAYERS_COUNT_:
                break;
        }
        return 0;
}

bool report_applies(const struct attempt *attempt, enum layer_set set, const struct kind *kind)
{
        if (!(attempt->devices & kind->on))
                return false;
        if (set == LAYERS_NONE)
                return !(attempt->flags & (ATTEMPT_HURTS | ATTEMPT_BROKER | ATTEMPT_PLAY));
        return report_expected(attempt, set, kind) != 0;
}

static const char *const set_text[] = {
    [LAYERS_ALL] = "all layers of the jail",
    [LAYERS_SECCOMP] = "the system call filter alone",
    [LAYERS_SPACES] = "namespaces, capabilities and Landlock alone",
    [LAYERS_NONE] = "no jail at all",
};
_Static_assert(array_size(set_text) == LAYERS_COUNT_, "words for each set");

static const char intro[] =
    "A guest has broken into its block worker. From in there it now tries to get out: to the host, to the\n"
    "broker, to other devices. Every line is one attempt, each in a fresh worker of a throw-away VM with a\n"
    "guest of its own; beside it stands what stopped it. No running VM is touched.\n"
    "\n"
    "  killed by the kernel   the call is not among those that a block worker needs; the kernel ended it\n"
    "  killed by the broker   the message broke a rule; the broker ended it before doing anything of it\n"
    "  refused                tried, and denied\n"
    "Whatever has killed the worker, the request that it held is done by its successor.\n";

void report_begin(struct report *report)
{
        if (!report->explain) {
                printf("hostile worker (%s) with %s\n", report->kind->text, set_text[report->set]);
                return;
        }
        fputs(intro, stdout);
        printf("%s\n",
               report->rootless
                   ? "\nStarted by an ordinary user: weaker than as root, because all processes are the same "
                     "host user."
                   : "\nStarted by root: each worker is a host user of its own.");
}

void report_missing(struct report *report, const char *missing)
{
        if (report->explain && !report->missing_told && missing[0])
                printf("Layers that are not to be had here: %s.\n", missing);
        report->missing_told = true;
}

static const char *held_text(const struct report *report, const struct outcome *outcome, bool held)
{
        if (outcome->harm[0])
                return "HARM";
        if (report->set == LAYERS_NONE)
                return outcome->worked ? "works" : "fails";
        return held ? "held" : "NOT HELD";
}

static void begin_topic(struct report *report, const struct topic *topic)
{
        if (report->topic == topic)
                return;
        report->topic = topic;
        report->topics_tried++;
        report->topics_held++;
        report->topic_held = true;
        if (report->explain)
                printf("\n%-4s %s: %s\n", topic->id, topic->title, topic->why);
}

static void count_end(struct report *report, unsigned end)
{
        for (unsigned i = 0; i < array_size(report->ends); i++)
                if (end & (1u << i)) {
                        report->ends[i]++;
                        return;
                }
}

/* "done" needs a word on why that is no harm. */
static const char *explain_end(const struct attempt *attempt, const struct outcome *outcome)
{
        if (outcome->harm[0])
                return outcome->harm;
        if (outcome->end == END_CRASH)
                return "the worker ended, and was replaced";
        if (strncmp(outcome->said, "done", strlen("done")) != 0)
                return outcome->said;
        if (attempt->flags & ATTEMPT_GOOD)
                return "allowed, as it should be";
        if (attempt->filtered & END_BOUNDED)
                return "done, at a bounded cost: the broker is as before, the other disk was served";
        return "done: nothing but itself is any different";
}

/* What stands behind the filter is worth a word where it would have refused by itself. */
static void explain_line(const struct attempt *attempt, const struct outcome *outcome)
{
        bool behind = outcome->end == END_SIGSYS && attempt->unfiltered == END_ERRNO && attempt->behind[0];

        printf("     %-46s %s%s%s\n", attempt->what, explain_end(attempt, outcome),
               behind ? "; behind that: " : "", behind ? attempt->behind : "");
}

void report_attempt(struct report *report, const struct attempt *attempt, const struct outcome *outcome)
{
        unsigned expected = report_expected(attempt, report->set, report->kind);
        bool held = !outcome->harm[0] && (report->set == LAYERS_NONE || (outcome->end & expected));

        begin_topic(report, topic_find(attempt->topic));
        report->attempts++;
        report->held += held;
        report->failed += !held;
        report->worked += outcome->worked && !outcome->harm[0];
        if (!held && report->topic_held) {
                report->topic_held = false;
                report->topics_held--;
        }
        if (held)
                count_end(report, outcome->end & expected);
        if (report->explain)
                explain_line(attempt, outcome);
        else
                printf("%-4s %-24s %-8s %s%s%s\n", attempt->topic, attempt->key,
                       held_text(report, outcome, held), outcome->said, outcome->harm[0] ? " HARM: " : "",
                       outcome->harm);
        if (!held && report->explain)
                printf("     ^^^ NOT HELD\n");
        fflush(stdout);
}

/* Rows that nothing is tried for by a device of this kind. */
static unsigned count_none(const struct kind *kind)
{
        unsigned n = 0;

        for (size_t i = 0; i < n_topics; i++) {
                const struct attempt *attempt;
                bool any = false;

                for (size_t k = 0; !any && (attempt = attempt_at(k)); k++)
                        any = strcmp(attempt->topic, topics[i].id) == 0 && attempt->devices & kind->on;
                n += !any;
        }
        return n;
}

static bool end_without_jail(const struct report *report)
{
        const unsigned must = report->own ? report->attempts / OWN_WORK_WITHOUT_JAIL : WORKS_WITHOUT_JAIL;

        printf("%u of %u attempts work without a jail; %u must\n", report->worked, report->attempts, must);
        return report->failed == 0 && report->worked > 0 && report->worked >= must;
}

bool report_end(struct report *report)
{
        static const char *const words[] = {
            "killed by the kernel", "refused", "killed by the broker", "ignored", "bounded", "harmless",
            "ended itself"};
        const char *comma = "";

        if (report->set == LAYERS_NONE)
                return end_without_jail(report);
        printf("\n");
        for (unsigned i = 0; i < array_size(words); i++)
                if (report->ends[i] > 0) {
                        printf("%s%u %s", comma, report->ends[i], words[i]);
                        comma = ", ";
                }
        printf("; the disk beside it was served %llu times meanwhile\n",
               (unsigned long long)report->neighbour_turns);
        printf("%zu listed, %u do not apply, %u tried, %u held; %u attempts, %u held\n", n_topics,
               count_none(report->kind), report->topics_tried, report->topics_held, report->attempts,
               report->held);
        return report->failed == 0 && report->attempts > 0;
}

/* Words of --device, joined by commas. */
static const char *devices_text(uint16_t devices, char *out, size_t size)
{
        const struct kind *kind;
        const char *last = "";
        size_t len = 0;

        out[0] = '\0';
        for (size_t i = 0; (kind = kind_at(i)); i++)
                if (devices & kind->on && strcmp(last, kind->word) != 0 && len < size) {
                        len += (size_t)snprintf(out + len, size - len, "%s%s", len ? "," : "", kind->word);
                        last = kind->word;
                }
        return out;
}

void report_list(void)
{
        char filtered[64], unfiltered[64], devices[128];
        const struct attempt *attempt;

        for (size_t i = 0; i < n_topics; i++)
                if (topics[i].none)
                        printf("%s\t-\t%s\t-\tNA\tNA\t%s: %s\n", topics[i].id,
                               attempt_group_name(topics[i].group), topics[i].title, topics[i].why);
        for (size_t i = 0; (attempt = attempt_at(i)); i++)
                printf("%s\t%s\t%s\t%s\t%s\t%s\t%s\n", attempt->topic, attempt->key,
                       attempt_group_name(topic_find(attempt->topic)->group),
                       devices_text(attempt->devices, devices, sizeof(devices)),
                       attempt_ends_text(attempt->filtered, filtered, sizeof(filtered)),
                       attempt_ends_text(attempt->unfiltered, unfiltered, sizeof(unfiltered)), attempt->what);
}
