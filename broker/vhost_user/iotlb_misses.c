/* Translations that the device misses, and the front end is asked for.
 * Owns the questions and a timer; the channel is the session's. Called by the session. With it, it is an edge: it logs a front end that
 * does not reply, or cannot be asked. TRUST: replies are the front end's: a wrong one costs its own guest the device.
 * SPDX-License-Identifier: Apache-2.0 */
#include "broker/vhost_user/iotlb_misses.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/limits.h"
#include "proto/base/log.h"

struct question {
        uint64_t iova, number;
        unsigned rights;
        bool answered; /* or asked once more, or void: the reply tells nothing */
};

struct iotlb_misses {
        uv_timer_t timer; /* a reply is late; or nobody can be asked */
        struct device *device;
        struct backend_channel *channel; /* NULL: none */
        bool late;                       /* it has been logged, and no reply has come since */
        uint64_t n_ever;
        struct question asked[LIMIT_IOTLB_MISSES]; /* whose replies are awaited, the oldest first */
        unsigned first, n_asked;
        struct question line[LIMIT_IOTLB_MISSES]; /* to be asked */
        unsigned n_line;
};

/* ---- the questions ---- */

static struct question *asked_at(struct iotlb_misses *misses, unsigned i)
{
        return &misses->asked[(misses->first + i) % LIMIT_IOTLB_MISSES];
}

static struct question asked_take(struct iotlb_misses *misses)
{
        struct question question = *asked_at(misses, 0);

        misses->first = (misses->first + 1) % LIMIT_IOTLB_MISSES;
        misses->n_asked--;
        return question;
}

static struct question line_take(struct iotlb_misses *misses, unsigned i)
{
        struct question question = misses->line[i];

        misses->n_line--;
        memmove(&misses->line[i], &misses->line[i + 1], (misses->n_line - i) * sizeof(misses->line[0]));
        return question;
}

/* ---- the clock ---- */

static void misses_timer(uv_timer_t *timer);

/* With nobody to ask all that is open is missed: from the loop, since this may be the device's own call. */
static void misses_arm(struct iotlb_misses *misses)
{
        bool nobody = backend_channel_is_closed(misses->channel);

        if (nobody && misses->n_asked + misses->n_line > 0)
                uv_timer_start(&misses->timer, misses_timer, 0, 0);
        else if (!nobody && misses->n_asked > 0 && !misses->late)
                uv_timer_start(&misses->timer, misses_timer, LIMIT_IOTLB_ANSWER_MS, 0);
        else
                uv_timer_stop(&misses->timer);
}

/* The device may ask on in between: that is the next turn's. */
static void miss_all(struct iotlb_misses *misses)
{
        log_limited(LOG_LEVEL_WARNING, "the VMM has no channel on which it is asked for translations dev=%s",
                    device_name(misses->device));
        for (unsigned n = misses->n_asked; n > 0; n--) {
                struct question question = asked_take(misses);

                if (!question.answered)
                        device_iotlb_missed(misses->device, question.iova);
        }
        for (unsigned n = misses->n_line; n > 0 && misses->n_line > 0; n--)
                device_iotlb_missed(misses->device, line_take(misses, 0).iova);
        misses_arm(misses);
}

static void misses_timer(uv_timer_t *timer)
{
        struct iotlb_misses *misses = timer->data;

        if (backend_channel_is_closed(misses->channel)) {
                miss_all(misses);
                return;
        }
        log_limited(LOG_LEVEL_WARNING,
                    "the VMM does not answer when it is asked for translations: the device waits dev=%s",
                    device_name(misses->device));
        misses->late = true;
}

/* ---- asking ---- */

void iotlb_misses_idle(struct iotlb_misses *misses)
{
        while (misses && misses->n_line > 0 && backend_channel_may_miss(misses->channel)) {
                struct question question = line_take(misses, 0);
                const struct vhost_user_iotlb miss = {
                    .iova = question.iova,
                    .size = LIMIT_IOTLB_PAGE,
                    .rights = (uint8_t)question.rights,
                    .type = VHOST_USER_IOTLB_MISS,
                };

                *asked_at(misses, misses->n_asked++) = question;
                if (backend_channel_miss(misses->channel, &miss) < 0)
                        break; /* it is closed now */
        }
        if (misses &&
            (!uv_is_active((uv_handle_t *)&misses->timer) || backend_channel_is_closed(misses->channel)))
                misses_arm(misses);
}

void iotlb_misses_ask(struct iotlb_misses *misses, uint64_t iova, unsigned rights)
{
        if (!misses)
                return;
        assert(misses->n_line < LIMIT_IOTLB_MISSES); /* the device has no more that are open */
        for (unsigned i = 0; i < misses->n_asked; i++)
                if (asked_at(misses, i)->iova == iova)
                        asked_at(misses, i)->answered = true;
        misses->line[misses->n_line++] =
            (struct question){.iova = iova, .rights = rights, .number = misses->n_ever++};
        iotlb_misses_idle(misses);
}

/* ---- answers ---- */

uint64_t iotlb_misses_asked(const struct iotlb_misses *misses)
{
        return misses ? misses->n_ever : 0;
}

static bool is_answered(const struct question *question, uint64_t asked, uint64_t iova, uint64_t len)
{
        return question->number < asked && question->iova >= iova && question->iova - iova < len;
}

void iotlb_misses_updated(struct iotlb_misses *misses, uint64_t asked, uint64_t iova, uint64_t len)
{
        if (!misses)
                return;
        for (unsigned i = 0; i < misses->n_asked; i++)
                asked_at(misses, i)->answered |= is_answered(asked_at(misses, i), asked, iova, len);
        for (unsigned i = misses->n_line; i-- > 0;)
                if (is_answered(&misses->line[i], asked, iova, len))
                        (void)line_take(misses, i);
}

/* Yes without a translation is no. */
void iotlb_misses_answered(struct iotlb_misses *misses, uint64_t value)
{
        struct question question;

        (void)value;
        if (!misses || misses->n_asked == 0)
                return;
        question = asked_take(misses);
        misses->late = false;
        misses_arm(misses);
        if (!question.answered)
                device_iotlb_missed(misses->device, question.iova);
}

/* ---- the session's word ---- */

/* Nobody waits, so that nobody asks on. */
void iotlb_misses_drop(struct iotlb_misses *misses)
{
        if (!misses)
                return;
        uv_timer_stop(&misses->timer);
        for (unsigned i = 0; i < misses->n_asked; i++) {
                struct question *question = asked_at(misses, i);

                if (!question->answered)
                        device_iotlb_missed(misses->device, question->iova);
                question->answered = true;
        }
        for (unsigned n = misses->n_line; n > 0; n--)
                device_iotlb_missed(misses->device, line_take(misses, 0).iova);
}

void iotlb_misses_closed(struct iotlb_misses *misses)
{
        if (misses)
                misses_arm(misses);
}

/* What the old one was asked and has not answered is asked again. */
static void ask_again(struct iotlb_misses *misses)
{
        struct question again[2 * LIMIT_IOTLB_MISSES];
        unsigned n = 0;

        while (misses->n_asked > 0) {
                struct question question = asked_take(misses);

                if (!question.answered)
                        again[n++] = question;
        }
        memcpy(&again[n], misses->line, misses->n_line * sizeof(again[0]));
        misses->n_line += n;
        assert(misses->n_line <= LIMIT_IOTLB_MISSES); /* both are open questions of the device */
        memcpy(misses->line, again, misses->n_line * sizeof(again[0]));
}

void iotlb_misses_set_channel(struct iotlb_misses *misses, struct backend_channel *channel)
{
        if (!misses)
                return;
        ask_again(misses);
        misses->channel = channel;
        misses->late = false;
        misses_arm(misses);
        iotlb_misses_idle(misses);
}

/* ---- beginning and end ---- */

static void misses_free(uv_handle_t *handle)
{
        free(handle->data);
}

struct iotlb_misses *iotlb_misses_close(struct iotlb_misses *misses)
{
        if (misses)
                uv_close((uv_handle_t *)&misses->timer, misses_free);
        return NULL;
}

int iotlb_misses_new(uv_loop_t *loop, struct device *device, struct iotlb_misses **ret_misses)
{
        struct iotlb_misses *misses = calloc(1, sizeof(*misses));

        if (!misses)
                return -ENOMEM;
        uv_timer_init(loop, &misses->timer);
        misses->timer.data = misses;
        misses->device = device;
        *ret_misses = misses;
        return 0;
}
