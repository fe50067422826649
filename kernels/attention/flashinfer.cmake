# FlashInfer's attention kernels are headers, compiled into our own launchers (paged_attention_*.cu)
# and never part of this source tree. chorus_fetch_flashinfer(RESULT) takes the wheel from PyPI with
# pip, checks it against the hash below, unpacks the headers and the licence, and sets RESULT to the
# folder to include from. Without network, CHORUS_FLASHINFER_WHEEL names a wheel that is here.
set(CHORUS_FLASHINFER_VERSION 0.7.2.post1)
set(CHORUS_FLASHINFER_SHA256 bfdc18b9e1e4d8d0730fe4343dc0e284cd0c160086de80f99888bc4867922d49)
set(CHORUS_FLASHINFER_WHEEL "" CACHE FILEPATH "FlashInfer wheel to take the headers from; empty: PyPI")

function(chorus_check_flashinfer_wheel wheel)
  file(SHA256 ${wheel} found)
  if(NOT found STREQUAL CHORUS_FLASHINFER_SHA256)
    message(FATAL_ERROR
      "${wheel} is not the FlashInfer ${CHORUS_FLASHINFER_VERSION} that Chorus was written for:\n"
      "  SHA-256 found ${found}\n  SHA-256 want  ${CHORUS_FLASHINFER_SHA256}")
  endif()
endfunction()

# Leaves the wheel in `folder`.
function(chorus_download_flashinfer folder wheel)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  message(STATUS "Chorus: fetching FlashInfer ${CHORUS_FLASHINFER_VERSION} (62 MB) from PyPI")
  execute_process(
    COMMAND ${Python3_EXECUTABLE} -m pip download --quiet --no-deps --no-cache-dir
            --only-binary=:all: --dest ${folder} flashinfer-python==${CHORUS_FLASHINFER_VERSION}
    RESULT_VARIABLE result ERROR_VARIABLE error)
  if(NOT result EQUAL 0 OR NOT EXISTS ${wheel})
    message(FATAL_ERROR
      "The CUDA backend needs the headers of flashinfer-python ${CHORUS_FLASHINFER_VERSION}, and pip "
      "could not fetch them:\n${error}\nEither fetch the wheel elsewhere and configure with "
      "-DCHORUS_FLASHINFER_WHEEL=/path/to/the.whl, or build without CUDA: -DCHORUS_CUDA=OFF.")
  endif()
endfunction()

function(chorus_fetch_flashinfer result)
  string(SUBSTRING ${CHORUS_FLASHINFER_SHA256} 0 12 short)
  set(folder ${CMAKE_BINARY_DIR}/third_party/flashinfer-${short})
  if(NOT EXISTS ${folder})
    set(work ${folder}.part)
    set(wheel ${CHORUS_FLASHINFER_WHEEL})
    if(NOT wheel)
      set(wheel ${work}/flashinfer_python-${CHORUS_FLASHINFER_VERSION}-py3-none-any.whl)
      chorus_download_flashinfer(${work} ${wheel})
    endif()
    chorus_check_flashinfer_wheel(${wheel})
    file(ARCHIVE_EXTRACT INPUT ${wheel} DESTINATION ${work}
         PATTERNS "flashinfer/data/include/*" "*.dist-info/licenses/*")
    if(NOT CHORUS_FLASHINFER_WHEEL)
      file(REMOVE ${wheel})
    endif()
    file(RENAME ${work} ${folder})  # in one step: a configure that was cut short starts again
  endif()
  set(${result} ${folder}/flashinfer/data/include PARENT_SCOPE)
endfunction()
