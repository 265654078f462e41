/* Mean adult dimensions of the spine, level by level. Bodies, canal, pedicles and processes follow
 * the quantitative anatomy of cervical, thoracic and lumbar vertebrae by Panjabi et al. (Spine 1991
 * and 1992); disc heights, cord diameters (cervical enlargement at C4-C6, lumbar at T11-T12, conus
 * at L1-L2) and sagittal profile (lordosis 20, kyphosis 40, lordosis 50 degrees) are the round
 * figures of anatomy textbooks. Smoothed by eye, so that neighbours fit. Variation is added by
 * ph_anatomy.c. */
#include "phantom/ph__anatomy.h"

// clang-format off
static const ph__level levels[PH__LEVELS + 1] = {
//   height depth width disc  tilt  canal       cord        spinous         tp    pedicle    lamina back fat
    {0},
    {14.0f, 15.0f, 16.0f,  1.5f,  4, 20.0f, 28.0f, 8.0f, 11.0f,  4,  5, 4.0f, 38, 3.0f, 4.0f, 4.0f, 62,  7},
    {21.0f, 15.5f, 18.0f,  4.8f,  5, 17.0f, 24.5f, 7.6f, 11.6f, 17, 18, 5.5f, 27, 2.8f, 3.8f, 5.5f, 60,  7},
    {14.1f, 15.6f, 18.0f,  4.6f,  6, 15.0f, 23.0f, 7.3f, 12.2f, 13, 22, 3.4f, 25, 2.6f, 3.5f, 5.0f, 58,  7},
    {13.8f, 15.8f, 18.6f,  4.7f,  8, 14.6f, 23.6f, 7.1f, 13.0f, 14, 22, 3.4f, 25, 2.6f, 3.5f, 5.0f, 57,  7},
    {13.5f, 16.0f, 19.4f,  4.8f, 11, 14.4f, 24.4f, 7.0f, 13.2f, 17, 22, 3.6f, 26, 2.7f, 3.4f, 5.0f, 58,  8},
    {13.8f, 16.4f, 20.6f,  5.0f, 15, 14.4f, 25.0f, 6.9f, 12.8f, 23, 20, 3.8f, 27, 2.9f, 3.5f, 5.4f, 63, 10},
    {15.3f, 16.6f, 22.2f,  5.0f, 19, 14.8f, 24.0f, 6.7f, 11.5f, 32, 19, 4.6f, 31, 3.2f, 3.8f, 6.2f, 76, 14},
    {16.9f, 16.8f, 24.4f,  4.2f, 22, 15.4f, 21.4f, 6.6f, 10.0f, 34, 23, 6.2f, 36, 3.8f, 4.8f, 7.5f, 81, 17},
    {17.4f, 17.8f, 25.0f,  4.4f, 21, 15.3f, 19.0f, 6.5f,  9.2f, 34, 29, 6.0f, 35, 3.3f, 5.4f, 8.4f, 80, 18},
    {18.0f, 19.2f, 25.0f,  4.3f, 18, 15.2f, 18.0f, 6.4f,  8.9f, 34, 36, 5.8f, 32, 2.6f, 5.7f, 9.0f, 76, 15},
    {18.5f, 20.6f, 25.6f,  4.4f, 15, 15.2f, 17.2f, 6.4f,  8.7f, 36, 43, 4.4f, 30, 2.3f, 5.8f, 9.2f, 72, 12},
    {19.0f, 22.0f, 26.6f,  4.6f, 11, 15.2f, 17.0f, 6.4f,  8.6f, 38, 48, 5.4f, 30, 2.4f, 5.8f, 9.4f, 70, 10},
    {19.5f, 23.3f, 27.6f,  4.8f,  7, 15.3f, 17.0f, 6.4f,  8.6f, 39, 50, 5.4f, 30, 2.6f, 5.8f, 9.5f, 70,  9},
    {20.0f, 24.6f, 28.6f,  5.0f,  3, 15.4f, 17.0f, 6.4f,  8.6f, 40, 50, 5.4f, 30, 2.8f, 5.9f, 9.6f, 70,  8},
    {20.5f, 25.8f, 29.8f,  5.2f,  0, 15.5f, 17.2f, 6.5f,  8.7f, 39, 48, 5.5f, 30, 3.1f, 6.1f, 9.8f, 71,  8},
    {21.0f, 26.8f, 31.4f,  5.5f, -4, 15.6f, 17.4f, 6.6f,  8.8f, 36, 42, 6.0f, 29, 3.4f, 6.8f,10.0f, 72,  8},
    {21.8f, 27.6f, 33.4f,  5.8f, -7, 15.6f, 17.8f, 6.8f,  9.1f, 32, 33, 5.6f, 27, 3.8f, 7.4f,10.2f, 73,  8},
    {22.8f, 28.2f, 36.0f,  6.3f,-10, 16.0f, 19.0f, 7.1f,  9.5f, 29, 24, 8.2f, 24, 4.3f, 8.2f,10.4f, 74,  9},
    {24.0f, 28.8f, 38.6f,  7.0f,-12, 16.8f, 21.4f, 7.2f,  9.6f, 28, 15, 7.6f, 23, 4.3f, 8.2f,10.6f, 77, 10},
    {25.2f, 30.0f, 40.6f,  8.2f,-13, 17.6f, 23.4f, 6.2f,  8.4f, 30, 10, 8.6f, 35, 4.4f, 7.9f,10.4f, 83, 12},
    {26.0f, 31.2f, 42.2f,  9.4f,-11, 17.4f, 23.8f, 0.0f,  0.0f, 32,  9, 9.6f, 38, 4.5f, 7.6f,10.2f, 87, 14},
    {26.6f, 32.4f, 44.2f, 10.4f, -5, 17.2f, 24.2f, 0.0f,  0.0f, 33,  8,10.0f, 42, 5.0f, 7.4f, 9.8f, 91, 16},
    {26.8f, 33.2f, 46.4f, 11.0f,  5, 17.4f, 24.8f, 0.0f,  0.0f, 30,  8, 9.0f, 41, 6.4f, 7.4f, 9.0f, 91, 19},
    {26.6f, 33.6f, 49.0f, 10.6f, 19, 17.8f, 26.8f, 0.0f,  0.0f, 24,  9, 7.4f, 43, 8.2f, 7.2f, 8.4f, 89, 22},
    {28.0f, 30.0f, 48.0f,  2.4f, 37, 16.0f, 30.0f, 0.0f,  0.0f, 16, 12, 6.0f, 45, 8.5f, 8.0f, 8.0f, 79, 24},
    {22.0f, 20.0f, 40.0f,  1.6f, 46, 12.0f, 28.0f, 0.0f,  0.0f, 10, 14, 5.0f, 40, 8.0f, 8.0f, 8.0f, 66, 24},
    {19.0f, 15.0f, 32.0f,  1.2f, 48,  9.0f, 23.0f, 0.0f,  0.0f,  7, 14, 4.0f, 33, 7.0f, 7.0f, 7.0f, 57, 23},
    {17.0f, 12.0f, 25.0f,  1.0f, 43,  7.0f, 17.0f, 0.0f,  0.0f,  5, 14, 3.5f, 26, 6.0f, 6.0f, 6.0f, 51, 22},
    {15.0f,  9.5f, 18.0f,  1.0f, 36,  5.0f, 12.0f, 0.0f,  0.0f,  3, 14, 3.0f, 19, 5.0f, 5.0f, 5.0f, 47, 21},
};
// clang-format on

const ph__level *ph__level_at(int row) {
    return &levels[row];
}

bool ph__is_cervical(int row) {
    return row < PH__T1;
}
bool ph__is_thoracic(int row) {
    return row >= PH__T1 && row < PH__L1;
}
bool ph__is_lumbar(int row) {
    return row >= PH__L1 && row < PH__S1;
}
bool ph__is_sacral(int row) {
    return row >= PH__S1;
}
