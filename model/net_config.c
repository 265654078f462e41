/* Sizes of networks by the names of the configuration. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "model/net.h"

typedef enum field_type { INTEGER, NUMBER, LIST } field_type;

#define AT(field) offsetof(net_config, field)
static const struct {
    const char *key;
    field_type type;
    size_t at, count_at; /* count: of a list */
} fields[] = {
    {"model.base_channels", INTEGER, AT(base_channels), 0},
    {"model.mult", LIST, AT(mult), AT(levels)},
    {"model.res_blocks", INTEGER, AT(res_blocks), 0},
    {"model.dropout", NUMBER, AT(dropout), 0},
    {"model.classes", INTEGER, AT(classes), 0},
    {"model.groups", INTEGER, AT(groups), 0},
    {"model.blocks", INTEGER, AT(blocks), 0},
    {"model.reduction", INTEGER, AT(reduction), 0},
    {"model.growth", INTEGER, AT(growth), 0},
    {"model.unshuffle", INTEGER, AT(unshuffle), 0},
    {"model.depths", LIST, AT(depths), AT(layers)},
    {"model.heads", INTEGER, AT(heads), 0},
    {"model.window", INTEGER, AT(window), 0},
    {"model.overlap", NUMBER, AT(overlap), 0},
    {"model.mlp_ratio", NUMBER, AT(mlp_ratio), 0},
    {"model.compress", INTEGER, AT(compress), 0},
    {"model.squeeze", INTEGER, AT(squeeze), 0},
};
enum { N_FIELDS = sizeof fields / sizeof *fields, MAX_INT = 65536, MAX_IN_LIST = 64 };

static bool read_int(const char *text, int min, int max, int *value, const char **rest) {
    char *end;
    const long v = strtol(text, &end, 10);
    *rest = end;
    *value = (int)v;
    return end != text && v >= min && v <= max;
}

static bool read_list(const char *text, int *values, int *n) {
    for (*n = 0; *n < NET_MAX_LIST; text++) {
        if (!read_int(text, 1, MAX_IN_LIST, &values[*n], &text)) return false;
        ++*n;
        if (*text == '\0') return true;
        if (*text != ',') return false;
    }
    return false;
}

static sx_err set_number(const char *key, const char *text, double *value) {
    char *end;
    *value = strtod(text, &end);
    if (end != text && *end == '\0' && isfinite(*value)) return SX_OK;
    return sx_fail(SX_E_CONFIG, "%s = \"%s\": should be a number", key, text);
}

static sx_err set_int(const char *key, const char *text, int *value) {
    const char *rest;
    if (read_int(text, 0, MAX_INT, value, &rest) && *rest == '\0') return SX_OK;
    return sx_fail(SX_E_CONFIG, "%s = \"%s\": should be an integer from 0 to %d", key, text,
                   MAX_INT);
}

static sx_err set_list(const char *key, const char *text, int *values, int *n) {
    if (read_list(text, values, n)) return SX_OK;
    return sx_fail(SX_E_CONFIG, "%s = \"%s\": should be 1 to %d integers from 1 to %d with commas",
                   key, text, NET_MAX_LIST, MAX_IN_LIST);
}

sx_err net_config_set(net_config *c, const char *key, const char *text) {
    for (int i = 0; i < N_FIELDS; i++) {
        if (strcmp(fields[i].key, key) != 0) continue;
        void *at = (char *)c + fields[i].at;
        switch (fields[i].type) {
        case INTEGER:
            return set_int(key, text, at);
        case NUMBER:
            return set_number(key, text, at);
        case LIST:
            return set_list(key, text, at, (void *)((char *)c + fields[i].count_at));
        }
    }
    return sx_fail(SX_E_CONFIG, "%s: is no size of a network", key);
}
