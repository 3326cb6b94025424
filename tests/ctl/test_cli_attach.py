#!/usr/bin/env python3
"""What `bulkhead attach` prints for each VMM.

    test_cli_attach.py BULKHEAD FAKE_BROKER
SPDX-License-Identifier: Apache-2.0
"""
from xml.etree import ElementTree

from cli import EXAMPLE, Case, main


class Attach(Case):
    GOLDEN = """-m
512M
-object
memory-backend-memfd,id=bulkhead-memory,share=on,size=512M
-machine
memory-backend=bulkhead-memory
-chardev
socket,id=bulkhead-disk0-socket,path=/r/demo/disk0.sock{0}
-device
vhost-user-blk-pci,id=bulkhead-disk0,chardev=bulkhead-disk0-socket,num-queues=2
-chardev
socket,id=bulkhead-rng0-socket,path=/r/demo/rng0.sock
-device
vhost-user-rng-pci,id=bulkhead-rng0,chardev=bulkhead-rng0-socket
"""

    def attach(self, *more):
        # The image need not be there: the VMM may be started elsewhere or earlier.
        return self.run_it("attach", self.config(image=None), "--print", "qemu", "--run-dir", "/r", "--memory",
                           "512M", *more).stdout

    def test_arguments_are_exactly_these(self):
        self.assertEqual(self.attach(), self.GOLDEN.format(""))
        self.assertEqual(self.attach("--qemu-version", "7.2"), self.GOLDEN.format(",reconnect=1"))
        self.assertEqual(self.attach("--qemu-version", "9.1.3"), self.GOLDEN.format(",reconnect=1"))
        self.assertEqual(self.attach("--qemu-version", "9.2"), self.GOLDEN.format(",reconnect-ms=1000"))
        self.assertEqual(self.attach("--qemu-version", "11.1"), self.GOLDEN.format(",reconnect-ms=1000"))

    MORE = """  - {name: net0, type: net, queues: 4, mac: "52:54:00:12:34:56", mtu: 9000}
  - {name: share, type: fs, path: /srv, tag: home}
"""
    CONSOLE = "  - {name: con, type: console, ports: [console, agent]}\n"

    def told(self, vmm, devices, *more, code=0):
        path = self.config(EXAMPLE + devices, image=None)
        return self.run_it("attach", path, "--print", vmm, "--run-dir", "/r", *more, code=code)

    def test_qemu_is_told_of_networks_shares_and_consoles(self):
        out = self.told("qemu", self.MORE + self.CONSOLE, "--qemu-version", "10.2").stdout
        self.assertTrue(out.endswith("""-chardev
socket,id=bulkhead-net0-socket,path=/r/demo/net0.sock,reconnect-ms=1000
-netdev
vhost-user,id=bulkhead-net0-net,chardev=bulkhead-net0-socket,queues=2
-device
virtio-net-pci,id=bulkhead-net0,netdev=bulkhead-net0-net,mq=on,mac=52:54:00:12:34:56,host_mtu=9000
-chardev
socket,id=bulkhead-share-socket,path=/r/demo/share.sock
-device
vhost-user-fs-pci,id=bulkhead-share,chardev=bulkhead-share-socket,tag=home,num-request-queues=1
-chardev
socket,id=bulkhead-con-socket,path=/r/demo/con.sock
-device
vhost-user-test-device-pci,id=bulkhead-con,chardev=bulkhead-con-socket,virtio-id=3,num_vqs=6,config_size=12
"""), out)

    def test_a_vmm_that_cannot_have_a_device_is_told_nothing(self):
        for vmm in ("qemu", "libvirt"):
            for version in ((), ("--qemu-version", "10.1")):
                got = self.told(vmm, self.CONSOLE, *version, code=1)
                self.assertEqual(got.stdout, "")
                self.assertRegex(got.stderr, r"\Abulkhead: attach: con: .* since 10.2 only: say --qemu-version .*\n\Z")
        share = "  - {name: share, type: fs, path: /srv, tag: \"a'b&\"}\n"
        for vmm in ("qemu", "cloud-hypervisor", "crosvm"):
            got = self.told(vmm, share, code=1)
            self.assertEqual(got.stdout, "")
            self.assertIn("share: its tag would have to be quoted", got.stderr)
        share = "  - {name: share, type: fs, path: /srv, queues: 3}\n"
        self.assertIn("say queues: 2", self.told("libvirt", share, code=1).stderr)

    def test_libvirt_gets_well_formed_parts_of_a_domain(self):
        qemu = "{http://libvirt.org/schemas/domain/qemu/1.0}"
        out = self.told("libvirt", self.MORE.replace("home", "\"a'b&<\"") + self.CONSOLE, "--qemu-version", "11.1",
                        "--memory", "512M").stdout
        domain = ElementTree.fromstring(out)
        self.assertEqual((domain.find("memory").text, domain.find("memory").get("unit")), ("512", "MiB"))
        self.assertEqual(domain.find("memoryBacking/access").get("mode"), "shared")
        disk = domain.find("devices/disk")
        self.assertEqual(disk.get("type"), "vhostuser")
        self.assertEqual(disk.find("driver").get("queues"), "2")
        self.assertEqual(disk.find("source").get("path"), "/r/demo/disk0.sock")
        self.assertEqual(disk.find("target").get("dev"), "vda")
        net = domain.find("devices/interface")
        self.assertEqual(net.find("source").attrib, {"type": "unix", "path": "/r/demo/net0.sock", "mode": "client"})
        self.assertEqual(net.find("mac").get("address"), "52:54:00:12:34:56")
        self.assertEqual((net.find("driver").get("queues"), net.find("mtu").get("size")), ("2", "9000"))
        share = domain.find("devices/filesystem")
        self.assertEqual(share.find("driver").get("type"), "virtiofs")
        self.assertEqual(share.find("source").get("socket"), "/r/demo/share.sock")
        self.assertEqual(share.find("target").get("dir"), "a'b&<")
        passed = [arg.get("value") for arg in domain.findall(f"{qemu}commandline/{qemu}arg")]
        self.assertEqual([a.split(",")[0] for a in passed[1::2]],
                         ["socket", "vhost-user-rng-pci", "socket", "vhost-user-test-device-pci"])
        only = self.told("libvirt", "").stdout.replace("vhost-user-rng-pci", "")
        self.assertIn("qemu:commandline", only)

    def test_disks_of_a_domain_have_names_of_their_own(self):
        disks = "".join(f"  - {{name: d{i}, type: blk, path: /i{i}}}\n" for i in range(27))
        out = self.told("libvirt", disks).stdout
        names = [target.get("dev") for target in ElementTree.fromstring(out).findall("devices/disk/target")]
        self.assertEqual([names[0], names[1], names[25], names[26], names[27]], ["vda", "vdb", "vdz", "vdaa", "vdab"])

    def test_cloud_hypervisor_is_told_all(self):
        self.assertEqual(self.told("cloud-hypervisor", self.MORE + self.CONSOLE, "--memory", "512M").stdout, """--memory
size=512M,shared=on
--disk
id=bulkhead-disk0,vhost_user=on,socket=/r/demo/disk0.sock,num_queues=2
--generic-vhost-user
id=bulkhead-rng0,socket=/r/demo/rng0.sock,virtio_id=4,queue_sizes=[128]
--net
id=bulkhead-net0,vhost_user=on,socket=/r/demo/net0.sock,num_queues=4,mac=52:54:00:12:34:56,mtu=9000
--fs
id=bulkhead-share,socket=/r/demo/share.sock,tag=home,num_queues=1,queue_size=128
--generic-vhost-user
id=bulkhead-con,socket=/r/demo/con.sock,virtio_id=3,queue_sizes=[128,128,128,128,128,128]
""")

    def test_crosvm_is_told_all(self):
        self.assertEqual(self.told("crosvm", self.MORE + self.CONSOLE, "--memory", "512M").stdout, """--mem
512
--vhost-user
block,socket=/r/demo/disk0.sock
--vhost-user
rng,socket=/r/demo/rng0.sock
--vhost-user
net,socket=/r/demo/net0.sock
--vhost-user-fs
socket=/r/demo/share.sock,tag=home
--vhost-user
console,socket=/r/demo/con.sock
""")

    def test_a_bad_file_gives_no_argument(self):
        got = self.run_it("attach", self.config("vm: demo\n"), "--print", "qemu", code=1)
        self.assertEqual(got.stdout, "")
        self.assertIn("devices: is missing", got.stderr)


if __name__ == "__main__":
    main()
