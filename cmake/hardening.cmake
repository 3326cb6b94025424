# Warnings for everybody, hardening for the builds that ship, sanitizers for the builds that test.
# FORTIFY and automatic initialisation stay out of sanitizer builds: they hide what those look for.
include(CheckCCompilerFlag)

# An assert says "our own bug, stop here": it stays in every build.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

add_library(bulkhead_flags INTERFACE)
target_include_directories(bulkhead_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(bulkhead_flags INTERFACE _GNU_SOURCE BULKHEAD_VERSION="${PROJECT_VERSION}")
target_compile_options(bulkhead_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wvla -Wformat=2 -Wundef -Wno-missing-field-initializers>
  -fno-strict-aliasing -fno-common)
if(BULKHEAD_WERROR)
  target_compile_options(bulkhead_flags INTERFACE -Werror)
endif()

if(BULKHEAD_FUZZ)
  # Coverage for libFuzzer in every room; only the fuzz targets link its main.
  target_compile_options(bulkhead_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-fsanitize=fuzzer-no-link>)
endif()
if(BULKHEAD_COVERAGE)
  # Counters are atomic, because lanes are threads.
  target_compile_options(bulkhead_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C>:--coverage -fprofile-abs-path -fprofile-update=atomic>)
  target_link_options(bulkhead_flags INTERFACE --coverage)
endif()
if(BULKHEAD_SANITIZE)
  target_compile_options(bulkhead_flags INTERFACE
    -fsanitize=${BULKHEAD_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(bulkhead_flags INTERFACE -fsanitize=${BULKHEAD_SANITIZE})
  if(BULKHEAD_SANITIZE MATCHES "thread" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    # It says so of each fence, which it takes for none; the test's model guest has two.
    target_compile_options(bulkhead_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Wno-tsan>)
  endif()
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(BULKHEAD_HARDENING)
  foreach(flag -fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero
               -fzero-call-used-regs=used-gpr -fcf-protection=full)
    string(MAKE_C_IDENTIFIER "HAVE${flag}" have)
    check_c_compiler_flag(${flag} ${have})
    if(${have})
      list(APPEND BULKHEAD_HARDENING ${flag})
    endif()
  endforeach()
  target_compile_options(bulkhead_flags INTERFACE
    "$<$<COMPILE_LANGUAGE:C>:${BULKHEAD_HARDENING}>"
    $<$<COMPILE_LANGUAGE:C>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3>)
  target_link_options(bulkhead_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code)
  # What ships is optimised as a whole: a fifth of the instructions of a request. Libraries hold both forms; a program without the
  # property BULKHEAD_WHOLE (targets.cmake) takes the plain one, as tests do, whose links are many. Where code is made by the link,
  # that must know how it is hardened.
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT BULKHEAD_MUTANT)
    set(BULKHEAD_WHOLE_OBJECTS -flto=auto -ffat-lto-objects)
    target_link_options(bulkhead_flags INTERFACE
      "$<IF:$<BOOL:$<TARGET_PROPERTY:BULKHEAD_WHOLE>>,-flto=auto;-fno-strict-aliasing;${BULKHEAD_HARDENING},-fno-lto>")
  endif()
endif()
