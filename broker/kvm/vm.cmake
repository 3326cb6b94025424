# What is there before processors and devices are. Libraries of their own: they need no loop, and tests take them into
# machines that have little else.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(kvm_arch arm64)
else()
  set(kvm_arch x86)
endif()

# What a host has and a VM would need: asked by `bulkhead doctor` too.
bulkhead_library(bulkhead_kvm_host SOURCES host.c layout.c regions.c why.c width.c windows.c ${kvm_arch}/host_width.c
  LINK bulkhead_proto bulkhead_base)

bulkhead_library(bulkhead_kvm_vm SOURCES vm.c vm_slots.c LINK bulkhead_kvm_host bulkhead_memory bulkhead_base)
