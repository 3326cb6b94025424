# The broker's side of a boot, with shorter times.
bulkhead_test(test_kvm_boot SOURCES test_kvm_boot.c boot_rig.c ${PROJECT_SOURCE_DIR}/broker/kvm/boot.c
  ${PROJECT_SOURCE_DIR}/broker/kvm/boot_lane.c LINK bulkhead_core LABELS unit)
target_compile_definitions(test_kvm_boot PRIVATE
  LIMIT_SPAWN_MS=300u LIMIT_HELLO_MS=300u LIMIT_BOOT_MS=300u LIMIT_KILL_MS=500u)
