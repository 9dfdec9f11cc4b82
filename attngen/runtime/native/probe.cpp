// What one core of this machine can do: multiply-adds of its vectors, products of bf16 pairs, reading of memory.
// CPU time of the thread is taken, so that other programs on the machine do not count.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX2__)
#define BYTES 32
#else
#define BYTES 16
#endif
typedef float vf __attribute__((vector_size(BYTES)));
constexpr int LANES = BYTES / 4, SUMS = BYTES == 64 ? 16 : 10, ROUNDS = 5;

static double seconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

// Read so that no compiler can know them: it leaves out a sum that it knows the end of, such as one that stays 1.
static volatile float kept, shrink = 0.999f, more_of = 0.001f;

template <class T>
static void keep(T *sums) {
  float total = 0;
  for (int i = 0; i < SUMS; i++)
    for (int j = 0; j < LANES; j++) total += reinterpret_cast<float *>(sums + i)[j];
  kept = total;
}

// GFLOP/s of fp32 multiply-adds, the best of some rounds.
extern "C" double attngen_probe_fma(int64_t steps) {
  double best = 0;
  for (int round = 0; round < ROUNDS; round++) {
    vf sums[SUMS];
    const vf factor = vf{} + shrink, more = vf{} + more_of;
    for (int i = 0; i < SUMS; i++) sums[i] = vf{} + float(i);
    const double start = seconds();
    for (int64_t step = 0; step < steps; step++) {
#pragma GCC unroll 16
      for (int i = 0; i < SUMS; i++) sums[i] = sums[i] * factor + more;
    }
    const double rate = 2.0 * SUMS * LANES * steps / (seconds() - start) * 1e-9;
    keep(sums);
    best = rate > best ? rate : best;
  }
  return best;
}

// GFLOP/s of products of bf16 pairs; 0 where there are none.
extern "C" double attngen_probe_dot(int64_t steps) {
  double best = 0;
#if defined(__AVX512BF16__)
  for (int round = 0; round < ROUNDS; round++) {
    __m512 sums[SUMS];
    const __m512bh a = (__m512bh)_mm512_set1_epi32(0x3f003f00), b = (__m512bh)_mm512_set1_epi32(0x3c003c00);
    for (int i = 0; i < SUMS; i++) sums[i] = _mm512_set1_ps(float(i));
    const double start = seconds();
    for (int64_t step = 0; step < steps; step++) {
#pragma GCC unroll 16
      for (int i = 0; i < SUMS; i++) sums[i] = _mm512_dpbf16_ps(sums[i], a, b);
    }
    const double rate = 4.0 * SUMS * LANES * steps / (seconds() - start) * 1e-9;
    keep(sums);
    best = rate > best ? rate : best;
  }
#endif
  (void)steps;
  return best;
}

// GB/s of reading `bytes` of memory, which should be more than the caches hold; 0 where there is not so much.
extern "C" double attngen_probe_read(int64_t bytes) {
  void *memory = nullptr;
  bytes = bytes / (8 * BYTES) * (8 * BYTES);
  if (posix_memalign(&memory, 64, static_cast<size_t>(bytes))) return 0;
  memset(memory, 1, static_cast<size_t>(bytes));
  double best = 0;
  for (int round = 0; round < ROUNDS; round++) {
    vf sums[SUMS] = {};
    const vf *at = static_cast<const vf *>(memory), *end = at + bytes / BYTES;
    const double start = seconds();
    for (; at < end; at += 8) {
#pragma GCC unroll 8
      for (int i = 0; i < 8; i++) sums[i] += at[i];
    }
    const double rate = bytes / (seconds() - start) * 1e-9;
    keep(sums);
    best = rate > best ? rate : best;
  }
  free(memory);
  return best;
}
