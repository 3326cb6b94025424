find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
pkg_check_modules(CAPNG REQUIRED IMPORTED_TARGET libcap-ng)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(CYAML REQUIRED IMPORTED_TARGET libcyaml)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(SMARTCOLS REQUIRED IMPORTED_TARGET smartcols)
find_program(PROTOC_C protoc-c REQUIRED)
find_library(PROTOBUF_C_STATIC libprotobuf-c.a REQUIRED)
find_library(FDT_STATIC libfdt.a REQUIRED) # the loader is static-pie
find_library(FUSE_STATIC libfuse3.a REQUIRED) # and so is the worker of shared directories
if(BULKHEAD_TESTS)
  pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
endif()
find_program(SCDOC scdoc)

# A fuzzer that cannot see inside protobuf-c finds almost nothing: with the archive its coverage stays at ten edges.
if(BULKHEAD_FUZZ AND NOT BULKHEAD_PROTOBUF_C_SOURCE)
  execute_process(COMMAND ${PROJECT_SOURCE_DIR}/packaging/source protobuf-c ${CMAKE_BINARY_DIR}/protobuf-c
                  RESULT_VARIABLE source_status ERROR_VARIABLE source_words OUTPUT_QUIET)
  if(source_status EQUAL 0)
    set(BULKHEAD_PROTOBUF_C_SOURCE ${CMAKE_BINARY_DIR}/protobuf-c)
  else()
    message(WARNING "protobuf-c is NOT instrumented, its source could not be had: fuzzing of messages is all but blind.\n"
                    "${source_words}"
                    "With an unpacked source at hand: -DBULKHEAD_PROTOBUF_C_SOURCE=DIR")
  endif()
endif()
