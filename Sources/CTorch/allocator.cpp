// The CPU allocator: large blocks are kept and handed out again.
//
// With the C library's defaults a training step returns its activations to the kernel and faults them in again on
// the next step, page by page; on two cores that costs more than the arithmetic of the adapters. Blocks here fall
// into size classes (eight to a doubling, so at most an eighth is wasted); a freed block of 1 MiB or more waits in its
// class for the next tensor of that size. Blocks of 4 MiB or more are offered to the kernel as huge pages.
#include "guard.hpp"
#include <atomic>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <map>
#include <mutex>
#include <new>
#include <sys/mman.h>
#include <sys/resource.h>

namespace {

constexpr size_t line = 64, smallestKept = size_t(1) << 20, huge = size_t(4) << 20, hugePage = size_t(2) << 20;
/// No machine addresses more; beyond it the sums of sizes would overflow.
constexpr size_t largest = size_t(1) << 56;
/// Blocks waiting may exceed the largest use so far by a quarter and this much; then the largest go back.
constexpr int64_t slack = int64_t(256) << 20;

/// What stands in the cache line before the bytes of a tensor.
struct Header {
  size_t size;  // of the whole block, header included
};

size_t sizeClass(size_t bytes) {
  if (bytes < smallestKept) return (bytes + line - 1) / line * line;
  size_t step = smallestKept / 8;
  while (step * 16 < bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

class KeepingAllocator final : public c10::Allocator {
public:
  c10::DataPtr allocate(size_t bytes) override {
    const c10::Device cpu(c10::DeviceType::CPU);
    if (bytes == 0) return {nullptr, nullptr, &deleter, cpu};
    if (bytes > largest) throw std::bad_alloc();
    const size_t size = sizeClass(bytes + line);
    void *block = reuse(size);
    if (block == nullptr) block = obtain(size);
    static_cast<Header *>(block)->size = size;
    const int64_t now = live_.fetch_add(static_cast<int64_t>(size)) + static_cast<int64_t>(size);
    raise(peak_, now);
    raise(peakEver_, now);
    void *data = static_cast<char *>(block) + line;
    return {data, data, &deleter, cpu};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &deleter; }
  void copy_data(void *to, const void *from, std::size_t count) const override { memcpy(to, from, count); }

  int64_t live() const { return live_; }
  int64_t peak() const { return peak_; }
  int64_t held() const { return held_; }
  void resetPeak() { peak_ = live_.load(); }

  void releaseHeld(int64_t downTo) {
    std::lock_guard<std::mutex> lock(mutex_);
    shrink(downTo);
  }

  static KeepingAllocator &shared() {
    // Never destroyed: tensors in static storage may outlive every static object here.
    static auto *allocator = new KeepingAllocator;
    return *allocator;
  }

private:
  std::mutex mutex_;
  std::multimap<size_t, void *> waiting_;
  std::atomic<int64_t> live_{0}, peak_{0}, peakEver_{0}, held_{0};

  static void raise(std::atomic<int64_t> &maximum, int64_t value) {
    int64_t seen = maximum;
    while (seen < value && !maximum.compare_exchange_weak(seen, value)) {
    }
  }

  static void deleter(void *data) {
    if (data == nullptr) return;
    shared().giveBack(static_cast<char *>(data) - line);
  }

  void *reuse(size_t size) {
    if (size < smallestKept) return nullptr;
    std::lock_guard<std::mutex> lock(mutex_);
    auto found = waiting_.find(size);
    if (found == waiting_.end()) return nullptr;
    void *block = found->second;
    waiting_.erase(found);
    held_ -= static_cast<int64_t>(size);
    return block;
  }

  void *obtain(size_t size) {
    void *block = nullptr;
    const size_t alignment = size >= huge ? hugePage : line;
    if (posix_memalign(&block, alignment, size) != 0) {
      releaseHeld(0);
      if (posix_memalign(&block, alignment, size) != 0) throw std::bad_alloc();
    }
#if defined(MADV_HUGEPAGE)
    if (size >= huge) madvise(block, size, MADV_HUGEPAGE);  // advice: a refusal costs only speed
#endif
    return block;
  }

  void giveBack(void *block) {
    const size_t size = static_cast<Header *>(block)->size;
    live_ -= static_cast<int64_t>(size);
    if (size < smallestKept) return free(block);
    std::lock_guard<std::mutex> lock(mutex_);
    try {
      waiting_.emplace(size, block);
    } catch (const std::bad_alloc &) {
      return free(block);
    }
    held_ += static_cast<int64_t>(size);
    const int64_t allowed = peakEver_ + peakEver_ / 4 + slack - live_;
    if (held_ > allowed) shrink(allowed);
  }

  void shrink(int64_t downTo) {
    while (held_ > downTo && !waiting_.empty()) {
      auto largest = std::prev(waiting_.end());
      held_ -= static_cast<int64_t>(largest->first);
      free(largest->second);
      waiting_.erase(largest);
    }
  }
};

/// In force before the first tensor exists. `GRAFT_ALLOCATOR=system` leaves libtorch's own, for comparisons.
const bool installed = [] {
  const char *choice = getenv("GRAFT_ALLOCATOR");
  if (choice != nullptr && strcmp(choice, "system") == 0) return false;
  c10::SetCPUAllocator(&KeepingAllocator::shared(), /*priority=*/1);
  return true;
}();

} // namespace

void ct_memory(CTMemory *out) {
  auto &allocator = KeepingAllocator::shared();
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  *out = {};
  if (installed) {
    out->live = allocator.live();
    out->peak = allocator.peak();
    out->held = allocator.held();
  }
  out->faults = usage.ru_minflt;
#ifdef __APPLE__
  out->resident = usage.ru_maxrss;
#else
  out->resident = usage.ru_maxrss * int64_t(1024);
#endif
}

void ct_memory_reset_peak(void) { KeepingAllocator::shared().resetPeak(); }

void ct_memory_release_held(void) { KeepingAllocator::shared().releaseHeld(0); }
