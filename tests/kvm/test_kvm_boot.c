/* The broker's side of a boot: what a loader may write and say, and every way in which it can go wrong.
 * Owns nothing; run by ctest.
 * TRUST: its own inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <sys/wait.h>

#include "proto/base/checked.h"
#include "proto/base/log.h"
#include "tests/kvm/boot_rig.h"
#include "tests/unit/unit.h"

static struct boot_rig rig;
static uint8_t bytes[256 * 1024];

static void begin_loading(void)
{
        rig_begin(&rig);
        rig_spawned(&rig);
        rig_settle(&rig);
        rig_hello(&rig, 0);
        rig_settle(&rig);
}

static void expect_failed(const char *words)
{
        rig_await_end(&rig);
        assert_int_equal(rig.n_failed, 1);
        if (!strstr(rig.why, words))
                fail_msg("\"%s\" does not say \"%s\"", rig.why, words);
}

static bool all_zero(const uint8_t *at, size_t len)
{
        for (size_t i = 0; i < len; i++)
                if (at[i] != 0)
                        return false;
        return true;
}

static void what_it_writes_lands_and_then_it_is_killed(void **state)
{
        int status;

        (void)state;
        begin_loading();
        rig_write(&rig, 0, 0, bytes, 4096);
        rig_write(&rig, 0, RIG_LOW - 100, bytes, 100);
        rig_settle(&rig);
        rig_write(&rig, 1, RIG_HIGH - 1, bytes + 77, 1);
        rig_booted(&rig, KVM_BOOT_LINUX64, 0x200, RIG_HIGH_AT + RIG_HIGH - 1);
        rig_await_end(&rig);
        assert_int_equal(rig.n_booted, 1);
        assert_int_equal(rig.entry.mode, KVM_BOOT_LINUX64);
        assert_int_equal(rig.entry.entry, 0x200);
        assert_int_equal(rig.entry.arg, RIG_HIGH_AT + RIG_HIGH - 1);
        assert_memory_equal(rig.low, bytes, 4096);
        assert_memory_equal(rig.low + RIG_LOW - 100, bytes, 100);
        assert_int_equal(rig.high[RIG_HIGH - 1], bytes[77]);
        assert_true(all_zero(rig.low + 4096, RIG_LOW - 100 - 4096) && all_zero(rig.high, RIG_HIGH - 1));
        assert_true(rig_was_reaped(&rig));
        status = rig_child_status(&rig);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        rig_end(&rig);
}

/* Control is read first, whatever came first: what lies in the lane is older than the last word all the same. */
static void nothing_that_was_written_before_the_last_word_is_lost(void **state)
{
        (void)state;
        begin_loading();
        rig_booted(&rig, KVM_BOOT_PVH, 1, 1); /* before, and yet read together */
        rig_write(&rig, 0, 4096, bytes, 100000);
        rig_write(&rig, 0, 200000, bytes, 50000);
        rig_await_end(&rig);
        assert_int_equal(rig.n_booted, 1);
        assert_memory_equal(rig.low + 4096, bytes, 100000);
        assert_memory_equal(rig.low + 200000, bytes, 50000);
        rig_end(&rig);
}

/* ---- offences ---- */

static void write_one(uint64_t range, uint32_t offset, uint32_t len, enum lane_space space)
{
        rig_lane(&rig,
                 &(struct lane_to_broker){
                     .kind = LANE_MEM_WRITE,
                     .mem_write = {.n = 1, .id = &range, .offset = &offset, .len = &len, .space = space}},
                 bytes, len);
}

static void write_beyond_the_end(void)
{
        write_one(1, RIG_HIGH, 1, LANE_SPACE_BOOT);
}
static void write_over_the_end(void)
{
        write_one(1, RIG_HIGH - 1, 2, LANE_SPACE_BOOT);
}
static void write_to_a_range_that_is_none(void)
{
        write_one(2, 0, 1, LANE_SPACE_BOOT);
}
static void write_to_a_range_of_many_bits(void)
{
        write_one(UINT64_C(1) << 32, 0, 1, LANE_SPACE_BOOT);
}
static void write_as_a_device(void)
{
        write_one(0, 0, 1, LANE_SPACE_CHAIN);
}
static void a_good_segment_and_a_bad_one(void)
{
        const uint64_t id[] = {0, 3};
        const uint32_t offset[] = {0, 0}, len[] = {100, 100};

        rig_lane(&rig,
                 &(struct lane_to_broker){
                     .kind = LANE_MEM_WRITE,
                     .mem_write = {.n = 2, .id = id, .offset = offset, .len = len, .space = LANE_SPACE_BOOT}},
                 bytes, 200);
}
static void a_read(void)
{
        const uint64_t id = 0;
        const uint32_t offset = 0, len = 1;

        rig_lane(&rig,
                 &(struct lane_to_broker){
                     .kind = LANE_MEM_READ,
                     .mem_read = {.n = 1, .id = &id, .offset = &offset, .len = &len, .total = 1}},
                 NULL, 0);
}
static void a_completion(void)
{
        const uint64_t id = 0;
        const uint32_t zero = 0;

        rig_lane(&rig,
                 &(struct lane_to_broker){
                     .kind = LANE_COMPLETE,
                     .complete = {.n = 1, .id = &id, .status = &zero, .offset = &zero, .len = &zero}},
                 NULL, 0);
}
static void rubbish(void)
{
        assert_int_equal(fd_write_all(rig.lane.out, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), 0);
}
static void a_header_of_rubbish(void)
{
        assert_int_equal(fd_write_all(rig.lane.out, "\4\0\0\0\1\0\0\0abcd", 12), 0);
}
static void entry_outside_of_ram(void)
{
        rig_booted(&rig, KVM_BOOT_PVH, RIG_LOW, 0);
}
static void argument_outside_of_ram(void)
{
        rig_booted(&rig, KVM_BOOT_PVH, 0, RIG_HIGH_AT - 1);
}
static void mode_of_another_architecture(void)
{
        rig_booted(&rig, KVM_BOOT_ARM64, 0, 0);
}
static void a_second_hello(void)
{
        rig_hello(&rig, 0);
}
static void state_to_keep(void)
{
        rig_control(&rig, &(struct control_to_broker){.kind = CONTROL_PUT_STATE});
}
static void done_with_nothing(void)
{
        rig_control(&rig, &(struct control_to_broker){.kind = CONTROL_DONE});
}
static void hanging_up(void)
{
        close(rig.control);
        rig.control = -1;
}

static const struct {
        void (*commit)(void);
        const char *name, *words;
} offences[] = {
#define OFFENCE(f, words)                                                                                    \
        {                                                                                                    \
                f, #f, words                                                                                 \
        }
    OFFENCE(write_beyond_the_end, "outside the VM's memory"),
    OFFENCE(write_over_the_end, "outside the VM's memory"),
    OFFENCE(write_to_a_range_that_is_none, "outside the VM's memory"),
    OFFENCE(write_to_a_range_of_many_bits, "outside the VM's memory"),
    OFFENCE(a_good_segment_and_a_bad_one, "outside the VM's memory"),
    OFFENCE(write_as_a_device, "no MemWrite of a loader"),
    OFFENCE(a_read, "no MemWrite of a loader"),
    OFFENCE(a_completion, "no MemWrite of a loader"),
    OFFENCE(rubbish, "a frame over its limits"),
    OFFENCE(a_header_of_rubbish, "a malformed lane message"),
    OFFENCE(entry_outside_of_ram, "broke the control protocol"),
    OFFENCE(argument_outside_of_ram, "broke the control protocol"),
    OFFENCE(mode_of_another_architecture, "broke the control protocol"),
    OFFENCE(a_second_hello, "broke the control protocol"),
    OFFENCE(state_to_keep, "broke the control protocol"),
    OFFENCE(done_with_nothing, "broke the control protocol"),
    OFFENCE(hanging_up, "hung up"),
};

/* The spawner tells of our kill, which is no news: the offence is the reason. */
static void each_offence_kills_it_and_leaves_the_memory_alone(void **state)
{
        (void)state;
        for (size_t i = 0; i < array_size(offences); i++) {
                int status;

                begin_loading();
                offences[i].commit();
                rig_settle(&rig);
                assert_int_equal(rig.n_booted + rig.n_failed, 0);
                rig_exited(&rig, NULL, SIGKILL);
                rig_await_end(&rig);
                if (rig.n_failed != 1 || !strstr(rig.why, offences[i].words))
                        fail_msg("%s: \"%s\" does not say \"%s\"", offences[i].name, rig.why,
                                 offences[i].words);
                assert_true(all_zero(rig.low, RIG_LOW) && all_zero(rig.high, RIG_HIGH));
                status = rig_child_status(&rig);
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                rig_end(&rig);
        }
}

/* Every byte may be written once. */
static void it_writes_no_more_than_there_is_ram(void **state)
{
        uint64_t left = RIG_LOW + RIG_HIGH;

        (void)state;
        begin_loading();
        for (; left >= sizeof(bytes); left -= sizeof(bytes)) {
                rig_write(&rig, 0, 0, bytes, 128 * 1024);
                rig_settle(&rig);
                rig_write(&rig, 0, 0, bytes, 128 * 1024);
                rig_settle(&rig);
        }
        assert_int_equal(left, 0);
        assert_int_equal(rig.n_failed, 0);
        rig_write(&rig, 0, 0, bytes, 1);
        rig_settle(&rig);
        rig_exited(&rig, NULL, SIGKILL);
        expect_failed("writes more than the VM has memory");
        rig_end(&rig);
}

static void what_comes_before_hello_is_not_taken(void **state)
{
        (void)state;
        rig_begin(&rig);
        rig_spawned(&rig);
        rig_settle(&rig);
        rig_booted(&rig, KVM_BOOT_PVH, 0, 0);
        rig_settle(&rig);
        rig_exited(&rig, NULL, SIGKILL);
        expect_failed("broke the control protocol");
        rig_end(&rig);
        rig_begin(&rig);
        rig_spawned(&rig);
        rig_settle(&rig);
        rig_hello(&rig, 2); /* a disk's */
        rig_settle(&rig);
        rig_exited(&rig, NULL, SIGKILL);
        expect_failed("broke the control protocol");
        rig_end(&rig);
        rig_begin(&rig);
        rig_spawned(&rig);
        rig_settle(&rig);
        rig_write(&rig, 0, 0, bytes, 100);
        rig_settle(&rig);
        assert_true(all_zero(rig.low, RIG_LOW));
        rig_end(&rig);
}

/* A word is the last one: half a frame behind it is none of an honest loader's. */
static void a_frame_that_never_ends_spoils_the_last_word(void **state)
{
        (void)state;
        begin_loading();
        rig_booted(&rig, KVM_BOOT_PVH, 0, 0);
        assert_int_equal(fd_write_all(rig.lane.out, "\4\0\0", 3), 0);
        fd_duplex_close(&rig.lane);
        expect_failed("wrote on after its end");
        rig_end(&rig);
}

/* ---- refusals, deaths, deadlines ---- */

static void a_refusal_is_passed_on_and_printable(void **state)
{
        static struct control_to_broker word;

        (void)state;
        begin_loading();
        word = (struct control_to_broker){.kind = CONTROL_BOOT_FAILED,
                                          .boot_failed = {"the kernel file is \x1b[1mno kernel\n: name one"}};
        rig_control(&rig, &word);
        expect_failed("the kernel file is \\x1b[1mno kernel\\x0a: name one");
        assert_true(rig_was_reaped(&rig));
        rig_end(&rig);
}

static void a_death_of_its_own_is_told_whoever_says_it_first(void **state)
{
        const struct spawn_cause breach = {.breach = SPAWN_BREACH_CALL,
                                           .have_call = true,
                                           .nr = 41,
                                           .call = "socket",
                                           .gate = SPAWN_GATE_RUN};

        (void)state;
        for (int told_first = 0; told_first < 2; told_first++) {
                begin_loading();
                if (told_first)
                        rig_exited(&rig, NULL, SIGSEGV);
                rig_settle(&rig);
                kill(rig.pid, SIGKILL);
                rig_settle(&rig);
                if (!told_first) {
                        rig_settle(&rig);
                        assert_int_equal(rig.n_failed, 0);
                        rig_exited(&rig, NULL, SIGSEGV);
                }
                expect_failed("the kernel's loader died of SIGSEGV");
                rig_end(&rig);
        }
        begin_loading();
        hanging_up(); /* what is seen first of a death */
        rig_settle(&rig);
        rig_exited(&rig, &breach, SIGSYS);
        expect_failed("was killed for a forbidden system call: socket(");
        assert_non_null(strstr(rig.why, "sandbox/policy/loader.c"));
        rig_end(&rig);
}

static void each_wait_has_its_deadline(void **state)
{
        (void)state;
        rig_begin(&rig);
        expect_failed("the spawner does not answer");
        rig_spawned(&rig); /* late: nobody takes it, so it ends with its channels */
        rig_settle(&rig);
        kill(rig.pid, SIGKILL);
        rig_end(&rig);
        rig_begin(&rig);
        rig_spawned(&rig);
        rig_settle(&rig);
        rig_exited(&rig, NULL, SIGKILL);
        expect_failed("said no Hello in time");
        rig_end(&rig);
        begin_loading();
        rig_write(&rig, 0, 0, bytes, 100);
        rig_exited(&rig, NULL, SIGKILL);
        expect_failed("has not loaded the kernel in time");
        rig_end(&rig);
        begin_loading();
        hanging_up();
        expect_failed("hung up"); /* and the spawner never says how it died */
        rig_end(&rig);
}

static void what_the_spawner_cannot_start_is_told(void **state)
{
        (void)state;
        rig_begin(&rig);
        rig_spawn_failed(&rig, "/boot/x: there is no such file\x07");
        expect_failed("the kernel's loader cannot be started: /boot/x: there is no such file\\x07");
        rig_end(&rig);
}

static void a_dead_spawner_ends_what_waits_for_it_and_nothing_else(void **state)
{
        (void)state;
        rig_begin(&rig);
        rig_spawner_dies(&rig);
        expect_failed("the spawner is gone");
        rig_end(&rig);
        begin_loading();
        rig_spawner_dies(&rig);
        rig_settle(&rig);
        rig_write(&rig, 0, 0, bytes, 100);
        rig_booted(&rig, KVM_BOOT_PVH, 0, 0);
        rig_await_end(&rig);
        assert_int_equal(rig.n_booted, 1);
        assert_memory_equal(rig.low, bytes, 100);
        rig_end(&rig);
        begin_loading();
        rig_spawner_dies(&rig);
        rig_settle(&rig);
        kill(rig.pid, SIGKILL);
        expect_failed("nobody knows how: the spawner is gone");
        rig_end(&rig);
}

static void it_can_be_freed_at_any_time(void **state)
{
        (void)state;
        rig_begin(&rig);
        rig_end(&rig);
        rig_begin(&rig);
        rig_spawned(&rig);
        rig_settle(&rig);
        rig_end(&rig); /* kills it: rig_end waits for the child */
        begin_loading();
        rig_write(&rig, 0, 0, bytes, 1000);
        rig_end(&rig);
        begin_loading();
        rig_booted(&rig, KVM_BOOT_PVH, 0, 0);
        rig_settle(&rig);
        rig_end(&rig);
        for (int good = 0; good < 2; good++) {
                begin_loading();
                rig.free_inside = true;
                if (good)
                        rig_booted(&rig, KVM_BOOT_PVH, 0, 0);
                else
                        rubbish();
                rig_settle(&rig);
                if (!good)
                        rig_exited(&rig, NULL, SIGKILL);
                rig_await_end(&rig);
                assert_int_equal(good ? rig.n_booted : rig.n_failed, 1);
                rig_end(&rig);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
            cmocka_unit_test(what_it_writes_lands_and_then_it_is_killed),
            cmocka_unit_test(nothing_that_was_written_before_the_last_word_is_lost),
            cmocka_unit_test(each_offence_kills_it_and_leaves_the_memory_alone),
            cmocka_unit_test(it_writes_no_more_than_there_is_ram),
            cmocka_unit_test(what_comes_before_hello_is_not_taken),
            cmocka_unit_test(a_frame_that_never_ends_spoils_the_last_word),
            cmocka_unit_test(a_refusal_is_passed_on_and_printable),
            cmocka_unit_test(a_death_of_its_own_is_told_whoever_says_it_first),
            cmocka_unit_test(each_wait_has_its_deadline),
            cmocka_unit_test(what_the_spawner_cannot_start_is_told),
            cmocka_unit_test(a_dead_spawner_ends_what_waits_for_it_and_nothing_else),
            cmocka_unit_test(it_can_be_freed_at_any_time),
        };

        log_init("test", LOG_LEVEL_ERROR);
        assert_int_equal(uv_loop_init(&rig.loop), 0); /* makes what libuv keeps for good */
        assert_int_equal(uv_loop_close(&rig.loop), 0);
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = (uint8_t)(i * 5 + (i >> 8) + 1);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
