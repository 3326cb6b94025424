# Staged progress for a person: one short line a step with its time; everything else goes to a log file.
# Sourced by the commands in packaging/ and tests/. Owns: $LOG, the running line on a terminal.
# SPDX-License-Identifier: Apache-2.0
#
#   progress_open TITLE LOGFILE          begin; the log starts empty
#   step NAME WORDS COMMAND [ARG ...]    run it, output to the log; one line; its exit status is passed on
#   note NAME WORDS                      one line without a time
#   die WORDS [REMEDY]                   one line (two with a remedy), exit 1

progress_open() {
        LOG=$2
        mkdir -p "$(dirname "$LOG")"
        : >"$LOG" || exit 1
        # The owner of the tree builds in there, root or not.
        hand_back
        PROGRESS_START=$(progress_now)
        export LOG PROGRESS_START
        printf '\n  %s\n\n' "$1"
}

# Centiseconds since boot: a clock that no one sets.
progress_now() {
        read -r now _ </proc/uptime
        echo "${now%.*}${now#*.}"
}

progress_seconds() {
        printf '%d.%d' $(($1 / 100)) $(($1 % 100 / 10))
}

note() {
        printf '  %-10s %s\n' "$1" "$2"
}

die() {
        printf '\n  %s\n' "$1" >&2
        [ -z "${2-}" ] || printf '  %s\n' "$2" >&2
        exit 1
}

step() {
        step_name=$1 step_words=$2
        shift 2
        step_begin=$(progress_now)
        [ ! -t 1 ] || printf '  %-10s %s ...' "$step_name" "$step_words"
        printf '\n=== %s: %s\n' "$step_name" "$step_words" >>"$LOG"
        # The log's length before the step: what a failure shows is this step's own last lines.
        step_status=0
        "$@" >>"$LOG" 2>&1 </dev/null || step_status=$?
        step_took=$(progress_seconds $(($(progress_now) - step_begin)))
        [ ! -t 1 ] || printf '\r\033[K'
        if [ "$step_status" -eq 0 ]; then
                printf '  %-10s %-54s %7s s\n' "$step_name" "$step_words" "$step_took"
        else
                printf '  %-10s %-54s %7s s  FAILED\n' "$step_name" "$step_words" "$step_took"
        fi
        return "$step_status"
}

# The last lines of the log, indented, and where the rest is.
progress_failed() {
        printf '\n' >&2
        tail -n 12 "$LOG" | sed 's/^/    | /' >&2
        printf '\n  %s failed. The whole log: %s\n' "$1" "$LOG" >&2
}

# Run a command as the owner of the source tree: `sudo packaging/demo` leaves no files of root behind.
as_owner() {
        owner=$(stat -c %u "$TOP")
        if [ "$(id -u)" -ne 0 ] || [ "$owner" -eq 0 ]; then
                "$@"
        else
                setpriv --reuid="$owner" --regid="$(stat -c %g "$TOP")" --clear-groups \
                        env HOME="${TMPDIR:-/tmp}" "$@"
        fi
}

# What root made under build*/ belongs to the owner of the tree again.
hand_back() {
        owner=$(stat -c %u "$TOP")
        [ "$(id -u)" -ne 0 ] || [ "$owner" -eq 0 ] || chown -R --reference="$TOP" "$TOP"/build*
}
