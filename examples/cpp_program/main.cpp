// Calls attention.cpp, which attngen has emitted, and compares it with the definition written as three loops.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

constexpr int64_t B = 1, HEADS = 25, N = 512, D = 64;  // heads and width are the spec's; lengths are free

extern "C" int attention(const float *q, const float *k, const float *v, float *out, float *lse, int64_t batch,
                         int64_t queries, int64_t keys);

// The largest difference to causal attention in double precision.
static double compare(const std::vector<float> &q, const std::vector<float> &k, const std::vector<float> &v,
                      const std::vector<float> &out) {
  double worst = 0;
  std::vector<double> weight(N);
  for (int64_t head = 0; head < B * HEADS; head++)
    for (int64_t row = 0; row < N; row++) {
      const float *query = &q[(head * N + row) * D];
      double sum = 0;
      for (int64_t key = 0; key <= row; key++) {
        double score = 0;
        for (int64_t d = 0; d < D; d++) score += double(query[d]) * k[(head * N + key) * D + d];
        sum += weight[key] = std::exp(score / std::sqrt(double(D)));
      }
      for (int64_t d = 0; d < D; d++) {
        double value = 0;
        for (int64_t key = 0; key <= row; key++) value += weight[key] * v[(head * N + key) * D + d];
        worst = std::fmax(worst, std::fabs(value / sum - out[(head * N + row) * D + d]));
      }
    }
  return worst;
}

int main() {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  std::vector<float> q(B * HEADS * N * D), k(q.size()), v(q.size()), out(q.size()), lse(B * HEADS * N);
  for (auto *tensor : {&q, &k, &v})
    for (float &x : *tensor) x = normal(generator);
  if (attention(q.data(), k.data(), v.data(), out.data(), lse.data(), B, N, N)) {
    std::puts("no memory");
    return 1;
  }
  const double worst = compare(q, k, v, out);
  std::printf("causal attention of %d heads over %d tokens: largest difference to double precision %.1e\n", int(HEADS),
              int(N), worst);
  return worst < 1e-5 ? 0 : 1;
}
