/* The tables of attempts against themselves and against the published list.
 * TRUST: sees no foreign bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hostile_worker/attempt.h"
#include "tests/hostile_worker/command.h"

#define ATTEMPTS_MIN 300 /* the documents say so */

static unsigned count_attempts(const char *topic)
{
        const struct attempt *attempt;
        unsigned n = 0;

        for (size_t i = 0; (attempt = attempt_at(i)); i++)
                n += !topic || strcmp(attempt->topic, topic) == 0;
        return n;
}

static void every_row_of_the_list_is_there_in_order(void **state)
{
        (void)state;
        assert_int_equal(n_topics, TOPICS_PUBLISHED + TOPICS_OWN);
        for (size_t i = 0; i < n_topics; i++) {
                char id[24];

                snprintf(id, sizeof(id), i < TOPICS_PUBLISHED ? "E%zu" : "D%zu",
                         i < TOPICS_PUBLISHED ? i + 1 : i + 1 - TOPICS_PUBLISHED);
                assert_string_equal(topics[i].id, id);
                assert_ptr_equal(topic_find(id), &topics[i]);
        }
        assert_null(topic_find("E89"));
}

static void every_topic_has_attempts_or_a_reason_for_none(void **state)
{
        (void)state;
        for (size_t i = 0; i < n_topics; i++) {
                assert_true(strlen(topics[i].title) > 0 && strlen(topics[i].why) > 10);
                if (topics[i].none ? count_attempts(topics[i].id) != 0 : count_attempts(topics[i].id) == 0)
                        fail_msg("%s has %u attempts", topics[i].id, count_attempts(topics[i].id));
        }
        assert_true(count_attempts(NULL) >= ATTEMPTS_MIN);
}

static void every_attempt_is_well_formed(void **state)
{
        const struct attempt *attempt;

        (void)state;
        for (size_t i = 0; (attempt = attempt_at(i)); i++) {
                if (!topic_find(attempt->topic) || strlen(attempt->key) >= COMMAND_KEY || !attempt->what[0] ||
                    !attempt->devices || !attempt->filtered || !attempt->behind)
                        fail_msg("%s %s is not whole", attempt->topic, attempt->key);
                /* With the filter nobody is killed by it and spared by it at once. */
                if ((attempt->filtered & END_SIGSYS) && attempt->filtered != END_SIGSYS)
                        fail_msg("%s: killed or not?", attempt->key);
        }
}

/* A row that is there twice for one device would be counted twice. */
static void no_attempt_is_there_twice(void **state)
{
        const struct attempt *a, *b;

        (void)state;
        for (size_t i = 0; (a = attempt_at(i)); i++)
                for (size_t j = 0; j < i && (b = attempt_at(j)); j++)
                        if (strcmp(a->key, b->key) == 0 && a->number == b->number && a->devices & b->devices)
                                fail_msg("%s %llu is there twice", a->key, (unsigned long long)a->number);
}

static void names_of_ends_are_joined(void **state)
{
        char text[64];

        (void)state;
        assert_string_equal(attempt_ends_text(0, text, sizeof(text)), "");
        assert_string_equal(attempt_ends_text(END_SIGSYS, text, sizeof(text)), "SIGSYS");
        assert_string_equal(attempt_ends_text(END_BROKER | END_BOUNDED, text, sizeof(text)),
                            "PROTO_KILL|BOUNDED");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(every_row_of_the_list_is_there_in_order),
            cmocka_unit_test(every_topic_has_attempts_or_a_reason_for_none),
            cmocka_unit_test(every_attempt_is_well_formed),
            cmocka_unit_test(no_attempt_is_there_twice),
            cmocka_unit_test(names_of_ends_are_joined),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
