# A build for arm64 on another machine, with Debian's cross compiler and the libraries that packaging/foreign fetches:
#
#   packaging/foreign arm64 build/arm64
#   cmake -S . -B build-arm64 -G Ninja --toolchain cmake/aarch64.cmake
#
# BULKHEAD_SYSROOT says where else the libraries lie.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_ASM_COMPILER aarch64-linux-gnu-gcc)
set(BULKHEAD_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../build/arm64/sysroot CACHE PATH "libraries of arm64")
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES BULKHEAD_SYSROOT)
get_filename_component(CMAKE_SYSROOT ${BULKHEAD_SYSROOT} REALPATH)
if(NOT EXISTS ${CMAKE_SYSROOT}/usr/lib)
  message(FATAL_ERROR "no libraries of arm64 in ${CMAKE_SYSROOT}; fetch them with: packaging/foreign arm64 build/arm64")
endif()

set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${CMAKE_SYSROOT})
