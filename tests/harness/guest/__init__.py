# Boots and drives real Linux guests for the tests and the demo: QEMU, its monitor, an agent in the guest, and the
# back-end that serves its devices. Standard library only. Rule of the whole package: wait for an event with a
# deadline, never for a while.
# SPDX-License-Identifier: Apache-2.0
