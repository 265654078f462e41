/* Classes as a table (sp_class.h). */
#include "spine/sp_class.h"

#include "spine/sp_labels.h"

static const int subregion_of[SP_N_CLASSES] = {
    [SP_CLASS_NONE] = 0,           [SP_CLASS_BODY] = SP_CORPUS, [SP_CLASS_ARCH] = SP_ARCUS,
    [SP_CLASS_DISC] = SP_DISC,     [SP_CLASS_CANAL] = SP_CANAL, [SP_CLASS_CORD] = SP_CORD,
    [SP_CLASS_SACRUM] = SP_SACRUM,
};

sp_class sp_class_of(int subregion) {
    if (sp_is_body(subregion)) return SP_CLASS_BODY;
    if (sp_is_bone(subregion)) return SP_CLASS_ARCH;
    if (subregion == SP_ENDPLATE) return SP_CLASS_DISC;
    for (int c = SP_CLASS_DISC; c < SP_N_CLASSES; c++)
        if (subregion_of[c] == subregion) return (sp_class)c;
    return SP_CLASS_NONE;
}

int sp_class_subregion(sp_class c) {
    return subregion_of[c];
}
