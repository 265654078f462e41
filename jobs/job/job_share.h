/* Files that belong to the program: batch templates, maps of labels. Not collective. */
#ifndef JOB_SHARE_H
#define JOB_SHARE_H

#include "base/sx_err.h"

/* Path of this program, new (sx_free); "sagax" when the system does not say. */
char *job_program_path(void);

typedef struct job_share {
    const char *variable;  /* of the environment, that may name the folder */
    const char *installed; /* below share/sagax of an installation */
    const char *source;    /* below the source tree */
    const char *what;      /* "templates for Slurm" */
} job_share;

/* The folder that the variable names, else that of this installation, else that of the source tree;
 * new (sx_free). Errors: SX_E_NOINPUT. */
sx_err job_share_folder(const job_share *s, char **folder);

#endif
