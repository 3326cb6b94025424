# Whether a VM fits a host, on real ones.

# Static: it is all there is of a machine that a test boots.
if(NOT BULKHEAD_SANITIZE)
  add_executable(kvm_probe kvm_probe.c kvm_touch.c)
  target_link_libraries(kvm_probe PRIVATE bulkhead_flags bulkhead_kvm_vm)
  target_link_options(kvm_probe PRIVATE -static)
  set_target_properties(kvm_probe PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endif()

# On emulated arm64 hosts, where KVM works: each claim boots one. The first fetches and builds what the others need.
if(NOT BULKHEAD_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  add_test(NAME arm64_is_at_hand COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/test_widths.py arm64_is_at_hand)
  set_tests_properties(arm64_is_at_hand PROPERTIES FIXTURES_SETUP arm64 TIMEOUT 430)
  set(arm64_claims arm64_is_at_hand)
  foreach(bits 32 36 40 44 48)
    set(claim vm_fits_a_host_of_${bits}_bits_or_is_refused)
    add_test(NAME ${claim} COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_SOURCE_DIR}/test_widths.py ${claim})
    set_tests_properties(${claim} PROPERTIES FIXTURES_REQUIRED arm64 TIMEOUT 120)
    list(APPEND arm64_claims ${claim})
  endforeach()
  set_tests_properties(${arm64_claims} PROPERTIES LABELS kvm SKIP_RETURN_CODE 77 ENVIRONMENT "BULKHEAD_BUILD=${CMAKE_BINARY_DIR}")
endif()
