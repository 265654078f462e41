# The kernel table. The Winograd file is compiled once for each instruction set (its tables are chosen
# by CPUID at start); contraction makes a*b+c one FMA, which strict C11 mode would forbid.
# nn_kernels_library(name options...): the library, compiled with these options beside its own.
function(nn_kernels_library name)
  set(here ${CMAKE_CURRENT_FUNCTION_LIST_DIR})
  set(wino_objects "")
  foreach(isa ${sagax_isas})
    add_library(${name}_wino_${isa} OBJECT ${here}/nn_kernels_wino_isa.c)
    target_link_libraries(${name}_wino_${isa} PRIVATE sagax_flags)
    target_compile_definitions(${name}_wino_${isa} PRIVATE NN_WINO_ISA=${isa})
    target_compile_options(${name}_wino_${isa} PRIVATE ${sagax_isa_options_${isa}} -ffp-contract=fast
                           ${ARGN})
    list(APPEND wino_objects $<TARGET_OBJECTS:${name}_wino_${isa}>)
  endforeach()
  set(sources nn_kernels.c nn_kernels_ref.c nn_kernels_blas.c nn_kernels_wino.c
              nn_kernels_blas_feed.c nn_moments.c)
  list(TRANSFORM sources PREPEND ${here}/)
  sagax_library(${name} SOURCES ${sources} ${wino_objects}
                DEPS sx_base PkgConfig::OPENBLAS Threads::Threads)
  target_compile_options(${name} PRIVATE ${ARGN})
endfunction()
