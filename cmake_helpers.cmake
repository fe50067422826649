# What most files include of the standard library, Abseil and JSON, and tests of GoogleTest, is parsed
# once. A file still includes what it uses: clang reads all that see a mutex without
# (tests/thread_safety). Kernels have flags of their own, and none of this.
set(precompiled
  <algorithm> <atomic> <chrono> <functional> <memory> <optional> <span> <string> <string_view>
  <thread> <utility> <variant> <vector> <absl/container/flat_hash_map.h> <absl/status/status.h>
  <absl/status/statusor.h> <absl/strings/str_cat.h> <nlohmann/json.hpp>)
set(precompiled_for_tests ${precompiled} <gmock/gmock.h> <gtest/gtest.h>)
set(test_options $<$<CONFIG:Release>:-O1>)  # what they test is optimised; they take longer to compile
foreach(name precompiled precompiled_for_tests)
  file(CONFIGURE OUTPUT ${name}.cc CONTENT "")
  add_library(chorus_${name} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cc)
  target_precompile_headers(chorus_${name} PRIVATE ${${name}})
endforeach()
# Tests are programs, which CMake compiles with -fPIE.
set_target_properties(chorus_precompiled_for_tests PROPERTIES POSITION_INDEPENDENT_CODE OFF)
target_compile_options(chorus_precompiled_for_tests PRIVATE -fPIE ${test_options})
target_compile_definitions(chorus_precompiled_for_tests PRIVATE GTEST_HAS_PTHREAD=1)

# Lets the target use them. GCC 12 then no longer knows its std::string for the system's, and warns of
# it (bug 105651).
function(chorus_precompile name headers)
  target_precompile_headers(${name} REUSE_FROM ${headers})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${name} PRIVATE
      "$<$<COMPILE_LANGUAGE:CXX>:-Wno-array-bounds;-Wno-stringop-overflow;-Wno-stringop-overread>")
  endif()
endfunction()

# chorus_library(NAME [KERNELS] SRCS … [DEPS …] [LINK …]): one library per folder. DEPS are seen by
# its users (types in its headers), LINK only by its own sources. KERNELS have flags of their own.
function(chorus_library name)
  cmake_parse_arguments(ARG "KERNELS" "" "SRCS;DEPS;LINK" ${ARGN})
  if(ARG_SRCS)
    add_library(${name} STATIC ${ARG_SRCS})
    if(NOT ARG_KERNELS)
      chorus_precompile(${name} chorus_precompiled)
    endif()
    target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_LINK})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name} INTERFACE ${ARG_DEPS})
  endif()
endfunction()

# chorus_cuda_code(NAME [THIRD_PARTY] [OLDEST_AS_PTX]): the target's .cu files are built for every
# architecture that has a variant, and for newer ones as PTX. A kernel of ours that spills or uses
# local memory is an error; THIRD_PARTY kernels (instantiations of a library's templates) are let
# through. In ours a multiply and an add are fused where the code says so and nowhere else, as on the
# CPU. OLDEST_AS_PTX: the oldest architecture's code alone, as PTX, which every newer GPU runs.
function(chorus_cuda_code name)
  cmake_parse_arguments(ARG "THIRD_PARTY;OLDEST_AS_PTX" "" "" ${ARGN})
  set(flags
    "SHELL:-gencode arch=compute_80,code=sm_80"
    "SHELL:-gencode arch=compute_90a,code=sm_90a"
    "SHELL:-gencode arch=compute_90,code=compute_90")
  if(ARG_OLDEST_AS_PTX)
    set(flags "SHELL:-gencode arch=compute_80,code=compute_80")
  endif()
  if(NOT ARG_THIRD_PARTY)
    list(APPEND flags "-fmad=false"
      "SHELL:-Xptxas --warn-on-spills,--warn-on-local-memory-usage,--warning-as-error")
  endif()
  foreach(flag ${flags})
    target_compile_options(${name} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${flag}>")
  endforeach()
endfunction()

# chorus_test(NAME LABEL label [SANITIZED] [TIMEOUT s] SRCS … DEPS …): a GoogleTest program, one
# ctest entry, one label that says what it is. SANITIZED puts it also in the subset that every run of
# tests/run builds and runs under asan and tsan: what has threads or touches memory by hand.
# GPU programs, tests of the label gpu and benches, are what a machine without a GPU can only build.
add_custom_target(sanitized_subset)
add_custom_target(gpu_programs)
function(chorus_test name)
  cmake_parse_arguments(ARG "SANITIZED" "LABEL;TIMEOUT" "SRCS;DEPS" ${ARGN})
  if(NOT ARG_LABEL)
    set(ARG_LABEL unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 240)
  endif()
  if(CHORUS_SANITIZE)
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")
  endif()
  add_executable(${name} ${ARG_SRCS})
  chorus_precompile(${name} chorus_precompiled_for_tests)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${name} PRIVATE CHORUS_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_compile_options(${name} PRIVATE ${test_options})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  if(TARGET chorus_tsan_sync)
    target_link_libraries(${name} PRIVATE chorus_tsan_sync)
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set(labels ${ARG_LABEL})
  if(ARG_SANITIZED)
    list(APPEND labels sanitized)
    add_dependencies(sanitized_subset ${name})
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${ARG_TIMEOUT})
  if(ARG_LABEL STREQUAL gpu)
    add_dependencies(gpu_programs ${name})
  endif()
  if(ARG_LABEL STREQUAL simt)  # fibers are abandoned: stacks that outlive a return cost 8 times as much
    set_tests_properties(${name} PROPERTIES
      ENVIRONMENT "ASAN_OPTIONS=detect_stack_use_after_return=0:strict_string_checks=1")
  endif()
endfunction()

# chorus_simt_kernels(NAME SRCS kernels/….cu … [DEPS …]): kernel sources, paths from the project's
# root, compiled by the host's compiler for the SIMT executor. Call it below tests/: the properties
# that it sets are the folder's own.
function(chorus_simt_kernels name)
  cmake_parse_arguments(ARG "" "" "SRCS;DEPS" ${ARGN})
  list(TRANSFORM ARG_SRCS PREPEND ${PROJECT_SOURCE_DIR}/)
  set_source_files_properties(${ARG_SRCS} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++")
  chorus_library(${name} KERNELS SRCS ${ARG_SRCS} DEPS chorus_simt ${ARG_DEPS})
endfunction()

# chorus_python_test(NAME LABEL label [TIMEOUT s] FILES … [ENVIRONMENT "A=b" …]): pytest files, one
# ctest entry. CHORUS_BIN_DIR tells them where chorusd and chorus are.
function(chorus_python_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "FILES;ENVIRONMENT" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 240)
  endif()
  if(CHORUS_SANITIZE)
    math(EXPR ARG_TIMEOUT "5 * ${ARG_TIMEOUT}")
  endif()
  list(TRANSFORM ARG_FILES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/pytest ${ARG_FILES}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES
    LABELS "${ARG_LABEL}" TIMEOUT ${ARG_TIMEOUT} SKIP_RETURN_CODE 77
    ENVIRONMENT "CHORUS_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};${ARG_ENVIRONMENT}")
endfunction()
