/* The classes that the built-in segmenter tells apart, as channels of its output, and what they are
 * as sub-regions (sp_labels.h). Processes count as arch, rim and inside as body; an end-plate is
 * what parts bodies, as a disc does. Not collective; no errors. */
#ifndef SP_CLASS_H
#define SP_CLASS_H

typedef enum sp_class {
    SP_CLASS_NONE,
    SP_CLASS_BODY,
    SP_CLASS_ARCH,
    SP_CLASS_DISC,
    SP_CLASS_CANAL,
    SP_CLASS_CORD,
    SP_CLASS_SACRUM,
    SP_N_CLASSES
} sp_class;

/* Class of a sub-region; SP_CLASS_NONE for what is none. */
sp_class sp_class_of(int subregion);
/* 0, 50, 41, 100, 61, 60, 26. */
int sp_class_subregion(sp_class c);

#endif
