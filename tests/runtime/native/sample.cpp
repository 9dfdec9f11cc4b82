// A kernel for the definition of tests/runtime/sample.py, as plain as can be: one row an item (and, with SPLIT, one of
// three parts of its keys). What it computes is right; that it is slow is no matter.
#include <math.h>
#include <stdint.h>

#define REAL float
#define SPLIT 0
#define WAIT 0
constexpr int H = 4, GROUP = 2, D = 16, SPLITS = SPLIT ? 3 : 1;

struct Call {
  const void *q, *k, *v, *out, *lse;
  int64_t B, M, N;
  int64_t qb, qh, qm, kb, kh, kn, vb, vh, vn, ob, oh, om;
  const void* slopes;
  int64_t slopes_0;
  const void* doc;
  int64_t doc_0, doc_size;
  int64_t W;
  double temperature;
  const void* shared;
};

struct Part {
  double max, sum, acc[D];
};

static void part(const Call* c, int64_t row, int split, Part* p) {
  int64_t m = row % c->M, h = row / c->M % H, b = row / c->M / H, position = m + c->N - c->M;
  const REAL* q = (const REAL*)c->q + b * c->qb + h * c->qh + m * c->qm;
  p->max = -INFINITY;
  p->sum = 0;
  for (int d = 0; d < D; d++) p->acc[d] = 0;
  double slope = ((const float*)c->slopes)[h * c->slopes_0];
  auto doc = [&](int64_t i) {
    i = i < 0 ? 0 : i >= c->doc_size ? c->doc_size - 1 : i;
    return ((const int32_t*)c->doc)[i * c->doc_0];
  };
  for (int64_t n = c->N * split / SPLITS; n < c->N * (split + 1) / SPLITS; n++) {
    if (n > position || position - n >= c->W || doc(position) != doc(n)) continue;
    const REAL* k = (const REAL*)c->k + b * c->kb + h / GROUP * c->kh + n * c->kn;
    const REAL* v = (const REAL*)c->v + b * c->vb + h / GROUP * c->vh + n * c->vn;
    double s = 0;
    for (int d = 0; d < D; d++) s += (double)q[d] * k[d];
    s = (s * 0.25 + slope * (n - position)) / c->temperature;
    double top = s > p->max ? s : p->max, shrink = exp(p->max - top), weight = exp(s - top);
    p->sum = p->sum * shrink + weight;
    for (int d = 0; d < D; d++) p->acc[d] = p->acc[d] * shrink + weight * v[d];
    p->max = top;
  }
  for (volatile int i = 0; i < WAIT; i = i + 1) {
  }
}

static void finish(const Call* c, int64_t row, const Part* parts) {
  int64_t m = row % c->M, h = row / c->M % H, b = row / c->M / H;
  double max = -INFINITY, sum = 0, acc[D] = {};
  for (int i = 0; i < SPLITS; i++) max = parts[i].max > max ? parts[i].max : max;
  for (int i = 0; i < SPLITS; i++) {
    double weight = parts[i].sum == 0 ? 0 : exp(parts[i].max - max);
    sum += parts[i].sum * weight;
    for (int d = 0; d < D; d++) acc[d] += parts[i].acc[d] * weight;
  }
  REAL* out = (REAL*)c->out + b * c->ob + h * c->oh + m * c->om;
  for (int d = 0; d < D; d++) out[d] = (REAL)(sum == 0 ? 0 : acc[d] / sum);
  if (c->lse) ((REAL*)c->lse)[row] = (REAL)(sum == 0 ? -INFINITY : max + log(sum));
}

extern "C" {
int64_t attngen_call_bytes() { return sizeof(Call); }
int64_t attngen_scratch(const Call*) { return sizeof(Part); }
int64_t attngen_items(const Call* c) { return c->B * H * c->M * SPLITS; }
int64_t attngen_shared(const Call* c) { return c->B * H * c->M * SPLITS * (int64_t)sizeof(Part); }
int64_t attngen_final_items(const Call* c) { return c->B * H * c->M; }
void attngen_item(const Call* c, int64_t item, void* scratch) {
  Part* own = SPLIT ? (Part*)c->shared + item : (Part*)scratch;
  part(c, item / SPLITS, item % SPLITS, own);
  if (!SPLIT) finish(c, item, own);
}
void attngen_final_item(const Call* c, int64_t item, void*) { finish(c, item, (const Part*)c->shared + item * SPLITS); }
}
