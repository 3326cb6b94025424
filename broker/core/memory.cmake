# Guest memory, shared memory regions, rings, feature bits and the request table: everything that touches what a guest wrote, and nothing that waits.
bulkhead_library(bulkhead_memory
  SOURCES ${CMAKE_CURRENT_LIST_DIR}/fault_safe.c
          ${CMAKE_CURRENT_LIST_DIR}/fault_safe_x86_64.S
          ${CMAKE_CURRENT_LIST_DIR}/fault_safe_aarch64.S
          ${CMAKE_CURRENT_LIST_DIR}/features.c
          ${CMAKE_CURRENT_LIST_DIR}/interval_map.c
          ${CMAKE_CURRENT_LIST_DIR}/guest_memory.c
          ${CMAKE_CURRENT_LIST_DIR}/iotlb.c
          ${CMAKE_CURRENT_LIST_DIR}/local_file_system.c
          ${CMAKE_CURRENT_LIST_DIR}/miss_list.c
          ${CMAKE_CURRENT_LIST_DIR}/queue.c
          ${CMAKE_CURRENT_LIST_DIR}/queue_packed.c
          ${CMAKE_CURRENT_LIST_DIR}/queue_split.c
          ${CMAKE_CURRENT_LIST_DIR}/queue_walk.c
          ${CMAKE_CURRENT_LIST_DIR}/ring_view.c
          ${CMAKE_CURRENT_LIST_DIR}/request_table.c
          ${CMAKE_CURRENT_LIST_DIR}/sealed_memory.c
          ${CMAKE_CURRENT_LIST_DIR}/shmem.c
          ${CMAKE_CURRENT_LIST_DIR}/shmem_file.c
          ${CMAKE_CURRENT_LIST_DIR}/shmem_ledger.c)
if(BULKHEAD_SANITIZE MATCHES "address")
  # The assembly is not instrumented: wrappers show its ranges to the sanitizer.
  target_compile_definitions(bulkhead_memory PRIVATE FAULT_SAFE_CHECKED)
endif()
