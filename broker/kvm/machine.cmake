# The machine around the devices: vCPU threads, the bus, and the platform of the architecture. A library of its own, so
# that its tests need neither devices nor a loop.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(platform arm64/platform.c arm64/gic.c arm64/pl011.c)
else()
  set(platform x86/platform.c x86/cpuid.c x86/reach.c x86/start.c x86/uart16550.c x86/power_ports.c)
endif()

bulkhead_library(bulkhead_machine
  SOURCES
    bus.c
    ending.c
    serial.c
    vcpu.c
    vcpu_exit.c
    ${platform}
  LINK bulkhead_memory bulkhead_base pthread)
