# Instruction sets for which the hottest files are compiled once each, and their options. Which one runs
# is chosen by CPU feature at start.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(sagax_isas sse2 avx2 avx512)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(sagax_isas neon)
else()
  set(sagax_isas portable)
endif()
set(sagax_isa_options_avx2 -mavx2 -mfma)
set(sagax_isa_options_avx512 -mavx512f -mavx2 -mfma)
