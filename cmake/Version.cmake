# Target sagax_version: writes sagax_version.h into SAGAX_GENERATED_DIR at each build, so that the git
# revision is that of the build, not of the configuration. Run as a script (cmake -P) it does the
# writing; an unchanged header keeps its time stamp. Outside a git checkout the revision is "unknown".
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(SAGAX_GENERATED_DIR ${CMAKE_BINARY_DIR}/generated)
  string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
  string(STRIP "${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${build_type}}" flags)
  set(libraries "MPI ${MPI_C_VERSION}, HDF5 ${HDF5_VERSION}, OpenBLAS ${OPENBLAS_VERSION}")
  string(APPEND libraries ", zlib ${ZLIB_VERSION_STRING}, libpng ${PNG_VERSION_STRING}")
  string(APPEND libraries ", OpenSSL ${OPENSSL_VERSION}, jansson ${JANSSON_VERSION}")
  string(APPEND libraries ", inih ${INIH_VERSION}")
  add_custom_target(sagax_version
    COMMAND ${CMAKE_COMMAND} -D SOURCE_DIR=${CMAKE_SOURCE_DIR} -D OUT_DIR=${SAGAX_GENERATED_DIR}
            -D "VERSION=${PROJECT_VERSION}" -D "FLAGS=${flags}" -D "LIBRARIES=${libraries}"
            -D "COMPILER=${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}"
            -P ${CMAKE_CURRENT_LIST_FILE}
    BYPRODUCTS ${SAGAX_GENERATED_DIR}/sagax_version.h
    COMMENT "" VERBATIM)
  return()
endif()

cmake_minimum_required(VERSION 3.21)
execute_process(COMMAND git -C ${SOURCE_DIR} describe --always --dirty --tags --abbrev=12
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET
                RESULT_VARIABLE failed)
if(failed OR NOT revision)
  set(revision unknown)
endif()
file(CONFIGURE OUTPUT ${OUT_DIR}/sagax_version.h @ONLY CONTENT
"/* Written by cmake/Version.cmake. */
#define SAGAX_VERSION \"@VERSION@\"
#define SAGAX_REVISION \"@revision@\"
#define SAGAX_COMPILER \"@COMPILER@\"
#define SAGAX_FLAGS \"@FLAGS@\"
#define SAGAX_LIBRARIES \"@LIBRARIES@\"
")
