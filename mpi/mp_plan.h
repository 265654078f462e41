/* Shared inside mpi/ only: which sums of a fixed tree who can make, known before the first number.
 *
 * The tree over leaves [0, n) splits at the largest power of two below n. Members (ranks, or nodes)
 * have contiguous ranges of leaves, in order. A member's parts are the largest subtrees that lie
 * inside its range; what the members together can make of their parts are the largest subtrees
 * inside the range of all of them: the results of the plan, reached by additions of two parts that
 * are the two sides of one subtree. A plan over ranks of one node has the node's parts as results;
 * a plan over all nodes has one result, the sum. */
#ifndef MP_PLAN_H
#define MP_PLAN_H

#include <stdint.h>

typedef struct mp__span {
    int a, b; /* leaves a..b-1 */
} mp__span;

typedef struct mp__addition {
    int left, right; /* parts; left becomes left + right */
} mp__addition;

typedef struct mp__plan {
    int n_members, n_parts, n_adds, n_results;
    int *first_part; /* [n_members + 1] parts of member i: first_part[i] .. first_part[i + 1] - 1 */
    mp__span *part;  /* [n_parts] in leaf order */
    mp__addition *add; /* [n_adds] sides of a subtree before the subtree */
    int *result;       /* [n_results] the part that has become it, in leaf order */
} mp__plan;

/* Member i has leaves border[i] .. border[i + 1] - 1 of n_leaves; border [n_members + 1] borrowed.
 */
void mp__plan_init(mp__plan *p, int n_leaves, const int *border, int n_members);
void mp__plan_clear(mp__plan *p); /* takes a zeroed plan */
/* left[i] += right[i]. */
void mp__add(float *restrict left, const float *restrict right, int64_t n);
/* Carry out the additions on elements at .. at + n - 1 of vector [n_parts][]; results are then in
 * vector[result[i]]. */
void mp__plan_add(const mp__plan *p, float *const *vector, int64_t at, int64_t n);

/* Put a leaf on a stack of subtrees (the last `height` of a member's leaves so far) and merge what
 * are two sides of one subtree. Returns the new height. */
int mp__plan_push(int n_leaves, mp__span *stack, int height, int leaf);

#endif
