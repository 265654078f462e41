/* One table of vertebrae from head to foot. */
#include "spine/sp_labels.h"

static const struct {
    int number;
    const char *name;
} vertebra[SP_N_LEVELS] = {
    {1, "C1"},  {2, "C2"},  {3, "C3"},   {4, "C4"},   {5, "C5"},   {6, "C6"},   {7, "C7"},
    {8, "T1"},  {9, "T2"},  {10, "T3"},  {11, "T4"},  {12, "T5"},  {13, "T6"},  {14, "T7"},
    {15, "T8"}, {16, "T9"}, {17, "T10"}, {18, "T11"}, {19, "T12"}, {28, "T13"}, {20, "L1"},
    {21, "L2"}, {22, "L3"}, {23, "L4"},  {24, "L5"},  {25, "L6"},  {26, "S1"},
};

int sp_vertebra_at(int place) {
    return vertebra[place].number;
}

int sp_place_of(int number) {
    for (int i = 0; i < SP_N_LEVELS; i++)
        if (vertebra[i].number == number) return i;
    return -1;
}

bool sp_is_vertebra(int instance) {
    return sp_place_of(instance) >= 0;
}

bool sp_is_bone(int subregion) {
    return subregion >= SP_ARCUS && subregion <= SP_CORPUS;
}

bool sp_is_body(int subregion) {
    return subregion == SP_CORPUS_BORDER || subregion == SP_CORPUS;
}

bool sp_is_neck(int number) {
    return number >= SP_C1 && number <= SP_C7;
}

const char *sp_vertebra_name(int number) {
    const int place = sp_place_of(number);
    return place >= 0 ? vertebra[place].name : "";
}
