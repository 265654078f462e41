/* Cross-entropy and Dice (train_classes.h). Probabilities are kept in d_logit between the two
 * passes: the first one sums over the image what the gradient of the Dice needs. */
#include "jobs/train/train_classes.h"

#include <math.h>
#include <string.h>
#include "base/sx_err.h"

/* Of each class over an image. */
typedef struct sums {
    double p[TRAIN_MAX_CLASSES], t[TRAIN_MAX_CLASSES], both[TRAIN_MAX_CLASSES];
} sums;

/* Softmax of k logits into p; returns -log p[truth]. */
static double softmax(const float *logit, int k, int truth, float *p) {
    float most = logit[0], sum = 0.0f;
    for (int c = 1; c < k; c++) most = fmaxf(most, logit[c]);
    for (int c = 0; c < k; c++) sum += p[c] = expf(logit[c] - most);
    for (int c = 0; c < k; c++) p[c] /= sum;
    return (double)(logf(sum) - (logit[truth] - most));
}

/* Classes that count for Dice. */
static int count_present(const sums *s, int k) {
    int n = 0;
    for (int c = 1; c < k; c++) n += s->t[c] > 0.0;
    return n;
}

/* d loss / d p of a pixel of the class and of others: by_other [k], on top of it by_truth [k]. */
static double dice_term(const sums *s, int k, double share, float *by_other, float *by_truth) {
    const int present = count_present(s, k);
    double sum = 0.0;
    memset(by_other, 0, (size_t)k * sizeof *by_other);
    memset(by_truth, 0, (size_t)k * sizeof *by_truth);
    for (int c = 1; c < k; c++) {
        if (!(s->t[c] > 0.0)) continue;
        const double all = s->p[c] + s->t[c];
        sum += 2.0 * s->both[c] / all;
        by_other[c] = (float)(share * 2.0 * s->both[c] / (all * all * present));
        by_truth[c] = (float)(-share * 2.0 / (all * present));
    }
    return present ? 1.0 - sum / present : 0.0;
}

/* From the gradient by p to that by the logits, with the cross-entropy's, in place of p. */
static void to_logits(float *p, int k, int truth, float slope, const float *by_other,
                      const float *by_truth) {
    float mean = 0.0f, by_p[TRAIN_MAX_CLASSES];
    for (int c = 0; c < k; c++) {
        by_p[c] = by_other[c] + (c == truth ? by_truth[c] : 0.0f);
        mean += by_p[c] * p[c];
    }
    for (int c = 0; c < k; c++)
        p[c] = p[c] * (by_p[c] - mean) + slope * (p[c] - (c == truth ? 1.0f : 0.0f));
}

double train_classes_loss(const float *logit, const float *truth, int64_t n, int k, double share,
                          float *d_logit) {
    float by_other[TRAIN_MAX_CLASSES], by_truth[TRAIN_MAX_CLASSES];
    sums s = {{0.0}, {0.0}, {0.0}};
    double entropy = 0.0;
    SX_ASSERT(k <= TRAIN_MAX_CLASSES);
    for (int64_t i = 0; i < n; i++) {
        float *p = d_logit + i * k;
        const int t = (int)truth[i];
        entropy += softmax(logit + i * k, k, t, p);
        for (int c = 1; c < k; c++) s.p[c] += (double)p[c];
        s.t[t] += 1.0;
        s.both[t] += (double)p[t];
    }
    const double dice = dice_term(&s, k, share, by_other, by_truth);
    const float slope = (float)(share / (double)n);
    for (int64_t i = 0; i < n; i++)
        to_logits(d_logit + i * k, k, (int)truth[i], slope, by_other, by_truth);
    return share * (entropy / (double)n + dice);
}

static int largest(const float *logit, int k) {
    int best = 0;
    for (int c = 1; c < k; c++)
        if (logit[c] > logit[best]) best = c;
    return best;
}

void train_classes_decide(const float *logit, int64_t n, int k, float *x) {
    for (int64_t i = 0; i < n; i++) x[i] = (float)largest(logit + i * k, k);
}

double train_classes_dice(const float *logit, const float *truth, int64_t n, int k) {
    sums s = {{0.0}, {0.0}, {0.0}};
    double sum = 0.0;
    SX_ASSERT(k <= TRAIN_MAX_CLASSES);
    for (int64_t i = 0; i < n; i++) {
        const int t = (int)truth[i], p = largest(logit + i * k, k);
        s.t[t] += 1.0;
        s.p[p] += 1.0;
        s.both[t] += p == t;
    }
    const int present = count_present(&s, k);
    for (int c = 1; c < k; c++)
        if (s.t[c] > 0.0) sum += 2.0 * s.both[c] / (s.p[c] + s.t[c]);
    return present ? sum / present : 1.0;
}
