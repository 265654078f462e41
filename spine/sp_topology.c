/* Betti numbers (sp_topology.h).
 *
 * The Euler number is a sum over the corners of the grid: each of the 256 ways to fill the eight
 * voxels around a corner has its share of vertices, edges, faces and cubes, in eighths (Gray,
 * "Local properties of binary images in two dimensions", IEEE Trans. Computers 1971; in three
 * dimensions Toriwaki and Yonekura, Forma 2002). */
#include "spine/sp_topology.h"

/* ---- Euler number ---- */

/* Share of one corner, in eighths: the voxels around it are the bits of `filled`, bit x + 2y + 4z.
 * A cell of the complex that meets the corner lies between the voxels that agree with it in the
 * axes of `across`; it is there when any of those is filled. */
static int corner_share(unsigned filled) {
    int share = 0;
    for (unsigned across = 0; across < 8; across++) { /* axes along which the cell extends */
        for (unsigned side = 0; side < 8; side++) {   /* to which side, along those axes */
            unsigned around = 0;
            int extent = 0;
            if (side & ~across) continue;
            for (unsigned v = 0; v < 8; v++)
                if ((v & across) == side) around |= 1u << v;
            for (int a = 0; a < 3; a++) extent += (int)(across >> a & 1);
            /* a cell of 2^extent corners gives each its part */
            if (filled & around) share += (extent % 2 ? -8 : 8) / (1 << extent);
        }
    }
    return share;
}

/* Of a mask [dim] of 0 and 1 whose outermost voxels are 0. */
static int64_t euler_number(const im_labels *m) {
    const int64_t nx = m->dim[0], ny = m->dim[1], slab = nx * ny;
    int share[256];
    int64_t sum = 0;
    for (unsigned filled = 0; filled < 256; filled++) share[filled] = corner_share(filled);
    for (int64_t k = 1; k < m->dim[2]; k++)
        for (int64_t j = 1; j < ny; j++) {
            const int32_t *x = m->voxel + k * slab + j * nx;
            unsigned filled = 0; /* columns i - 1 (bits 0, 2, 4, 6) and i (bits 1, 3, 5, 7) */
            for (int64_t i = 0; i < nx; i++, x++) {
                const unsigned column = (unsigned)x[-nx - slab] | (unsigned)x[-slab] << 2 |
                                        (unsigned)x[-nx] << 4 | (unsigned)x[0] << 6;
                filled = (filled >> 1 & 0x55) | column << 1;
                sum += share[filled];
            }
        }
    return sum / 8;
}

/* ---- masks ---- */

/* The voxels of `label` in a box as 1, with a margin of one voxel; new. */
static sx_err cut_mask(im_labels *mask, const im_labels *l, int32_t label, const int64_t low[3],
                       const int64_t high[3]) {
    const int64_t dim[3] = {high[0] - low[0] + 3, high[1] - low[1] + 3, high[2] - low[2] + 3};
    const sx_err rc = im_labels_init(mask, dim);
    if (rc != SX_OK) return rc;
    for (int64_t k = low[2]; k <= high[2]; k++)
        for (int64_t j = low[1]; j <= high[1]; j++) {
            const int32_t *x = l->voxel + (k * l->dim[1] + j) * l->dim[0];
            int32_t *y = mask->voxel + ((k - low[2] + 1) * dim[1] + j - low[1] + 1) * dim[0] + 1;
            for (int64_t i = low[0]; i <= high[0]; i++) *y++ = x[i] == label;
        }
    return SX_OK;
}

static sx_err count_pieces(const im_labels *mask, im_neighbours n, int64_t *count) {
    im_labels pieces = {0};
    const sx_err rc = im_components(&pieces, mask, n, count);
    im_labels_clear(&pieces);
    return rc;
}

sx_err sp_betti_of(const im_labels *l, int32_t label, const int64_t low[3], const int64_t high[3],
                   sp_betti *b) {
    im_labels mask = {0};
    int64_t outside = 0;
    sx_err rc;
    *b = (sp_betti){0, 0, 0};
    SX_TRY(rc, cut_mask(&mask, l, label, low, high));
    const int64_t chi = euler_number(&mask), n = im_labels_count(&mask);
    SX_TRY(rc, count_pieces(&mask, IM_CORNERS, &b->b0));
    for (int64_t i = 0; i < n; i++) mask.voxel[i] = !mask.voxel[i];
    SX_TRY(rc, count_pieces(&mask, IM_FACES, &outside));
    b->b2 = outside - 1;
    b->b1 = b->b0 + b->b2 - chi;
out:
    im_labels_clear(&mask);
    return rc;
}
