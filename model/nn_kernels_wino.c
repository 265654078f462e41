/* Which instruction sets there are, by CPU feature and never by model. */
#include "model/nn_kernels_wino.h"

#include <string.h>

int nn__isas(nn__isa_choice choice[NN__MAX_ISAS]) {
    int n = 0;
#if defined __x86_64__
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    choice[n++] = (nn__isa_choice){&nn__isa_avx512, __builtin_cpu_supports("avx512f"), true};
    choice[n++] = (nn__isa_choice){&nn__isa_avx2, avx2, true};
    choice[n++] = (nn__isa_choice){&nn__isa_sse2, true, false};
#elif defined __aarch64__
    choice[n++] = (nn__isa_choice){&nn__isa_neon, true, true};
#else
    choice[n++] = (nn__isa_choice){&nn__isa_portable, true, false};
#endif
    return n;
}

static nn__isa_choice widest(void) {
    nn__isa_choice choice[NN__MAX_ISAS];
    const int n = nn__isas(choice);
    int i = 0;
    while (i < n - 1 && !choice[i].usable) i++;
    return choice[i];
}

const nn_kernels *nn__kernels_wino(void) {
    nn__kernels_blas(); /* which has to be started */
    return &widest().isa->table;
}

const nn_kernels *nn__kernels_wino_on(const char *isa) {
    nn__isa_choice choice[NN__MAX_ISAS];
    const int n = nn__isas(choice);
    nn__kernels_blas();
    for (int i = 0; i < n; i++)
        if (choice[i].usable && !strcmp(choice[i].isa->name, isa)) return &choice[i].isa->table;
    return NULL;
}

bool nn__kernels_wino_is_wide(void) {
    return widest().wide;
}
