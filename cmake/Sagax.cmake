# What every library and test of sagax has in common.

add_library(sagax_flags INTERFACE)
target_include_directories(sagax_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(sagax_flags INTERFACE _POSIX_C_SOURCE=200809L)
target_compile_options(sagax_flags INTERFACE -Wall -Wextra -Wshadow -Wconversion
                       -Wmissing-prototypes -Wstrict-prototypes -fno-math-errno)
if(SAGAX_STRICT)
  target_compile_options(sagax_flags INTERFACE -Werror)
endif()
if(SAGAX_SANITIZE)
  target_compile_options(sagax_flags INTERFACE -fsanitize=address,undefined -fno-omit-frame-pointer
                         -fno-sanitize-recover=undefined)
  target_link_options(sagax_flags INTERFACE -fsanitize=address,undefined)
  target_compile_definitions(sagax_flags INTERFACE SAGAX_SANITIZED)
endif()

if(SAGAX_FUZZ)
  target_compile_options(sagax_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# sagax_library(name SOURCES a.c ... DEPS libraries ...)
function(sagax_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name} PUBLIC sagax_flags ${A_DEPS} m)
endfunction()

# What Open MPI and OpenBLAS need to run many small ranks as any user on a small machine.
set(SAGAX_TEST_ENVIRONMENT
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
    OMPI_MCA_mpi_yield_when_idle=1 "OMPI_MCA_sharedfp=^sm" OMPI_MCA_btl=self,vader
    OPENBLAS_NUM_THREADS=1 CK_FORK=no CK_DEFAULT_TIMEOUT=600
    ASAN_OPTIONS=detect_leaks=0 SAGAX_SOURCE_DIR=${CMAKE_SOURCE_DIR}
    SAGAX_SHARED=${CMAKE_SOURCE_DIR}/../shared)

# sagax_test(name SOURCES test_x.c DEPS sx_base ... LABELS unit [NP 1 2 3] [TIMEOUT s])
# A Check program; with NP one ctest entry a rank count, run under mpiexec.
function(sagax_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;DEPS;LABELS;NP" ${ARGN})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 900) # ten times what one takes under sanitizers, on a crowded machine
  endif()
  add_executable(test_${name} ${A_SOURCES})
  target_link_libraries(test_${name} PRIVATE ${A_DEPS} sagax_flags PkgConfig::CHECK m)
  set(tests "")
  if(A_NP)
    foreach(np ${A_NP})
      add_test(NAME ${name}_np${np} COMMAND ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${np}
               $<TARGET_FILE:test_${name}>)
      set_tests_properties(${name}_np${np} PROPERTIES PROCESSORS ${np})
      list(APPEND tests ${name}_np${np})
    endforeach()
  else()
    add_test(NAME ${name} COMMAND test_${name})
    list(APPEND tests ${name})
    # The C library fills what is allocated and freed: whoever reads it there, libraries too, shows.
    # Not under mpiexec, which then crashes itself now and then (Open MPI 4.1, as it tells of an abort).
    set(filled MALLOC_PERTURB_=165)
  endif()
  set_tests_properties(${tests} PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT}
                       ENVIRONMENT "${SAGAX_TEST_ENVIRONMENT};${filled}" SKIP_RETURN_CODE 77)
endfunction()

# sagax_script(name script.sh LABELS cli [TIMEOUT s] [ARGS ...]): a shell test; the program is
# in $SAGAX, an empty folder of its own is the working directory, exit 77 means skipped.
function(sagax_script name script)
  cmake_parse_arguments(A "" "TIMEOUT" "LABELS;ARGS" ${ARGN})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 600)
  endif()
  set(folder ${CMAKE_BINARY_DIR}/scratch/${name})
  file(MAKE_DIRECTORY ${folder})
  add_test(NAME ${name} COMMAND bash ${CMAKE_CURRENT_SOURCE_DIR}/${script} ${A_ARGS}
           WORKING_DIRECTORY ${folder})
  set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}" TIMEOUT ${A_TIMEOUT} SKIP_RETURN_CODE 77
    ENVIRONMENT "${SAGAX_TEST_ENVIRONMENT};SAGAX=$<TARGET_FILE:sagax>;SAGAX_GATE=$<TARGET_FILE:gate>;MPIEXEC=${MPIEXEC_EXECUTABLE}")
endfunction()
