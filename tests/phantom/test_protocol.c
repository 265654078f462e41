/* Plans of sessions: chunks that cover the body, keys of their own, motion as often as asked. */
#include <math.h>
#include "phantom/ph_protocol.h"
#include "tests/check_run.h"

static const ph_options body = {
    .seed = 5, .iso_mm = 0.8571, .height_mm = 200, .width_mm = 50, .depth_mm = 140};

START_TEST(chunks_cover_the_body_and_overlap) {
    const double height = rint(body.height_mm / body.iso_mm) * body.iso_mm;
    ph_planned_scan x[PH_MAX_SCANS];
    for (int chunks = 1; chunks <= 8; chunks++) {
        const ph_session_options how = {.chunks = chunks};
        ck_assert_int_eq(ph_plan_session(&body, &how, 0, 0, x), 1 + chunks);
        ck_assert(!x[0].protocol->axial && x[0].chunk == 0);
        ck_assert(x[0].scan.from_mm == 0 && x[0].scan.to_mm == height);
        ck_assert(x[1].scan.from_mm == 0 && fabs(x[chunks].scan.to_mm - height) < 1e-9);
        double common = fmin(20.0, 0.25 * height / chunks);
        for (int i = 1; i <= chunks; i++) {
            ck_assert_int_eq(x[i].chunk, chunks > 1 ? i : 0);
            if (i > 1) ck_assert(x[i - 1].scan.to_mm - x[i].scan.from_mm >= common - 1e-9);
        }
    }
}
END_TEST

START_TEST(a_session_has_two_to_four_chunks_when_their_number_is_drawn) {
    const ph_session_options how = {.chunks = 0};
    ph_planned_scan x[PH_MAX_SCANS];
    int count[PH_MAX_SCANS + 1] = {0};
    for (int subject = 0; subject < 300; subject++)
        count[ph_plan_session(&body, &how, subject, 0, x)]++;
    ck_assert_int_eq(count[3] + count[4] + count[5], 300);
    for (int n = 3; n <= 5; n++) ck_assert_int_gt(count[n], 60);
}
END_TEST

START_TEST(axial_scans_move_as_often_as_asked_and_sagittal_ones_never) {
    const ph_session_options how = {.chunks = 4, .motion = 0.25};
    ph_planned_scan x[PH_MAX_SCANS];
    int moved = 0;
    double most = 0;
    for (int subject = 0; subject < 500; subject++) {
        ph_plan_session(&body, &how, subject, 0, x);
        ck_assert(x[0].scan.motion_mm == 0);
        for (int i = 1; i <= 4; i++) {
            moved += x[i].scan.motion_mm != 0;
            most = fmax(most, fabs(x[i].scan.motion_mm));
        }
    }
    ck_assert_msg(abs(moved - 500) < 78, "%d of 2000 moved, want 500, tolerance 78", moved);
    ck_assert_msg(most > 1.4 && most <= 1.5, "largest motion %g mm, want nearly 1.5", most);
}
END_TEST

START_TEST(axial_slices_are_as_thick_and_as_far_apart_as_asked) {
    const ph_session_options usual = {.chunks = 2},
                             thick = {.chunks = 2, .axial_mm = 7, .thickness_mm = 6};
    ph_planned_scan x[PH_MAX_SCANS], y[PH_MAX_SCANS];
    ph_plan_session(&body, &usual, 0, 0, x);
    ph_plan_session(&body, &thick, 0, 0, y);
    ck_assert(x[1].scan.spacing_mm[2] == 5 && x[1].scan.thickness_mm == 4);
    ck_assert(y[1].scan.spacing_mm[2] == 7 && y[1].scan.thickness_mm == 6);
    ck_assert(y[1].scan.spacing_mm[0] == x[1].scan.spacing_mm[0]);
    ck_assert(y[0].scan.spacing_mm[2] == x[0].scan.spacing_mm[2]); /* the sagittal scan */
    ck_assert(fabs(remainder(y[1].scan.to_mm - y[1].scan.from_mm, 7)) < 1e-9);
}
END_TEST
START_TEST(scans_of_all_sessions_have_keys_of_their_own) {
    enum { SESSIONS = 20, N = 9 * SESSIONS };
    const ph_session_options how = {.chunks = 8};
    uint64_t key[N];
    for (int session = 0; session < SESSIONS; session++) {
        ph_planned_scan x[PH_MAX_SCANS];
        ck_assert_int_eq(ph_plan_session(&body, &how, 1, session, x), 9);
        for (int i = 0; i < 9; i++) key[9 * session + i] = x[i].scan.key;
    }
    for (int i = 0; i < N; i++)
        for (int k = 0; k < i; k++) ck_assert(key[i] != key[k]);
}
END_TEST

int main(void) {
    return CHECK_RUN("protocol", chunks_cover_the_body_and_overlap,
                     a_session_has_two_to_four_chunks_when_their_number_is_drawn,
                     axial_scans_move_as_often_as_asked_and_sagittal_ones_never,
                     axial_slices_are_as_thick_and_as_far_apart_as_asked,
                     scans_of_all_sessions_have_keys_of_their_own);
}
