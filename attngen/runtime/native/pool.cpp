// A pool of threads for attngen's kernels: persistent, lazily grown, safe under fork and for several callers at once.
//
// A kernel is a set of functions over items 0 .. n - 1 of independent work, in an order with the heaviest first. A call
// hands out items by an atomic counter. The caller works as well, so a call ends even where no worker can be had (a
// child after fork, a limit on threads). Which thread computes an item does not change it: results are the same bits
// for any number of threads.
//
// Standard library headers of C only: the file compiles in a third of a second and needs no C++ runtime library.
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace {

typedef void Item(const void* call, int64_t index, void* scratch);

struct Kernel {  // library.py packs this: addresses of the functions of an emitted file, and of its `Call`
  int64_t (*items)(const void* call);
  int64_t (*scratch)(const void* call);
  Item* item;
  int64_t (*shared)(const void* call);  // null, as what follows, where keys are not split
  int64_t (*final_items)(const void* call);
  Item* final_item;
  int64_t call_bytes, shared_offset;
  int64_t item_ns, final_ns;  // what an item took last time: little work is not worth waking anybody
};

struct Job {
  Item* item;
  const void* call;
  int64_t scratch, total;
  int64_t next;      // first item that nobody has taken
  int64_t done;      // helpers that have left
  int helpers;       // helpers that are inside; under the lock
  int wanted;        // helpers that may still join; under the lock
  int failed;        // no memory for scratch somewhere
  Job* below;        // the list of jobs that want helpers
};

constexpr int kMaxWorkers = 1024;
constexpr int kSpin = 2000;  // pauses before a thread sleeps: about 20 us, less than it costs to wake one
constexpr int64_t kWorthNs = 20000;  // work below this is done alone

pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t work = PTHREAD_COND_INITIALIZER;  // a job wants helpers
pthread_cond_t left = PTHREAD_COND_INITIALIZER;  // a helper has left a job
Job* jobs = nullptr;
int workers = 0;
int idle = 0;
pthread_once_t once = PTHREAD_ONCE_INIT;
pthread_key_t scratch_key;

struct Scratch {
  void* memory;
  int64_t size;
};

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

// Denormals and rounding as IEEE has them, whatever the thread was set to: else results would depend on the thread.
struct DefaultFloats {
#if defined(__x86_64__) || defined(__i386__)
  unsigned before = _mm_getcsr();
  DefaultFloats() { _mm_setcsr(0x1f80); }
  ~DefaultFloats() { _mm_setcsr(before); }
#elif defined(__aarch64__)
  uint64_t before;
  DefaultFloats() {
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(before));
    __asm__ __volatile__("msr fpcr, %0" : : "r"((uint64_t)0));
  }
  ~DefaultFloats() { __asm__ __volatile__("msr fpcr, %0" : : "r"(before)); }
#endif
};

void free_scratch(void* owned) {
  free(static_cast<Scratch*>(owned)->memory);
  free(owned);
}

// This thread's scratch memory: kept between calls, freed with the thread. Null when there is no memory.
void* own_scratch(int64_t size) {
  auto* own = static_cast<Scratch*>(pthread_getspecific(scratch_key));
  if (!own) {
    own = static_cast<Scratch*>(calloc(1, sizeof(Scratch)));
    if (!own || pthread_setspecific(scratch_key, own)) return free(own), nullptr;
  }
  if (own->size < size || !own->memory) {
    free(own->memory);
    own->size = (size + 4095) / 4096 * 4096 + 4096;
    if (posix_memalign(&own->memory, 64, static_cast<size_t>(own->size))) own->memory = nullptr, own->size = 0;
  }
  return own->memory;
}

int64_t now_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

// Computes items until none is left, or until `deadline` (0: none).
void take_items(Job& job, int64_t deadline) {
  if (__atomic_load_n(&job.next, __ATOMIC_RELAXED) >= job.total) return;
  void* scratch = own_scratch(job.scratch);
  if (!scratch) {
    __atomic_store_n(&job.failed, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&job.next, job.total, __ATOMIC_RELAXED);
    return;
  }
  DefaultFloats ieee;
  for (;;) {
    int64_t index = __atomic_fetch_add(&job.next, 1, __ATOMIC_RELAXED);
    if (index >= job.total) return;
    job.item(job.call, index, scratch);
    if (deadline && now_ns() > deadline) return;
  }
}

void* worker(void*) {
  pthread_mutex_lock(&lock);
  for (;;) {
    while (!jobs) {
      idle++;
      pthread_cond_wait(&work, &lock);
      idle--;
    }
    Job& job = *jobs;
    job.helpers++;
    if (--job.wanted == 0) jobs = job.below;
    pthread_mutex_unlock(&lock);
    take_items(job, 0);
    pthread_mutex_lock(&lock);
    job.helpers--;
    __atomic_fetch_add(&job.done, 1, __ATOMIC_RELEASE);
    pthread_cond_broadcast(&left);
  }
  return nullptr;
}

void before_fork() { pthread_mutex_lock(&lock); }
void in_parent() { pthread_mutex_unlock(&lock); }
void in_child() {  // only the thread that forked goes on: no workers, and nobody else's jobs
  jobs = nullptr;
  workers = idle = 0;
  work = PTHREAD_COND_INITIALIZER;
  left = PTHREAD_COND_INITIALIZER;
  pthread_mutex_unlock(&lock);
}

void start() {
  pthread_key_create(&scratch_key, free_scratch);
  pthread_atfork(before_fork, in_parent, in_child);
}

// One more worker, that takes no signals (Python handles them) and that nobody joins. Under the lock.
bool hire() {
  if (workers >= kMaxWorkers) return false;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t id;
  bool ok = pthread_create(&id, &attributes, worker, nullptr) == 0;
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  workers += ok;
  return ok;
}

// Up to `wanted` workers join the job.
void call_helpers(Job& job, int wanted) {
  pthread_mutex_lock(&lock);
  while (workers < wanted && hire()) {
  }
  job.wanted = wanted < workers ? wanted : workers;
  int asleep = idle < job.wanted ? idle : job.wanted;
  if (job.wanted > 0) {
    job.below = jobs;
    jobs = &job;
  }
  pthread_mutex_unlock(&lock);
  for (int i = 0; i < asleep; i++) pthread_cond_signal(&work);
}

// Nobody new may join, since the job is on its caller's stack; those inside are waited for.
void dismiss_helpers(Job& job) {
  pthread_mutex_lock(&lock);
  for (Job** place = &jobs; *place; place = &(*place)->below)
    if (*place == &job) {
      *place = job.below;
      break;
    }
  int64_t joined = job.done + job.helpers;
  if (job.helpers) {  // they are in their last items
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < kSpin && __atomic_load_n(&job.done, __ATOMIC_ACQUIRE) < joined; i++) relax();
    pthread_mutex_lock(&lock);
    while (job.helpers) pthread_cond_wait(&left, &lock);
  }
  pthread_mutex_unlock(&lock);
}

// All items of one phase. Nonzero when there was no memory.
int run_phase(Item* item, const void* call, int64_t scratch, int64_t total, int threads, int64_t* item_ns) {
  if (total <= 0) return 0;
  Job job = {item, call, scratch, total, 0, 0, 0, 0, 0, nullptr};
  int wanted = static_cast<int>(threads < total ? threads : total) - 1;
  int64_t start = now_ns(), before = __atomic_load_n(item_ns, __ATOMIC_RELAXED);
  if (wanted > 0 && before > 0 && before < kWorthNs / total) {
    take_items(job, start + kWorthNs);  // what was little last time may be more now
    if (job.next >= job.total) wanted = 0;
  }
  if (wanted > 0) call_helpers(job, wanted);
  take_items(job, 0);
  if (wanted > 0) dismiss_helpers(job);
  int64_t each = (now_ns() - start) * (wanted > 0 ? wanted + 1 : 1) / total;
  __atomic_store_n(item_ns, each > 0 ? each : 1, __ATOMIC_RELAXED);
  return job.failed;
}

}  // namespace

// Runs a kernel on a call with up to `threads` threads. 0, or 1 when there was no memory.
extern "C" int attngen_pool_run(void* kernel_table, const void* call, int threads) {
  pthread_once(&once, start);
  Kernel& kernel = *static_cast<Kernel*>(kernel_table);
  int64_t scratch = kernel.scratch(call);
  if (!kernel.shared) return run_phase(kernel.item, call, scratch, kernel.items(call), threads, &kernel.item_ns);
  int64_t size = kernel.shared(call);
  void* shared = nullptr;
  if (posix_memalign(&shared, 64, static_cast<size_t>(size > 0 ? size : 64))) return 1;
  char* own = static_cast<char*>(__builtin_alloca(static_cast<size_t>(kernel.call_bytes)));
  memcpy(own, call, static_cast<size_t>(kernel.call_bytes));
  memcpy(own + kernel.shared_offset, &shared, sizeof shared);
  int failed = run_phase(kernel.item, own, scratch, kernel.items(own), threads, &kernel.item_ns);
  if (!failed) failed = run_phase(kernel.final_item, own, scratch, kernel.final_items(own), threads, &kernel.final_ns);
  free(shared);
  return failed;
}

// Workers that exist, for tests.
extern "C" int attngen_pool_workers() {
  pthread_mutex_lock(&lock);
  int count = workers;
  pthread_mutex_unlock(&lock);
  return count;
}
