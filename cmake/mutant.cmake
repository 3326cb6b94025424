# BULKHEAD_MUTANT=NAME: everything is built from a copy of the tree with one historical mistake put back (tests/mutants).
# The copy lies in the build directory; "none" is a copy without a mistake. Sets BULKHEAD_ROOT, whence the rooms come.
set(BULKHEAD_ROOT ${PROJECT_SOURCE_DIR})
if(BULKHEAD_MUTANT)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  execute_process(
    COMMAND ${Python3_EXECUTABLE} -B ${PROJECT_SOURCE_DIR}/tests/mutants/run --tree ${CMAKE_BINARY_DIR}/mutant
            ${BULKHEAD_MUTANT}
    RESULT_VARIABLE mutant_status ERROR_VARIABLE mutant_words)
  if(NOT mutant_status EQUAL 0)
    message(FATAL_ERROR "${mutant_words}")
  endif()
  message(STATUS "Mutant: ${BULKHEAD_MUTANT}: never ship this build")
  if(NOT BULKHEAD_MUTANT STREQUAL "none") # the driver of "none" keeps its copy by itself
    file(GLOB_RECURSE originals CONFIGURE_DEPENDS
      ${BULKHEAD_ROOT}/proto/* ${BULKHEAD_ROOT}/sandbox/* ${BULKHEAD_ROOT}/broker/* ${BULKHEAD_ROOT}/workers/*)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${originals})
  endif()
  set(BULKHEAD_ROOT ${CMAKE_BINARY_DIR}/mutant)
  set(PROJECT_SOURCE_DIR ${BULKHEAD_ROOT}) # what the rooms and the include path go by
endif()
