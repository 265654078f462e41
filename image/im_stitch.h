/* Several overlapping scans of one body, one volume: the chunks of a spine, from head to foot.
 *
 * Grid: of the chunks' rotations the one with the smallest box around all of them, of their
 * spacings the smallest along each axis, as many voxels as have their centre in the box: at most
 * ceil(extent / spacing). Where the chunk that lent its rotation also has that spacing, the grid is
 * its own, so that its voxels stay what they are. Axes run as in the first chunk.
 * Values: each chunk by a cubic B-spline. It covers what lies between its outermost voxel centres,
 * and half a voxel more where nobody else does.
 * Gain: for each overlap the median ratio of what is bright in it; one factor a chunk, by least
 * squares over all overlaps, geometric mean 1 over chunks that hang together.
 * Weights: the distance (mm) to the nearest place that is covered by others only, so that a chunk
 * fades out towards where it ends inside the others; a chunk that nowhere does counts as far from
 * its end as any. Normalised over all chunks that cover a voxel; nothing is negative in the end;
 * 0 where no chunk is.
 * Source: the rules of TPTBox, which Graf et al. (MIDL 2024) use, for two chunks at a time and
 * with distances in voxels. Not here: bias fields within a chunk. Not collective. */
#ifndef IM_STITCH_H
#define IM_STITCH_H

#include "image/im_volume.h"

/* Chunks at once. */
enum { IM_STITCH_MOST = 64 };

typedef struct im_stitch_chunk {
    double gain;             /* its intensities were multiplied by this          */
    double turned_deg;       /* against the grid                                 */
    int64_t low[3], high[3]; /* voxels of the result it reaches, both included   */
} im_stitch_chunk;

typedef struct im_stitch_overlap {
    int a, b;       /* chunks, a < b                                            */
    int64_t n;      /* voxels of the result that both cover, > 0                */
    int64_t bright; /* of them those whose ratio counts                         */
    double ratio;   /* median of b / a before the gains; NAN: too few of those  */
    double ncc;     /* normalised cross-correlation, -1..1; NAN: one is flat    */
} im_stitch_overlap;

/* What was found on the way. Zero before; im_stitch_report_clear frees. */
typedef struct im_stitch_report {
    int n, n_overlaps;
    int grid_of;                /* the chunk whose rotation the result has                  */
    int n_apart;                /* groups of chunks that do not overlap with each other     */
    int slice_axis;             /* of the result: its largest spacing                       */
    int64_t n_empty;            /* longest run of slices between chunks that nobody covers  */
    im_stitch_chunk *chunk;     /* [n]          */
    im_stitch_overlap *overlap; /* [n_overlaps] */
} im_stitch_report;
void im_stitch_report_clear(im_stitch_report *r);

/* `to` must be zeroed; one chunk is copied as it is.
 * Errors: SX_E_DATA (more than IM_STITCH_MOST chunks, a singular affine, chunks that fill less than
 * a twentieth of the box around them), SX_E_NOMEM. */
sx_err im_stitch(im_volume *to, const im_volume *chunk, int n, im_stitch_report *r);

#endif
