# Flags every target of the project is built with. The instruction set stays the x86-64 baseline:
# kernels that need more are single files with their own flags (engine/cpu), chosen at run time.
add_library(kvasir_flags INTERFACE)
target_include_directories(kvasir_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(kvasir_flags INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-align -Wimplicit-fallthrough
  -Wswitch -Wnull-dereference -fno-omit-frame-pointer -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these in code that it inlined from the standard library and Boost; clang has no such findings.
  target_compile_options(kvasir_flags INTERFACE -Wno-maybe-uninitialized -Wno-null-dereference -Wno-restrict
    -Wno-stringop-overflow -Wno-array-bounds -Wno-dangling-pointer)
endif()
if(KVASIR_SANITIZE)
  target_compile_options(kvasir_flags INTERFACE -fsanitize=${KVASIR_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(kvasir_flags INTERFACE -fsanitize=${KVASIR_SANITIZE})
endif()
if(KVASIR_SANITIZE MATCHES "thread")
  # Asio uses atomic_thread_fence, which TSan does not model; its queues are locked anyway.
  target_compile_options(kvasir_flags INTERFACE -Wno-tsan)
endif()
if(KVASIR_FUZZ)
  # clang 14 cannot put UBSan's function signatures before the parts of a coroutine.
  target_compile_options(kvasir_flags INTERFACE -fsanitize=fuzzer-no-link -fno-sanitize=function)
endif()
find_program(KVASIR_CCACHE ccache)
if(KVASIR_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${KVASIR_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${KVASIR_CCACHE})
endif()

# kvasir_library(NAME [LINK libs...]): a static library of every .cpp directly in this folder and in the given SUBDIRS.
function(kvasir_library name)
  cmake_parse_arguments(arg "" "" "LINK;SUBDIRS;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  foreach(dir ${arg_SUBDIRS})
    file(GLOB_RECURSE more CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/*.cpp)
    list(APPEND sources ${more})
  endforeach()
  foreach(file ${arg_EXCLUDE})
    list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC kvasir_flags ${arg_LINK})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE kvasir_flags ${arg_LINK})
  endif()
endfunction()
