/* Predicted vertebrae against true ones: who is found, who is merged, split, missed or made up, and
 * how well the shapes agree.
 *
 * Instances are the labels 1 .. SP_N_INSTANCES - 1 of a vertebra mask; discs and end-plates are
 * not. Two questions are answered apart from each other:
 *
 * Detection (as the method's paper). The point of a predicted instance is the mean of its body
 * voxels (sub-regions 49 and 50), rounded to a voxel of the truth, halves to the even one. The
 * truth instance there is detected, whatever the two numbers are. The first hit of a truth is the
 * prediction that overlaps it best; the others are duplicates. A point outside of all truth is a
 * false positive.
 *
 * Overlap (panoptic quality; Kirillov et al., CVPR 2019). Truths and predictions are paired one to
 * one by falling intersection over union; a pair counts as matched from SP_MATCHED on.
 *
 * Partial truths do not count, and neither do predictions of them: of what the field of view cuts
 * off nothing can be asked. A prediction is of a partial truth when its point lies there, or when
 * it has no hit and shares more voxels with it than with any other truth.
 *
 * A prediction that takes SP_TAKEN of two truths or more merges them; a truth of which two
 * predictions or more take that share is split.
 *
 * Topology (sp_topology.h): of each prediction whose point hit, b0 must be 1, b1 1, in the neck 1
 * to 3, b2 0; a truth that is missed is an error of each. Source: Graf et al., MIDL 2024, and their
 * published code; what differs from it is in docs/evaluation.md. Not collective. */
#ifndef SP_MATCH_H
#define SP_MATCH_H

#include <stdbool.h>
#include "spine/sp_surface.h"
#include "spine/sp_topology.h"

enum { SP_N_INSTANCES = 100 };
bool sp_is_instance(int label);
#define SP_MATCHED 0.5
#define SP_TAKEN 0.25

typedef struct sp_truth {
    int label;
    int64_t voxels;
    int hit;          /* predicted label whose point lies in it; 0: missed */
    int partner;      /* predicted label of its pair; 0: none overlaps */
    double iou, dice; /* of the pair; 0 without */
    sp_surface surface;
    bool split;
} sp_truth;

typedef struct sp_prediction {
    int label;
    int64_t voxels;
    int inside;   /* true label in which its point lies; 0: none */
    bool first;   /* it is the hit of that truth */
    bool matched; /* it has a pair of SP_MATCHED or more */
    bool merges;
    sp_betti betti; /* filled by sp_match_topology */
} sp_prediction;

typedef struct sp_match {
    sp_truth truth[SP_N_INSTANCES];           /* by rising label */
    sp_prediction prediction[SP_N_INSTANCES]; /* likewise */
    int n_truths, n_predictions;
    /* Both masks as one foreground, partial truths included; and label by label: Dice of equal
     * numbers, mean over those of the listed truths, and of the listed predictions that the truth
     * does not have (0). 1 and NAN when both masks are empty. */
    double union_dice, label_dice;
} sp_match;

/* The point of an instance in voxel indices of its own grid. */
typedef struct sp_point {
    bool known;
    double at[3];
} sp_point;

/* Points [SP_N_INSTANCES] of the instances of `vert`, by label. `subreg`, on the same grid, says
 * what is body; without any body in it, or with NULL, the point of an instance is its deepest
 * voxel. Errors: SX_E_NOMEM. */
sx_err sp_body_points(const im_labels *vert, const im_labels *subreg, sp_point *point);
/* The same points on another grid. Errors: SX_E_DATA (singular affine). */
sx_err sp_points_move(sp_point *point, const double from[4][4], const double to[4][4]);

/* Which true instances, by label, are partial: those that reach the first or the last axial layer
 * of the volume, and those without body when others have one (the atlas, the sacrum). `subreg` may
 * be NULL. Source: the method's truth has whole bodies only. */
void sp_partial_truths(const im_labels *vert, const im_labels *subreg,
                       bool partial[SP_N_INSTANCES]);

/* Compare two vertebra masks on one grid; point [SP_N_INSTANCES] of the prediction, on that grid;
 * partial [SP_N_INSTANCES] of the truth, NULL for none. `surfaces`: whether distances are wanted,
 * else they are NAN. Errors: SX_E_NOMEM. */
sx_err sp_match_make(sp_match *m, const im_labels *truth, const im_labels *prediction,
                     const sp_point *point, const bool *partial, bool surfaces);
/* Betti numbers of the predictions, from the mask on its own grid. Errors: SX_E_NOMEM. */
sx_err sp_match_topology(sp_match *m, const im_labels *prediction);

/* Whose number says that a vertebra is of the neck. */
typedef enum sp_neck { SP_NECK_TRUE, SP_NECK_PREDICTED } sp_neck;
/* Whether b0, b1, b2 of a prediction that hit are wrong. */
void sp_topology_errors(const sp_prediction *p, sp_neck rule, bool wrong[3]);

/* What is counted over all instances of a session. */
typedef struct sp_counts {
    int64_t truths, predictions;
    int64_t detected, missed, duplicates, false_positives; /* by points */
    int64_t merges, splits;
    int64_t mislabelled; /* first hits of another number */
    int64_t level_shift; /* the commonest difference of levels among first hits; the smaller one on
                            a tie. T13 is at the place of L1 */
    int64_t judged;      /* missed + detected + duplicates: of what wrong[] is a share */
    int64_t wrong[3];    /* of b0, b1, b2, missed ones included */
    int64_t matched;     /* pairs of SP_MATCHED or more */
    double iou;          /* sum over those */
    double dice;         /* sum over truths, of their pairs */
} sp_counts;
void sp_match_count(const sp_match *m, sp_neck rule, sp_counts *c);

#endif
