option(BULKHEAD_TESTS "build the tests" ON)
option(BULKHEAD_FUZZ "build the libFuzzer targets (clang only)" OFF)
option(BULKHEAD_WERROR "treat warnings as errors" OFF)
set(BULKHEAD_SANITIZE "" CACHE STRING "sanitizers for everything: address,undefined or thread")
set(BULKHEAD_PLAIN_BUILD "" CACHE PATH
    "build directory whose workers a sanitizer build takes; empty: it makes one of its own (tests/sanitized)")
set(BULKHEAD_PROTOBUF_C_SOURCE "" CACHE PATH
    "unpacked source of protobuf-c, built here with the sanitizers and coverage of a fuzz build instead of the archive")
set(BULKHEAD_MUTANT "" CACHE STRING "a mistake of tests/mutants that is put back into a copy of the sources; none: the copy alone")
option(BULKHEAD_COVERAGE "count lines and branches with gcov (tests/run --coverage)" OFF)
