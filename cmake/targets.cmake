# bulkhead_library(name SOURCES ... LINK ...): a static library of one room, position independent.
function(bulkhead_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(${name} PUBLIC bulkhead_flags ${arg_LINK})
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:C>:${BULKHEAD_WHOLE_OBJECTS}>)
endfunction()

# bulkhead_whole(name...): a program that is optimised as a whole, where the compiler can (hardening.cmake).
function(bulkhead_whole)
  foreach(name ${ARGN})
    set_target_properties(${name} PROPERTIES BULKHEAD_WHOLE ON)
    target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:C>:${BULKHEAD_WHOLE_OBJECTS}>)
  endforeach()
endfunction()

# bulkhead_program(name SOURCES ... LINK ...): a hardened PIE in build/bin.
function(bulkhead_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(${name} PRIVATE bulkhead_flags ${arg_LINK})
  bulkhead_whole(${name})
  set_property(GLOBAL APPEND PROPERTY BULKHEAD_PROGRAMS $<TARGET_FILE:${name}>) # of tests/lint
  target_link_options(${name} PRIVATE -pie)
  install(TARGETS ${name} DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/bulkhead)
endfunction()

# bulkhead_static(name SOURCES ...): static-pie: no interpreter, nothing to open at start.
# Sanitizer runtimes cannot be linked statically, so such builds make a dynamic PIE for in-process tests only.
function(bulkhead_static name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(${name} PRIVATE bulkhead_flags ${arg_LINK})
  bulkhead_whole(${name})
  set_property(GLOBAL APPEND PROPERTY BULKHEAD_PROGRAMS $<TARGET_FILE:${name}>) # of tests/lint
  if(BULKHEAD_SANITIZE)
    target_link_options(${name} PRIVATE -pie)
  else()
    target_link_options(${name} PRIVATE -static-pie)
  endif()
  install(TARGETS ${name} DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/bulkhead)
endfunction()

# bulkhead_worker(type SOURCES ...): bulkhead-worker-<type>.
function(bulkhead_worker type)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  bulkhead_static(bulkhead-worker-${type} SOURCES ${arg_SOURCES} LINK bulkhead_runtime ${arg_LINK})
endfunction()

# bulkhead_companion(name SOURCES ...): bulkhead-<name>, which stands beside a worker.
function(bulkhead_companion name)
  bulkhead_static(bulkhead-${name} ${ARGN})
endfunction()

# What has threads: all that tests/run builds and runs under the thread sanitizer (preset tsan).
add_custom_target(bulkhead_threaded)

# bulkhead_test(name SOURCES ... LINK ... LABELS ...): a cmocka program registered with ctest.
function(bulkhead_test name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;LABELS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE bulkhead_flags ${arg_LINK} PkgConfig::CMOCKA)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(name MATCHES "^test_core_")
    add_dependencies(bulkhead_threaded ${name})
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 360 SKIP_RETURN_CODE 77)
endfunction()

# bulkhead_test_load(quarters seconds test...): what the tests keep busy, in quarters of a core, and about how long one
# takes. tests/run runs four tests a core, those that take long first; who says nothing waits most of the time, or is over
# in a moment.
function(bulkhead_test_load quarters seconds)
  set_tests_properties(${ARGN} PROPERTIES PROCESSORS ${quarters} COST ${seconds})
endfunction()

# bulkhead_fuzz(name SOURCES ... LINK ...): libFuzzer target in a fuzz build, a corpus replayer in any other.
function(bulkhead_fuzz name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  set(corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
  if(BULKHEAD_FUZZ)
    add_executable(fuzz_${name} ${arg_SOURCES})
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  else()
    add_executable(fuzz_${name} ${arg_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.c)
    add_test(NAME fuzz_${name}_corpus COMMAND fuzz_${name} ${corpus})
    set_tests_properties(fuzz_${name}_corpus PROPERTIES LABELS "fuzz" TIMEOUT 360)
  endif()
  if(NOT TARGET fuzz_targets)
    add_custom_target(fuzz_targets)
  endif()
  add_dependencies(fuzz_targets fuzz_${name})
  target_link_libraries(fuzz_${name} PRIVATE bulkhead_flags ${arg_LINK} bulkhead_base)
  set_target_properties(fuzz_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
endfunction()
