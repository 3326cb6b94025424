#!/usr/bin/env python3
"""`bulkhead run` on a terminal: its keys are the guest's, but for Ctrl-A's, and it is given back as it was.

    test_terminal.py BULKHEAD TEST_GUEST
TRUST: its own guest's words.
SPDX-License-Identifier: Apache-2.0
"""
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

from own_vm import DEADLINE_S, Case, main

RAW_OFF = termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN


class Terminal(Case):
    def setUp(self):
        super().setUp()
        self.master, self.slave = pty.openpty()
        self.seen = ""
        self.before = termios.tcgetattr(self.slave)

    def undo(self):
        super().undo()
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)

    def start(self, config, before=()):
        """In a session of its own, whose terminal is ours."""
        def take_terminal():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        child = subprocess.Popen([*before, *self.argv(config)], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                 start_new_session=True, preexec_fn=take_terminal)
        self.children.append(child)
        return child

    def wait_for(self, pattern):
        """Until the screen shows it; what is behind it is for the next call."""
        end = time.monotonic() + DEADLINE_S
        while True:
            found = re.search(pattern, self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            self.assertTrue(ready, f"the screen never shows {pattern}: {self.seen}")
            self.seen += os.read(self.master, 4096).decode(errors="replace")

    def type(self, keys):
        os.write(self.master, keys)

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & RAW_OFF

    def end(self, child, code):
        self.assertEqual(child.wait(DEADLINE_S), code)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def spinning(self):
        child = self.start(self.config("spin"))
        self.wait_for("spinning\r\n")
        self.assertTrue(self.is_raw())
        return child

    def test_keys_are_the_guest_s_and_nothing_is_echoed(self):
        child = self.start(self.config("echo"))
        self.wait_for("Ctrl-A x ends the VM")
        self.wait_for("echo\r\n")
        self.type(b"a\x03\x1a\x04\x01\x01.")  # what a terminal of its own would make of three of them: signals and an end
        self.assertEqual(self.wait_for(r"(.*)ok echo (\d+)\r\n")[2], "6")
        self.end(child, 0)

    def test_ctrl_a_x_ends_the_vm(self):
        child = self.spinning()
        self.type(b"\x01x")
        self.end(child, 0)
        self.assert_nothing_left()

    def test_ctrl_a_h_explains(self):
        child = self.spinning()
        self.wait_for("(?s).*")
        self.type(b"\x01h")
        self.wait_for("Ctrl-A x ends the VM, Ctrl-A Ctrl-A is Ctrl-A")
        self.type(b"\x01x")
        self.end(child, 0)

    def test_a_guest_that_takes_no_key_can_be_ended(self):
        child = self.spinning()
        for _ in range(80):
            self.type(bytes(1024))  # more than its pipe has room for
        self.type(b"\x01x")
        self.end(child, 0)

    def test_the_terminal_is_given_back_however_the_guest_ends(self):
        for word, code in (("hello", 0), ("reset", 3), ("triple", 4)):
            with self.subTest(word):
                self.end(self.start(self.config(word)), code)

    def test_the_terminal_is_given_back_after_a_refusal(self):
        self.end(self.start(self.config(kernel=self.file("text", b"no kernel" * 500))), 1)
        self.wait_for("error: cannot boot: ")
        self.assert_nothing_left()

    def test_the_terminal_is_given_back_after_a_signal(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(number):
                child = self.spinning()
                child.send_signal(number)
                self.end(child, 0)
                self.assert_nothing_left()

    def test_the_terminal_is_given_back_when_the_broker_is_killed(self):
        child = self.spinning()
        os.kill(self.status()["broker_pid"], signal.SIGKILL)
        self.end(child, 128 + signal.SIGKILL)
        self.assert_nothing_left()

    def test_the_terminal_is_given_back_when_the_spawner_is_killed(self):
        child = self.spinning()
        pids = self.status()
        os.kill(pids["spawner_pid"], signal.SIGKILL)
        self.end(child, 128 + signal.SIGKILL)
        os.kill(pids["broker_pid"], signal.SIGTERM)  # the VM goes on
        self.end_of_children()

    def test_it_stands_still_and_goes_on(self):
        child = self.spinning()
        child.send_signal(signal.SIGTSTP)
        _, status = os.waitpid(child.pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(status))
        self.assertEqual(termios.tcgetattr(self.slave), self.before)
        child.send_signal(signal.SIGCONT)
        self.type(b"\x01")  # taken by whoever reads the terminal, once it does
        self.type(b"x")
        self.end(child, 0)

    def test_no_vm_outlives_its_terminal(self):
        child = self.spinning()
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = -1
        self.assertEqual(child.wait(DEADLINE_S), 0)
        self.assert_nothing_left()

    def test_a_vm_goes_on_without_who_holds_its_terminal(self):
        # A shell above it that stays: the first of a session takes all others along.
        shell = self.start(self.config("spin"), ["sh", "-c", '"$@"; kill -STOP $$', "sh"])
        self.wait_for("spinning\r\n")
        spawner = self.status()["spawner_pid"]
        with open(f"/proc/{spawner}/stat") as stat:
            os.kill(int(stat.read().split()[3]), signal.SIGKILL)
        os.waitpid(shell.pid, os.WUNTRACED)
        self.assertEqual(self.status()["spawner_pid"], spawner)
        os.kill(spawner, signal.SIGTERM)
        self.assertEqual(os.waitpid(spawner, 0)[1], 0)
        shell.kill()
        shell.wait(DEADLINE_S)
        self.assert_nothing_left()

    def test_without_a_serial_port_the_terminal_is_left_alone(self):
        child = self.start(self.config("spin", more="memory: 64M\nserial: none"))
        self.wait_for("ready vm=")
        self.assertFalse(self.is_raw())
        self.type(b"\x03")  # Ctrl-C, which is a signal here
        self.end(child, 0)

    def test_an_input_that_is_no_terminal_needs_nobody_between(self):
        child = super().start(self.config("spin"))
        self.assertEqual(self.line(child), "spinning\n")
        self.assertEqual(self.status()["spawner_pid"], child.pid)


if __name__ == "__main__":
    main()
