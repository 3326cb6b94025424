"""What the tests of the operator's command stand on: a folder with the program, a configuration, brokers that answer somehow.

A test that imports it is run as TEST BULKHEAD FAKE_BROKER.
SPDX-License-Identifier: Apache-2.0
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

BULKHEAD, FAKE_BROKER = sys.argv[1:3]
EXAMPLE = """vm: demo
frontend: vhost-user
devices:
  - {name: disk0, type: blk, path: demo.img, read_only: false, queues: 2}
  - {name: rng0, type: rng}
"""


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="bulkhead-test-")
        self.run_dir = os.path.join(self.dir, "run")
        os.mkdir(self.run_dir)
        self.children = []
        # The program looks for its companions in its own folder.
        self.bin = os.path.join(self.dir, "bin")
        os.mkdir(self.bin)
        self.bulkhead = shutil.copy(BULKHEAD, os.path.join(self.bin, "bulkhead"))
        for name in ("bulkhead-broker", "bulkhead-worker-blk", "bulkhead-worker-rng", "bulkhead-worker-loader"):
            self.program(name, "#!/bin/sh\nexit 0\n")

    def tearDown(self):
        for child in self.children:
            child.kill()
            child.wait()
            child.stdout.close()
        shutil.rmtree(self.dir)

    def program(self, name, text):
        path = os.path.join(self.bin, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o755)

    def run_it(self, *args, code=0, **more):
        got = subprocess.run([self.bulkhead, *args], capture_output=True, text=True, timeout=30, **more)
        self.assertEqual(got.returncode, code, got.stdout + got.stderr)
        return got

    def config(self, text=EXAMPLE, image=1 << 20):
        path = os.path.join(self.dir, "demo.yaml")
        with open(path, "w") as f:
            f.write(text)
        if image is not None:
            with open(os.path.join(self.dir, "demo.img"), "w") as f:
                f.truncate(image)
        return path

    def broker(self, vm, mode="good", broker_pid=0, spawner_pid=0, devices=()):
        os.makedirs(os.path.join(self.run_dir, vm), exist_ok=True)
        child = subprocess.Popen([FAKE_BROKER, os.path.join(self.run_dir, vm, "admin.sock"), vm, mode,
                                  str(broker_pid), str(spawner_pid), *devices],
                                 stdout=subprocess.PIPE, text=True)
        self.assertEqual(child.stdout.readline(), "ready\n")
        self.children.append(child)
        return child


def main():
    signal.alarm(110)
    unittest.main(argv=sys.argv[:1])
