/* JSON as verbs print and store it. Texts from outside (file names, headers) are bytes, JSON is
 * UTF-8: a text that is not shows its odd bytes as '?'. Not collective; no errors. */
#ifndef JOB_JSON_H
#define JOB_JSON_H

#include <jansson.h>
#include <stddef.h>
#include "jobs/job/job.h"

/* Text of `o` with jansson's flags, new (sx_free). `o` is taken; NULL for NULL. */
char *job_json_text(json_t *o, size_t flags);
/* The same with a line end on stdout. */
void job_json_print(json_t *o, size_t flags);

/* A file of one JSON value, new (json_decref). Errors: those of sx_file_read, SX_E_DATA (no JSON).
 */
sx_err job_json_read(const char *path, size_t limit, json_t **o);

/* Replace the odd bytes of a text that is not UTF-8, in place. */
void job_json_clean(char *text);
/* String of any bytes, new. */
json_t *job_json_string(const char *text);
/* Number, or null when it is not finite, new. */
json_t *job_json_number(double x);

/* The values of one section of the resolved configuration, {"steps": 20, …}, without their origins;
 * new. Empty when the verb does not have the section. */
json_t *job_section_json(const job *j, const char *section);

#endif
