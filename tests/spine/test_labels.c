/* Numbers and names of vertebrae. */
#include "spine/sp_class.h"
#include "spine/sp_labels.h"
#include "tests/check_run.h"

START_TEST(places_and_numbers_go_there_and_back) {
    for (int i = 0; i < SP_N_LEVELS; i++) ck_assert_int_eq(sp_place_of(sp_vertebra_at(i)), i);
    ck_assert_int_eq(sp_place_of(0), -1);
    ck_assert_int_eq(sp_place_of(SP_DISC_BELOW + SP_C2), -1);
}
END_TEST

START_TEST(a_thirteenth_thoracic_vertebra_lies_between_the_twelfth_and_the_first_lumbar_one) {
    ck_assert_int_eq(sp_place_of(SP_T13), sp_place_of(SP_T12) + 1);
    ck_assert_int_eq(sp_place_of(SP_T13), sp_place_of(SP_L1) - 1);
    ck_assert_str_eq(sp_vertebra_name(SP_T13), "T13");
}
END_TEST

START_TEST(names_are_those_of_anatomy) {
    ck_assert_str_eq(sp_vertebra_name(SP_C7), "C7");
    ck_assert_str_eq(sp_vertebra_name(SP_L6), "L6");
    ck_assert_str_eq(sp_vertebra_name(SP_SACRUM), "S1");
    ck_assert_str_eq(sp_vertebra_name(27), "");
    ck_assert(sp_is_neck(SP_C7) && !sp_is_neck(SP_T1));
    ck_assert(sp_is_bone(SP_ARCUS) && sp_is_bone(SP_CORPUS) && !sp_is_bone(SP_CORD));
}
END_TEST

START_TEST(classes_are_sub_regions_and_back) {
    for (int c = 0; c < SP_N_CLASSES; c++)
        ck_assert_int_eq(sp_class_of(sp_class_subregion((sp_class)c)), c);
    ck_assert_int_eq(sp_class_of(SP_CORPUS_BORDER), SP_CLASS_BODY);
    ck_assert_int_eq(sp_class_of(SP_ARTICULAR_INF_RIGHT), SP_CLASS_ARCH);
    ck_assert_int_eq(sp_class_of(SP_ENDPLATE), SP_CLASS_DISC);
    ck_assert_int_eq(sp_class_of(99), SP_CLASS_NONE);
}
END_TEST

int main(void) {
    return CHECK_RUN(
        "sp_labels", places_and_numbers_go_there_and_back,
        a_thirteenth_thoracic_vertebra_lies_between_the_twelfth_and_the_first_lumbar_one,
        names_are_those_of_anatomy, classes_are_sub_regions_and_back);
}
