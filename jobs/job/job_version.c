/* What this binary was made of: version, revision, compiler, libraries, kernel bodies. */
#include <stdio.h>
#include "jobs/job/job.h"
#include "model/nn_kernels.h"
#include "sagax_version.h"

void job_print_version(void) {
    const nn_kernels *k = NULL;
    printf("sagax %s (%s)\n", SAGAX_VERSION, SAGAX_REVISION);
    printf("compiler:  %s, %s\n", SAGAX_COMPILER, SAGAX_FLAGS);
    printf("libraries: %s\n", SAGAX_LIBRARIES);
    if (nn_kernels_get("auto", &k) == SX_OK) printf("kernels:   %s, %s\n", k->name, k->isa);
}
