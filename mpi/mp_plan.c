#include "mpi/mp_plan.h"

#include <stdbool.h>
#include "base/sx_mem.h"

/* Where the subtree splits: the largest power of two below its size. */
static int split(mp__span s) {
    int half = 1;
    while (half * 2 < s.b - s.a) half *= 2;
    return s.a + half;
}

/* The largest subtrees of `node` inside `range`, appended to out[n]; returns the new n. */
static int cover(mp__span node, mp__span range, mp__span *out, int n) {
    if (node.b <= range.a || range.b <= node.a) return n;
    if (range.a <= node.a && node.b <= range.b) {
        out[n++] = node;
        return n;
    }
    int mid = split(node);
    n = cover((mp__span){node.a, mid}, range, out, n);
    return cover((mp__span){mid, node.b}, range, out, n);
}

/* Additions that make `node` out of parts; returns the part that becomes it. */
static int plan_additions(mp__plan *p, mp__span node) {
    for (int i = 0; i < p->n_parts; i++)
        if (p->part[i].a == node.a && p->part[i].b == node.b) return i;
    int mid = split(node);
    int left = plan_additions(p, (mp__span){node.a, mid});
    int right = plan_additions(p, (mp__span){mid, node.b});
    p->add[p->n_adds++] = (mp__addition){left, right};
    return left;
}

void mp__plan_init(mp__plan *p, int n_leaves, const int *border, int n_members) {
    const mp__span tree = {0, n_leaves}, all = {border[0], border[n_members]};
    const int64_t most = all.b - all.a + 1;
    *p = (mp__plan){.n_members = n_members,
                    .first_part = SX_NEW_ARRAY(int, n_members + 1),
                    .part = SX_NEW_ARRAY(mp__span, most),
                    .add = SX_NEW_ARRAY(mp__addition, most),
                    .result = SX_NEW_ARRAY(int, most)};
    for (int i = 0; i < n_members; i++) {
        p->n_parts = cover(tree, (mp__span){border[i], border[i + 1]}, p->part, p->n_parts);
        p->first_part[i + 1] = p->n_parts;
    }
    mp__span *whole = SX_NEW_ARRAY(mp__span, most);
    p->n_results = cover(tree, all, whole, 0);
    for (int i = 0; i < p->n_results; i++) p->result[i] = plan_additions(p, whole[i]);
    sx_free(whole);
}

void mp__plan_clear(mp__plan *p) {
    sx_free(p->first_part);
    sx_free(p->part);
    sx_free(p->add);
    sx_free(p->result);
    *p = (mp__plan){0};
}

void mp__add(float *restrict left, const float *restrict right, int64_t n) {
    for (int64_t i = 0; i < n; i++) left[i] += right[i];
}

void mp__plan_add(const mp__plan *p, float *const *vector, int64_t at, int64_t n) {
    for (int i = 0; i < p->n_adds; i++)
        mp__add(vector[p->add[i].left] + at, vector[p->add[i].right] + at, n);
}

/* Whether x and y are the two sides of a subtree of the tree over [0, n). */
static bool siblings(int n, mp__span x, mp__span y) {
    mp__span node = {0, n};
    while (node.b - node.a > 1) {
        int mid = split(node);
        if (node.a == x.a && mid == x.b && node.b == y.b) return true;
        if (y.b <= mid)
            node.b = mid;
        else if (x.a >= mid)
            node.a = mid;
        else
            return false;
    }
    return false;
}

int mp__plan_push(int n_leaves, mp__span *stack, int height, int leaf) {
    stack[height++] = (mp__span){leaf, leaf + 1};
    while (height > 1 && siblings(n_leaves, stack[height - 2], stack[height - 1])) {
        stack[height - 2].b = stack[height - 1].b;
        height--;
    }
    return height;
}
