# The ceilings of `sagax bench`, once for each instruction set.
set(bench_objects "")
foreach(isa ${sagax_isas})
  add_library(bench_isa_${isa} OBJECT bench/bench_isa.c)
  target_link_libraries(bench_isa_${isa} PRIVATE sagax_flags)
  target_compile_definitions(bench_isa_${isa} PRIVATE BENCH_ISA=${isa})
  target_compile_options(bench_isa_${isa} PRIVATE ${sagax_isa_options_${isa}} -ffp-contract=fast)
  list(APPEND bench_objects $<TARGET_OBJECTS:bench_isa_${isa}>)
endforeach()
