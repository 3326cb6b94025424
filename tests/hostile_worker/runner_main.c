/* Runs the hostile worker against a broker, attempt by attempt, and says what held.
 *
 * How it works: attempts are taken in pieces, each piece with a throw-away VM of its own, because the broker's log
 * says only so many lines of one kind in a while and the log is what tells why a worker died.
 * Owns the VMs; started by ctest and by `bulkhead attack-demo`. TRUST: as stage.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/checked.h"
#include "tests/hostile_worker/report.h"

#define PIECE 7u /* attempts of one VM, with those of its warm-up: at most LIMIT_LOG_BURST lines of a kind */

static const char usage[] =
    "usage: bulkhead-attack [OPTION...]\n"
    "Starts throw-away VMs whose workers attack, and says what stopped them.\n"
    "\n"
    "  --device TYPE     which worker is hostile: blk (default), rng, tap, stream, passt, console, vsock, "
    "fs; or proxy,\n"
    "                    the companion of a vsock device\n"
    "  --own             only what no disk and no source of entropy could try\n"
    "  --layers SET      all (default); seccomp, spaces or none: needs --tests\n"
    "  --tests DIR       where the test build of the broker is\n"
    "  --only WORD       attempts of one topic (E23) or of keys that begin so (open-)\n"
    "  --except TOPIC    leave one topic out\n"
    "  --sweep FIRST-LAST  the call numbers of E1 to E3; default 0-470\n"
    "  --explain         for a person: say why each attempt matters\n"
    "  --list            print every attempt and its expected ends, and stop\n"
    "  --help            say this and stop\n";

struct options {
        enum layer_set set;
        const char *device; /* a word of kind.c */
        const char *tests, *only, *except;
        unsigned sweep_first, sweep_last;
        bool explain, list, own;
};

/* ---- options ---- */

static int parse_set(const char *word, enum layer_set *ret_set)
{
        for (int set = 0; set < LAYERS_COUNT_; set++)
                if (strcmp(word, layer_set_name((enum layer_set)set)) == 0) {
                        *ret_set = (enum layer_set)set;
                        return 0;
                }
        return -EINVAL;
}

static int parse_device(const char *word, const char **ret_device)
{
        const struct kind *kind;

        for (size_t i = 0; (kind = kind_at(i)); i++)
                if (strcmp(kind->word, word) == 0) {
                        *ret_device = kind->word;
                        return 0;
                }
        return -EINVAL;
}

static int parse_option(int c, struct options *options)
{
        switch (c) {
        case 'd':
                return parse_device(optarg, &options->device);
        case 'L':
                return parse_set(optarg, &options->set);
        case 't':
                options->tests = optarg;
                return 0;
        case 'o':
                options->only = optarg;
                return 0;
        case 'x':
                options->except = optarg;
                return 0;
        case 's':
                return sscanf(optarg, "%u-%u", &options->sweep_first, &options->sweep_last) == 2 ? 0
                                                                                                 : -EINVAL;
        case 'e':
                options->explain = true;
                return 0;
        case 'w':
                options->own = true;
                return 0;
        case 'l':
                options->list = true;
                return 0;
        default:
                return -EINVAL;
        }
}

static int parse_options(int argc, char **argv, struct options *options)
{
        static const struct option known[] = {{"device", required_argument, NULL, 'd'},
                                              {"layers", required_argument, NULL, 'L'},
                                              {"tests", required_argument, NULL, 't'},
                                              {"only", required_argument, NULL, 'o'},
                                              {"except", required_argument, NULL, 'x'},
                                              {"sweep", required_argument, NULL, 's'},
                                              {"explain", no_argument, NULL, 'e'},
                                              {"list", no_argument, NULL, 'l'},
                                              {"own", no_argument, NULL, 'w'},
                                              {"help", no_argument, NULL, 'h'},
                                              {0}};
        int c;

        while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
                if (c == 'h') {
                        fputs(usage, stdout);
                        exit(EXIT_SUCCESS);
                }
                if (parse_option(c, options) < 0)
                        return -EINVAL;
        }
        return optind == argc && (options->set == LAYERS_ALL || options->tests) ? 0 : -EINVAL;
}

/* ---- programs ---- */

static int find_program(const char *dir, const char *name, const char *suffix, char out[static PATH_MAX])
{
        char path[PATH_MAX];

        if (snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix) < PATH_MAX &&
            access(path, X_OK) == 0 && realpath(path, out))
                return 0;
        fprintf(stderr, "%s/%s%s: %s: install bulkhead whole, or build all of it\n", dir, name, suffix,
                strerror(errno));
        return -ENOENT;
}

/* Beside this program; those of the test build are elsewhere and have a suffix. */
static int find_programs(const struct options *options, const struct kind *kind,
                         struct vm_programs *ret_programs)
{
        char own[PATH_MAX];
        ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);
        bool layers = options->set != LAYERS_ALL;
        const char *dir = layers ? options->tests : own, *suffix = layers ? "-layers" : "";
        char name[64];
        int r;

        if (n < 0)
                return -errno;
        own[n] = '\0';
        *strrchr(own, '/') = '\0';
        r = find_program(dir, "bulkhead-broker", suffix, ret_programs->broker);
        if (r == 0)
                r = find_program(dir, "bulkhead-hostile-blk", suffix, ret_programs->blk);
        snprintf(name, sizeof(name), "bulkhead-hostile-%s", kind->type);
        if (r == 0)
                r = find_program(dir, name, suffix, ret_programs->worker);
        ret_programs->companion[0] = '\0';
        if (r < 0 || strcmp(kind->type, "vsock") != 0)
                return r;
        return kind->is_companion
                   ? find_program(dir, "bulkhead-hostile-proxy", suffix, ret_programs->companion)
                   : find_program(own, "bulkhead-vsock-proxy", "", ret_programs->companion);
}

/* ---- running ---- */

static bool is_wanted(const struct options *options, const struct attempt *attempt, const struct kind *kind)
{
        if (!report_applies(attempt, options->set, kind))
                return false;
        if (options->own && attempt->devices & (ON_BOTH | ON_RO))
                return false;
        if (options->except && strcmp(options->except, attempt->topic) == 0)
                return false;
        return !options->only || strcmp(options->only, attempt->topic) == 0 ||
               strncmp(options->only, attempt->key, strlen(options->only)) == 0;
}

/* Signals that end us are kept until the VM under way is put away. */
static void hold_interrupts(sigset_t *ret_set)
{
        sigemptyset(ret_set);
        sigaddset(ret_set, SIGINT);
        sigaddset(ret_set, SIGTERM);
        sigaddset(ret_set, SIGHUP);
        sigprocmask(SIG_BLOCK, ret_set, NULL);
}

static bool is_interrupted(void)
{
        sigset_t pending;

        return sigpending(&pending) == 0 && (sigismember(&pending, SIGINT) ||
                                             sigismember(&pending, SIGTERM) || sigismember(&pending, SIGHUP));
}

/* A VM that was harmed is no ground for the next attempt. */
static void run_attempt(const struct options *options, struct stage *stage, const struct attempt *attempt,
                        struct report *report, bool *ret_spent)
{
        struct attempt wanted = *attempt;
        struct outcome outcome;

        if (strncmp(attempt->key, "sweep", strlen("sweep")) == 0 && options->sweep_last > 0) {
                wanted.number = options->sweep_first | options->sweep_last << 16;
                wanted.what = attempt->what;
        }
        stage_try(stage, &wanted, &outcome);
        report_attempt(report, attempt, &outcome);
        *ret_spent = outcome.harm[0] != '\0' || (attempt->flags & ATTEMPT_SLOW);
}

/* Attempts from *i on, until the VM is spent. */
static int run_piece(const struct options *options, const struct vm_programs *programs,
                     const struct kind *kind, size_t *i, struct report *report)
{
        static struct stage stage;
        const struct attempt *attempt;
        bool spent = false;
        char why[512];
        int r = stage_open(&stage, programs, options->set, kind, why, sizeof(why));

        if (r < 0) {
                fprintf(stderr, "bulkhead-attack: %s\n", why);
                return r;
        }
        report_missing(report, stage.vm.missing);
        for (unsigned n = 0; n < PIECE && !spent && !is_interrupted() && (attempt = attempt_at(*i)); ++*i)
                if (is_wanted(options, attempt, kind)) {
                        run_attempt(options, &stage, attempt, report, &spent);
                        n += attempt->flags & ATTEMPT_PLAY ? 2 : 1;
                }
        report->neighbour_turns += stage.neighbour_turns;
        if (!stage_close(&stage, why, sizeof(why))) {
                fprintf(stderr, "bulkhead-attack: %s\n", why);
                report->failed++;
        }
        return 0;
}

static bool any_left(const struct options *options, const struct kind *kind, size_t *i)
{
        const struct attempt *attempt;

        while ((attempt = attempt_at(*i)) && !is_wanted(options, attempt, kind))
                ++*i;
        return attempt != NULL;
}

static int run_device(const struct options *options, const struct vm_programs *programs,
                      const struct kind *kind, struct report *report)
{
        int r = 0;

        for (size_t i = 0; r == 0 && any_left(options, kind, &i);)
                r = is_interrupted() ? -EINTR : run_piece(options, programs, kind, &i, report);
        return r;
}

/* Each kind of the word: of disks and folders also a read-only one. */
static int run_all(const struct options *options)
{
        struct report report = {.set = options->set,
                                .explain = options->explain,
                                .own = options->own,
                                .rootless = geteuid() != 0};
        struct vm_programs programs;
        const struct kind *first = NULL;
        int r = 0;

        for (size_t i = 0; r == 0 && (report.kind = kind_at(i)); i++) {
                if (strcmp(report.kind->word, options->device) != 0)
                        continue;
                r = find_programs(options, report.kind, &programs);
                if (r < 0)
                        break;
                if (!report.attempts || !report.explain)
                        report_begin(&report);
                r = run_device(options, &programs, report.kind, &report);
                first = first ? first : report.kind;
        }
        report.kind = first; /* what does not apply is counted for it */
        return r == 0 && report_end(&report) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* What this host lacks for it; NULL: nothing. */
static const char *find_lack(const struct options *options)
{
        const struct kind *kind;

        if (options->set != LAYERS_ALL && geteuid() != 0)
                return "root, to take layers away";
        for (size_t i = 0; (kind = kind_at(i)); i++) {
                if (strcmp(kind->word, options->device) != 0)
                        continue;
                if (kind->needs_root && geteuid() != 0)
                        return "root, to have ids";
                if (kind->needs_network && geteuid() != 0)
                        return "root, for a network of its own";
                if (kind->needs_passt && access("/usr/bin/passt", X_OK) < 0)
                        return "passt";
        }
        return NULL;
}

int main(int argc, char **argv)
{
        struct options options = {.set = LAYERS_ALL, .device = "blk"};
        const char *lack;
        sigset_t interrupts;
        int code;

        if (parse_options(argc, argv, &options) < 0) {
                fputs(usage, stderr);
                return 2;
        }
        if (options.list) {
                report_list();
                return EXIT_SUCCESS;
        }
        signal(SIGPIPE, SIG_IGN);
        lack = find_lack(&options);
        if (lack) {
                fprintf(stderr, "skipped: needs %s\n", lack);
                return getenv("MUST_RUN") ? EXIT_FAILURE : 77;
        }
        hold_interrupts(&interrupts);
        code = run_all(&options);
        sigprocmask(SIG_UNBLOCK, &interrupts, NULL); /* and now they end us */
        return code;
}
