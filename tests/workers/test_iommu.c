/* workers/iommu: what the driver's requests make it say to the broker, in which order, and what it answers when; faults; and what a
 * successor goes on with. The broker is the test's: a list of what each endpoint reaches, as it was said.
 * TRUST: the bytes it judges are its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/base/bytes.h"
#include "proto/base/checked.h"
#include "proto/base/status.h"
#include "tests/workers/fake_broker.h"
#include "workers/iommu/iommu_req.h"

#define ENDPOINTS (UINT64_C(1) << 2 | UINT64_C(1) << 5)
#define PAGE      4096u
#define TABLE     256u

static struct fake_broker broker;
static int memory_fd;
static uint8_t saved[LIMIT_STATE_BYTES];
static size_t n_saved;
/* What the broker has been told. */
static struct {
        bool used;
        struct control_iommu is;
} table[TABLE];
static unsigned n_maps, n_unmaps;
static int refuse_map; /* the next maps are answered with this */

/* ---- the broker ---- */

static void apply(const struct control_to_broker *said)
{
        const struct control_iommu *what = &said->iommu;
        unsigned free = TABLE;

        for (unsigned i = 0; i < TABLE; i++) {
                const struct control_iommu *has = &table[i].is;

                if (!table[i].used)
                        free = i;
                else if (has->endpoint == what->endpoint &&
                         (what->len == 0 || (has->iova >= what->iova && has->iova - what->iova < what->len)))
                        table[i].used = false;
        }
        if (said->kind == CONTROL_IOMMU_UNMAP)
                return;
        assert_true(free < TABLE);
        table[free].used = true;
        table[free].is = *what;
}

static unsigned reaches(uint32_t endpoint)
{
        unsigned n = 0;

        for (unsigned i = 0; i < TABLE; i++)
                n += table[i].used && table[i].is.endpoint == endpoint;
        return n;
}

static void answer_iommu(uint32_t id, int error)
{
        const struct control_to_worker message = {.kind = CONTROL_IOMMU_ANSWER,
                                                  .iommu_answer = {.id = id, .error = error}};

        fake_send_control(&broker, &message);
}

/* One message of the worker's on the control channel. False: end of file. */
static bool hear(void)
{
        static struct control_to_broker said;
        int error = 0;

        if (!fake_next_control(&broker, &said))
                return false;
        switch (said.kind) {
        case CONTROL_PUT_STATE:
                memcpy(saved, said.put_state.bytes, said.put_state.len);
                n_saved = said.put_state.len;
                break;
        case CONTROL_IOMMU_MAP:
                n_maps++;
                error = refuse_map;
                if (error == 0)
                        apply(&said);
                answer_iommu(said.iommu.id, error);
                break;
        case CONTROL_IOMMU_UNMAP:
                n_unmaps++;
                apply(&said);
                answer_iommu(said.iommu.id, 0);
                break;
        default:
                assert_int_equal(said.kind, CONTROL_STATS);
        }
        return true;
}

/* ---- the driver ---- */

static uint8_t in[8][IOMMU_REQ_BYTES], out[8][128];
static struct fake_request requests[8];

static void prepare(unsigned i, enum iommu_op op, uint32_t readable, uint32_t domain)
{
        memset(in[i], 0, sizeof(in[i]));
        memset(out[i], 0xee, sizeof(out[i]));
        in[i][0] = (uint8_t)op;
        bytes_store32(in[i] + 4, domain);
        requests[i] = (struct fake_request){.id = 100 + i,
                                            .readable = in[i],
                                            .n_readable = readable,
                                            .writable = out[i],
                                            .n_writable = op == IOMMU_PROBE ? 68 : 4,
                                            .inlined = FAKE_INLINE_ALL};
}

static void prepare_attach(unsigned i, enum iommu_op op, uint32_t domain, uint32_t endpoint)
{
        prepare(i, op, 20, domain);
        bytes_store32(in[i] + 8, endpoint);
}

static void prepare_map(unsigned i, enum iommu_op op, uint32_t domain, uint64_t page, uint64_t n)
{
        prepare(i, op, op == IOMMU_MAP ? 36 : 28, domain);
        bytes_store64(in[i] + 8, page * PAGE);
        bytes_store64(in[i] + 16, (page + n) * PAGE - 1);
        if (op == IOMMU_MAP) {
                bytes_store64(in[i] + 24, (page + 1000) * PAGE);
                bytes_store32(in[i] + 32, IOMMU_MAP_READ | IOMMU_MAP_WRITE);
        }
}

static unsigned status_of(unsigned i)
{
        const uint8_t *tail = out[i] + requests[i].n_writable - 4;

        assert_int_equal(requests[i].status, WIRE_STATUS_OK);
        assert_int_equal(requests[i].used, requests[i].n_writable);
        assert_true(tail[1] == 0 && tail[2] == 0 && tail[3] == 0);
        return tail[0];
}

/* Plays the broker until the worker has completed it. */
static void until_done(const struct fake_request *request)
{
        while (!request->done) {
                if (fake_ready(broker.lanes[0]))
                        assert_true(fake_serve(&broker, 0));
                else if (fake_ready(broker.control))
                        assert_true(hear());
        }
}

/* Sends them, and returns the last one's status. */
static unsigned ask(unsigned n)
{
        fake_send_requests(&broker, 0, requests, n);
        for (unsigned i = 0; i < n; i++)
                until_done(&requests[i]);
        return status_of(n - 1);
}

static unsigned attach(uint32_t domain, uint32_t endpoint)
{
        prepare_attach(0, IOMMU_ATTACH, domain, endpoint);
        return ask(1);
}

static unsigned detach(uint32_t domain, uint32_t endpoint)
{
        prepare_attach(0, IOMMU_DETACH, domain, endpoint);
        return ask(1);
}

static unsigned map(uint32_t domain, uint64_t page, uint64_t n)
{
        prepare_map(0, IOMMU_MAP, domain, page, n);
        return ask(1);
}

static unsigned unmap(uint32_t domain, uint64_t page, uint64_t n)
{
        prepare_map(0, IOMMU_UNMAP, domain, page, n);
        return ask(1);
}

static unsigned probe(uint32_t endpoint)
{
        prepare(0, IOMMU_PROBE, 72, endpoint);
        return ask(1);
}

/* ---- lives ---- */

static void start(void)
{
        const struct control_configure configure = {
            .name = "iommu0", .n_queues = 2, .type = DEVICE_TYPE_IOMMU, .endpoints = ENDPOINTS};

        fake_start_ops(&broker, &device_ops, 1, &memory_fd, 1);
        fake_configure(&broker, &configure);
}

static void start_queues(void)
{
        assert_int_equal(fake_start_queue(&broker, 0), 0);
        assert_int_equal(fake_start_queue(&broker, 1), 0);
}

static void begin(void)
{
        memory_fd = memfd_create("iommu", MFD_ALLOW_SEALING);
        assert_int_equal(ftruncate(memory_fd, LIMIT_IOMMU_MEMORY), 0);
        assert_int_equal(fcntl(memory_fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
        memset(table, 0, sizeof(table));
        n_saved = n_maps = n_unmaps = 0;
        refuse_map = 0;
        start();
        start_queues();
}

/* Another process, with what the last one has saved. */
static void succeed(bool with_state)
{
        (void)fake_end(&broker);
        start();
        if (with_state && n_saved > 0)
                assert_int_equal(fake_restore_state(&broker, saved, n_saved), 0);
        start_queues();
}

static void end(void)
{
        assert_true(fake_exited(fake_end(&broker), 0));
        close(memory_fd);
}

/* ---- claims ---- */

static void hello_is_that_of_an_iommu(void **state)
{
        (void)state;
        begin();
        assert_int_equal(broker.hello.device_type, 23);
        assert_int_equal(broker.hello.features, 1 << 2 | 1 << 4);
        assert_int_equal(broker.hello.queue_kind[0], QUEUE_WORK);
        assert_int_equal(broker.hello.queue_kind[1], QUEUE_SUPPLY);
        assert_true(broker.hello.fields[0].value == ~UINT64_C(4095));
        end();
}

static void mapping_is_said_for_each_endpoint_of_the_domain_and_no_other(void **state)
{
        (void)state;
        begin();
        assert_int_equal(attach(1, 2), IOMMU_OK);
        assert_int_equal(map(1, 10, 2), IOMMU_OK);
        assert_int_equal(reaches(2), 1);
        assert_int_equal(reaches(5), 0);
        assert_int_equal(attach(1, 5), IOMMU_OK); /* has at once what was mapped before */
        assert_int_equal(reaches(5), 1);
        assert_int_equal(map(1, 20, 1), IOMMU_OK);
        assert_true(reaches(2) == 2 && reaches(5) == 2);
        assert_int_equal(unmap(1, 10, 11), IOMMU_OK);
        assert_true(reaches(2) == 0 && reaches(5) == 0);
        end();
}

static void endpoint_that_leaves_or_moves_loses_all(void **state)
{
        (void)state;
        begin();
        assert_int_equal(attach(1, 2), IOMMU_OK);
        assert_int_equal(attach(1, 5), IOMMU_OK);
        assert_int_equal(map(1, 10, 1), IOMMU_OK);
        assert_int_equal(attach(7, 5), IOMMU_OK);
        assert_true(reaches(2) == 1 && reaches(5) == 0);
        assert_int_equal(detach(1, 5), IOMMU_INVAL); /* it is in another one */
        assert_int_equal(detach(1, 2), IOMMU_OK);
        assert_int_equal(reaches(2), 0);
        assert_int_equal(detach(1, 2), IOMMU_INVAL);
        assert_int_equal(attach(1, 2), IOMMU_OK);
        assert_int_equal(reaches(2), 0); /* the domain was gone, and its mappings */
        end();
}

static void what_cannot_be_is_refused_and_nothing_is_said(void **state)
{
        unsigned said;

        (void)state;
        begin();
        assert_int_equal(attach(1, 2), IOMMU_OK);
        assert_int_equal(map(1, 10, 4), IOMMU_OK);
        said = n_maps + n_unmaps;
        assert_int_equal(attach(1, 3), IOMMU_NOENT);
        assert_int_equal(attach(1, 64), IOMMU_NOENT);
        assert_int_equal(attach(1, UINT32_MAX), IOMMU_NOENT);
        assert_int_equal(detach(1, 3), IOMMU_NOENT);
        assert_int_equal(probe(3), IOMMU_NOENT);
        assert_int_equal(map(2, 10, 1), IOMMU_NOENT);
        assert_int_equal(unmap(2, 10, 1), IOMMU_NOENT);
        assert_int_equal(map(1, 9, 2), IOMMU_INVAL); /* overlaps */
        assert_int_equal(map(1, 10, 4), IOMMU_INVAL);
        assert_int_equal(unmap(1, 11, 3), IOMMU_RANGE);                  /* a part */
        assert_int_equal(map(1, UINT64_MAX / PAGE - 1, 4), IOMMU_RANGE); /* wraps */
        assert_int_equal(n_maps + n_unmaps, said);
        assert_int_equal(probe(5), IOMMU_OK);
        end();
}

static void what_the_broker_refuses_is_undone(void **state)
{
        (void)state;
        begin();
        assert_int_equal(attach(1, 2), IOMMU_OK);
        assert_int_equal(attach(1, 5), IOMMU_OK);
        refuse_map = -EFAULT;
        assert_int_equal(map(1, 10, 1), IOMMU_RANGE);
        refuse_map = -ENOSPC;
        assert_int_equal(map(1, 10, 1), IOMMU_NOMEM);
        refuse_map = 0;
        assert_true(reaches(2) == 0 && reaches(5) == 0);
        assert_int_equal(map(1, 10, 1), IOMMU_OK); /* it is not there twice */
        assert_int_equal(detach(1, 5), IOMMU_OK);
        refuse_map = -ENOMEM;
        assert_int_equal(attach(1, 5), IOMMU_NOMEM);
        refuse_map = 0;
        assert_int_equal(reaches(5), 0);
        assert_int_equal(detach(1, 5), IOMMU_INVAL); /* it is in none */
        end();
}

/* The requests of one frame are done one after the other, as their driver has written them. */
static void requests_are_done_in_their_order(void **state)
{
        (void)state;
        begin();
        prepare_attach(0, IOMMU_ATTACH, 1, 2);
        prepare_map(1, IOMMU_MAP, 1, 10, 1);
        prepare_map(2, IOMMU_UNMAP, 1, 10, 1);
        prepare_map(3, IOMMU_MAP, 1, 10, 3);
        prepare_map(4, IOMMU_MAP, 1, 12, 1);
        assert_int_equal(ask(5), IOMMU_INVAL);
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(status_of(i), IOMMU_OK);
        assert_int_equal(reaches(2), 1);
        end();
}

/* Nobody is told "unmapped" before the broker has said that it is so. */
static void unmap_is_answered_after_the_broker_s_answer(void **state)
{
        static struct control_to_broker said;

        (void)state;
        begin();
        assert_int_equal(attach(1, 2), IOMMU_OK);
        assert_int_equal(map(1, 10, 1), IOMMU_OK);
        prepare_map(0, IOMMU_UNMAP, 1, 10, 1);
        fake_send_requests(&broker, 0, requests, 1);
        do
                assert_true(fake_next_control(&broker, &said));
        while (said.kind == CONTROL_STATS);
        assert_int_equal(said.kind, CONTROL_IOMMU_UNMAP);
        usleep(20000); /* nothing comes of itself */
        assert_false(fake_ready(broker.lanes[0]));
        answer_iommu(said.iommu.id, 0);
        fake_drain(&broker, 0);
        assert_int_equal(status_of(0), IOMMU_OK);
        end();
}

static void domain_of_more_mappings_than_may_be_unanswered_is_attached_whole(void **state)
{
        (void)state;
        begin();
        assert_int_equal(attach(1, 2), IOMMU_OK);
        for (unsigned i = 0; i < LIMIT_IOMMU_PENDING + 20; i++)
                assert_int_equal(map(1, 10 + 2 * i, 1), IOMMU_OK);
        assert_int_equal(attach(1, 5), IOMMU_OK);
        assert_int_equal(reaches(5), LIMIT_IOMMU_PENDING + 20);
        end();
}

/* ---- faults ---- */

static void fault(uint32_t endpoint, uint64_t iova, unsigned rights)
{
        const struct control_to_worker message = {.kind = CONTROL_IOMMU_FAULT,
                                                  .iommu_fault = {endpoint, iova, rights}};

        fake_send_control(&broker, &message);
}

static void faults_go_where_the_driver_has_posted_room_and_nowhere_else(void **state)
{
        static uint8_t room[2][32];
        struct fake_request events[2];

        (void)state;
        begin();
        assert_int_equal(attach(1, 2), IOMMU_OK);
        fault(2, 0x5000, 1); /* no room: it is lost, and nobody dies of it */
        assert_int_equal(probe(2), IOMMU_OK);
        for (unsigned i = 0; i < 2; i++)
                events[i] = (struct fake_request){
                    .id = 200 + i, .queue = 1, .writable = room[i], .n_writable = sizeof(room[i])};
        fake_send_requests(&broker, 0, events, 2);
        assert_int_equal(probe(2), IOMMU_OK);
        assert_false(events[0].done); /* the lost one does not come back */
        fault(2, 0x7000, 2);
        until_done(&events[0]);
        assert_int_equal(events[0].used, IOMMU_FAULT_BYTES);
        assert_int_equal(room[0][0], 2); /* MAPPING */
        assert_int_equal(bytes_load32(room[0] + 4), 0x102);
        assert_int_equal(bytes_load32(room[0] + 8), 2);
        assert_true(bytes_load64(room[0] + 16) == 0x7000);
        fault(5, 0x7000, 1);
        until_done(&events[1]);
        assert_int_equal(room[1][0], 1); /* DOMAIN: it is in none */
        end();
}

/* ---- successors ---- */

static void successor_goes_on_where_its_predecessor_died(void **state)
{
        (void)state;
        begin();
        assert_int_equal(attach(1, 2), IOMMU_OK);
        assert_int_equal(map(1, 10, 1), IOMMU_OK);
        succeed(true);
        n_maps = n_unmaps = 0;
        assert_int_equal(map(1, 10, 1), IOMMU_INVAL); /* it knows */
        assert_int_equal(n_maps + n_unmaps, 0);       /* and touches nothing */
        assert_int_equal(unmap(1, 10, 1), IOMMU_OK);
        assert_int_equal(reaches(2), 0);
        assert_int_equal(detach(1, 2), IOMMU_OK);
        end();
}

static void request_that_was_done_already_is_done_again(void **state)
{
        (void)state;
        begin();
        assert_int_equal(attach(1, 2), IOMMU_OK);
        assert_int_equal(map(1, 10, 1), IOMMU_OK);
        succeed(true);
        prepare_map(0, IOMMU_MAP, 1, 10, 1);
        requests[0].attempt = 1;
        assert_int_equal(ask(1), IOMMU_OK);
        assert_int_equal(detach(1, 2), IOMMU_OK);
        prepare_attach(0, IOMMU_DETACH, 1, 2);
        requests[0].attempt = 1;
        assert_int_equal(ask(1), IOMMU_OK);
        end();
}

static void after_a_reset_nothing_is_left(void **state)
{
        (void)state;
        begin();
        assert_int_equal(attach(1, 2), IOMMU_OK);
        assert_int_equal(map(1, 10, 1), IOMMU_OK);
        succeed(false);
        assert_int_equal(unmap(1, 10, 1), IOMMU_NOENT);
        assert_int_equal(reaches(2), 0); /* nor in the broker, whatever was there */
        assert_int_equal(attach(1, 2), IOMMU_OK);
        assert_int_equal(map(1, 10, 1), IOMMU_OK);
        end();
}

static void state_of_another_time_counts_for_nothing(void **state)
{
        (void)state;
        begin();
        assert_int_equal(attach(1, 2), IOMMU_OK);
        saved[0] ^= 1;
        succeed(true);
        assert_int_equal(map(1, 10, 1), IOMMU_NOENT);
        n_saved = 3;
        succeed(true);
        assert_int_equal(map(1, 10, 1), IOMMU_NOENT);
        end();
}

static void what_must_fail_fails_and_leaves_nothing_mapped(void **state)
{
        (void)state;
        begin();
        assert_int_equal(attach(1, 2), IOMMU_OK);
        prepare_map(0, IOMMU_MAP, 1, 10, 1);
        requests[0].must_fail = true;
        requests[0].attempt = 2;
        assert_int_equal(ask(1), IOMMU_DEVERR);
        assert_int_equal(n_maps, 0);
        assert_int_equal(map(1, 10, 1), IOMMU_OK);
        prepare_attach(0, IOMMU_ATTACH, 3, 2);
        requests[0].must_fail = true;
        assert_int_equal(ask(1), IOMMU_DEVERR);
        assert_int_equal(reaches(2), 0);
        assert_int_equal(detach(1, 2), IOMMU_INVAL); /* it is in none */
        end();
}

static void request_without_room_for_its_status_breaks_the_protocol(void **state)
{
        (void)state;
        begin();
        prepare_attach(0, IOMMU_ATTACH, 1, 2);
        requests[0].n_writable = 3;
        fake_send_requests(&broker, 0, requests, 1);
        fake_drain(&broker, 0);
        assert_int_equal(requests[0].status, WIRE_STATUS_PROTOCOL);
        end();
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(hello_is_that_of_an_iommu),
            cmocka_unit_test(mapping_is_said_for_each_endpoint_of_the_domain_and_no_other),
            cmocka_unit_test(endpoint_that_leaves_or_moves_loses_all),
            cmocka_unit_test(what_cannot_be_is_refused_and_nothing_is_said),
            cmocka_unit_test(what_the_broker_refuses_is_undone),
            cmocka_unit_test(requests_are_done_in_their_order),
            cmocka_unit_test(unmap_is_answered_after_the_broker_s_answer),
            cmocka_unit_test(domain_of_more_mappings_than_may_be_unanswered_is_attached_whole),
            cmocka_unit_test(faults_go_where_the_driver_has_posted_room_and_nowhere_else),
            cmocka_unit_test(successor_goes_on_where_its_predecessor_died),
            cmocka_unit_test(request_that_was_done_already_is_done_again),
            cmocka_unit_test(after_a_reset_nothing_is_left),
            cmocka_unit_test(state_of_another_time_counts_for_nothing),
            cmocka_unit_test(what_must_fail_fails_and_leaves_nothing_mapped),
            cmocka_unit_test(request_without_room_for_its_status_breaks_the_protocol),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
