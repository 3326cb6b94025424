# What several claims do in the guest: look at what was negotiated, run the verified load, read the kernel's complaints.
# SPDX-License-Identifier: Apache-2.0
from guest.claims import require
from guest.deadline import wait_until

WRITERS = 4  # two through the guest's page cache, two around it


def features_of(guest, block="vda"):
    """What the guest's driver has agreed to, as a set of bit numbers."""
    text = guest.run(f"cat /sys/block/{block}/device/features").strip()
    return {bit for bit, value in enumerate(text) if value == "1"}


def no_io_errors(guest):
    """The kernel's own word: no request failed, no file system complained."""
    answer = guest.ask("dmesg | grep -E 'I/O error|EXT4-fs error|blocked for more than|BUG:|Oops:|Call Trace'")
    require(answer.status == 1, f"the guest's kernel complains:\n{answer.output}")


def start_churn(guest, path="/dev/vda", mib=64):
    """guest_load's verified reads and writes, in the guest's background, until end_churn()."""
    guest.run("rm -f /run/counters; "
              f"guest_load churn {path} {mib}M {WRITERS} /run/counters >/run/churn 2>&1 & echo $! >/run/pid; "
              "while ! [ -s /run/counters ]; do usleep 10000; done")


def churn_counts(guest):
    output = guest.ask("guest_load counts /run/counters").output
    return {name: int(value) for name, value in (word.split("=") for word in output.split())}


def wait_for_traffic(guest, n, running=WRITERS, seconds=60):
    """Until n more requests have been completed, all writers being past their first fill."""
    first = churn_counts(guest)

    def enough():
        counts = churn_counts(guest)
        require(counts["wrong"] == 0 and counts["errors"] == 0, f"the load went wrong: {counts}")
        return counts["running"] == running and \
            counts["writes"] + counts["reads"] >= first["writes"] + first["reads"] + n
    wait_until(enough, seconds, f"{n} more requests of the load")


def end_churn(guest, seconds=90):
    """Stops the load, which then reads everything back. Its last numbers."""
    answer = guest.ask("kill $(cat /run/pid); while kill -0 $(cat /run/pid) 2>/dev/null; do usleep 10000; done; "
                       "cat /run/churn", seconds)
    counts = churn_counts(guest)
    require(counts["wrong"] == 0 and counts["errors"] == 0 and "wrong=0" in answer.output,
            f"the load went wrong: {answer.output}")
    return counts
