// Experts that share one offset δ of a tensor, each letting through what its mask has open:
//
//     θ = base + c · (Σ_m α_m z_m) · δ,    z = clamp(1.2 σ(1.5 a) − 0.1, 0, 1)
//
// Written as a graph, this keeps several arrays of the size of all masks alive from the forward pass to the backward. Here the
// logits are walked in blocks that stay in the first cache, and gates and slopes computed where they are needed: what is kept is
// a, δ and its momentum. A training step walks them once to merge each task, and twice for the gradient of a, which is never
// stored: for its norm, and for the step.
#include "clones.hpp"
#include "guard.hpp"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/zeros_like.h>

using namespace graft;

namespace {

// ---- vectors -------------------------------------------------------------------------------------------------------

template <class T> constexpr int lanes = 64 / sizeof(T);

template <class T> struct VectorOf;
template <> struct VectorOf<float> {
  using Integer = int32_t;
  static constexpr int mantissa = 23, bias = 127, terms = 8;
};
template <> struct VectorOf<double> {
  using Integer = int64_t;
  static constexpr int mantissa = 52, bias = 1023, terms = 14;
};
template <class T> struct Types {
  using Integer = typename VectorOf<T>::Integer;
  typedef T Vector __attribute__((vector_size(64)));
  typedef Integer Mask __attribute__((vector_size(64)));
};
template <class T> using Vector = typename Types<T>::Vector;
template <class T> using Mask = typename Types<T>::Mask;

/// The first `count` entries, zeros behind them.
template <class T> GRAFT_INLINED Vector<T> load(const T *from, int64_t count) {
  Vector<T> value{};
  if (count >= lanes<T>)
    __builtin_memcpy(&value, from, sizeof(value));
  else
    for (int lane = 0; lane < count; lane++) value[lane] = from[lane];
  return value;
}
template <class T> GRAFT_INLINED void store(T *to, Vector<T> value, int64_t count) {
  if (count >= lanes<T>)
    __builtin_memcpy(to, &value, sizeof(value));
  else
    for (int lane = 0; lane < count; lane++) to[lane] = value[lane];
}

template <class T> GRAFT_INLINED Vector<T> all(T value) { return Vector<T>{} + value; }

template <class T> GRAFT_INLINED Vector<T> select(Mask<T> where, Vector<T> yes, Vector<T> no) {
  return (Vector<T>)(((Mask<T>)yes & where) | ((Mask<T>)no & ~where));
}

/// Zeros in the lanes from `count` on.
template <class T> GRAFT_INLINED Vector<T> first(Vector<T> value, int64_t count) {
  for (int lane = lanes<T> - 1; lane >= count && lane >= 0; lane--) value[lane] = 0;
  return value;
}

template <class T> GRAFT_INLINED double sum(Vector<T> value) {
  double total = 0;
  for (int lane = 0; lane < lanes<T>; lane++) total += value[lane];
  return total;
}
template <class T> GRAFT_INLINED int64_t count(Mask<T> mask) {
  int64_t total = 0;
  for (int lane = 0; lane < lanes<T>; lane++) total -= mask[lane];
  return total;
}

// ---- gates ---------------------------------------------------------------------------------------------------------

/// 1 / k!
template <class T> struct Series {
  T inverses[VectorOf<T>::terms];

  constexpr Series() : inverses{} {
    long double factorial = 1;
    for (int k = 0; k < VectorOf<T>::terms; k++) {
      inverses[k] = T(1 / factorial);
      factorial *= k + 1;
    }
  }
};
template <class T> constexpr Series<T> series{};

/// `exp(x)` for `|x| <= 80`, and for what lies beyond as at the bounds: `2^n` times a power series of the remainder, to about one
/// unit in the last place. A NaN stays one.
template <class T> GRAFT_INLINED Vector<T> exponential(Vector<T> x) {
  using Format = VectorOf<T>;
  using Integer = typename Format::Integer;
  constexpr T log2e = T(1.4426950408889634074L);
  // ln 2 in two parts, the first of so few bits that its product with n is exact.
  constexpr T high = sizeof(T) == 4 ? T(0x1.62ep-1) : T(0x1.62e42fefap-1);
  constexpr T low = T(0.69314718055994530941723212145818L - static_cast<long double>(high));
  x = select<T>(x > all<T>(80), all<T>(80), x);
  x = select<T>(x < all<T>(-80), all<T>(-80), x);
  // Adding 1.5 · 2^mantissa rounds to a whole number and leaves it in the low bits.
  constexpr T magic = T(3) * T(Integer(1) << (Format::mantissa - 1));
  const Vector<T> shifted = x * log2e + magic, n = shifted - magic;
  const Vector<T> r = (x - n * high) - n * low;
  Vector<T> y = all<T>(series<T>.inverses[Format::terms - 1]);
#pragma clang loop unroll(full)
  for (int k = Format::terms - 2; k >= 0; k--) y = y * r + series<T>.inverses[k];
  const auto power = (Vector<T>)(((Mask<T>)shifted + Integer(Format::bias)) << Integer(Format::mantissa));
  return y * power;
}

// Functions with clones leave undefined whatever inline functions only they call, unless these are inlined always: hence no
// constructors here, and nothing of the standard library inside.

/// `σ(x)` and `σ(−x)`; the second is no difference from 1, so that `σ(1 − σ)` is as exact.
template <class T> struct Sigmoid {
  Vector<T> value, complement;
};

template <class T> GRAFT_INLINED Sigmoid<T> sigmoid(Vector<T> x) {
  const Vector<T> e = exponential<T>(-x);
  const Vector<T> value = T(1) / (T(1) + e);
  return {value, e * value};
}

/// The constants of Louizos et al. 2018, arXiv:1712.01312: stretched to −0.1 … 1.1, temperature 2/3. A gate is 0 or 1 from
/// `|a| = ⅔ ln 11` on.
template <class T> constexpr T bound = T(1.5985968485322470369L);
template <class T> constexpr T width = T(1.2L);
template <class T> constexpr T start = T(-0.1L);
template <class T> constexpr T steepness = T(1.5L);

template <class T> struct Gate {
  Vector<T> value, slope;
};

template <class T> GRAFT_INLINED Gate<T> gateOf(Vector<T> a) {
  const Mask<T> closed = a <= all<T>(-bound<T>), open = a >= all<T>(bound<T>);
  const auto s = sigmoid<T>(a * steepness<T>);
  return {select<T>(open, all<T>(1), select<T>(closed, Vector<T>{}, s.value * width<T> + start<T>)),
          select<T>(open | closed, Vector<T>{}, s.value * s.complement * (width<T> * steepness<T>))};
}

/// Without the temperature: `clamp(1.2 σ(a) − 0.1, 0, 1)`.
template <class T> GRAFT_INLINED Vector<T> estimator(Vector<T> a) {
  Vector<T> z = sigmoid<T>(a).value * width<T> + start<T>;
  z = select<T>(z < Vector<T>{}, Vector<T>{}, z);
  return select<T>(z > all<T>(1), all<T>(1), z);
}
/// The logit, −ln 11, down to which that is 0.
template <class T> constexpr T estimatorBound = T(2.3978952727983705441L);

// ---- passes over one tensor ----------------------------------------------------------------------------------------

/// Entries of one chunk, whose sums are added in the order of the chunks, in float64.
constexpr int64_t chunkSize = 1 << 14;
/// Entries of one block, for which everything that is computed on the way stays in the first cache. Each lane sums a block in the
/// data's own type; from there on sums are float64.
constexpr int64_t blockSize = 256;

template <class T> struct Offset {
  int64_t entries;
  int experts;
  T *offset;
  T *logits;  // `[experts, entries]`; null: one expert, all open

  T *logitsOf(int expert) const { return logits + expert * entries; }
};

template <class T> struct Merge {
  Offset<T> of;
  const T *base;
  T *merged;
  const T *mixing;
  T scale;
  bool evaluation;
};

template <class T> GRAFT_INLINED void mergeRange(const Merge<T> &work, int64_t from, int64_t to) {
  for (int64_t at = from; at < to; at += lanes<T>) {
    const int64_t rest = to - at;
    Vector<T> weight{};
    for (int expert = 0; expert < work.of.experts; expert++) {
      Vector<T> z = all<T>(1);
      if (work.of.logits != nullptr) {
        const auto a = load(work.of.logitsOf(expert) + at, rest);
        z = work.evaluation ? estimator<T>(a) : gateOf<T>(a).value;
      }
      weight += work.mixing[expert] * z;
    }
    const Vector<T> scaled = work.scale * weight;
    store(work.merged + at, load(work.base + at, rest) + scaled * load(work.of.offset + at, rest), rest);
  }
}

/// What a backward pass and a step have in common.
template <class T> struct Tasks {
  int count;
  const T *const *gradients;
  const T *mixing;      // `[tasks, experts]`
  const T *constraint;  // `[experts]`; null where the logits do not train
  T share;              // `c / T`
};

/// One block's share of one expert's gradients.
template <class T> struct Block {
  alignas(64) T gradient[blockSize];  // Σ_t α_tm g_t
  alignas(64) T offset[blockSize];    // ∂δ, summed over the experts
};

/// `Σ_t α_tm g_t` over a block of `size` entries from `at`.
template <class T>
GRAFT_INLINED void gather(const Tasks<T> &tasks, int experts, int expert, int64_t at, int64_t size, T *to) {
  for (int64_t i = 0; i < size; i += lanes<T>) {
    Vector<T> total{};
    for (int task = 0; task < tasks.count; task++)
      total += tasks.mixing[task * experts + expert] * load(tasks.gradients[task] + at + i, size - i);
    store(to + i, total, lanes<T>);
  }
}

/// `∂a` of one vector, from its gate and what the block has of the tasks.
template <class T>
GRAFT_INLINED Vector<T> logitGradient(Vector<T> a, Vector<T> slope, Vector<T> gradient, Vector<T> offset, T share,
                                      T constraint) {
  Vector<T> result = share * gradient * offset * slope;
  if (constraint != 0) {
    const auto open = sigmoid<T>(a + bound<T>);
    result += constraint * (open.value * open.complement);
  }
  return result;
}

template <class T> struct Backward {
  Offset<T> of;
  Tasks<T> tasks;
  T *offsetGradient;  // or null
  T *logitsGradient;  // or null
};

/// Adds to `sums` `[tasks · experts + 1]`: ∂α of each task, and ‖∂a‖².
template <class T>
GRAFT_INLINED void backwardRange(const Backward<T> &work, int64_t from, int64_t to, double *sums) {
  const auto &tasks = work.tasks;
  const int experts = work.of.experts;
  const bool trains = tasks.constraint != nullptr;
  Block<T> block;
  alignas(64) T passed[blockSize];  // z · δ
  for (int64_t at = from; at < to; at += blockSize) {
    const int64_t size = to - at < blockSize ? to - at : blockSize;
    for (int64_t i = 0; i < size; i += lanes<T>) store(block.offset + i, Vector<T>{}, lanes<T>);
    for (int expert = 0; expert < experts; expert++) {
      gather(tasks, experts, expert, at, size, block.gradient);
      Vector<T> squares{};
      for (int64_t i = 0; i < size; i += lanes<T>) {
        const int64_t rest = size - i;
        const auto delta = load(work.of.offset + at + i, rest), gradient = load(block.gradient + i, lanes<T>);
        Vector<T> z = all<T>(1);
        if (work.of.logits != nullptr) {
          const auto a = load(work.of.logitsOf(expert) + at + i, rest);
          const auto gate = gateOf<T>(a);
          z = gate.value;
          if (trains) {
            auto toLogits = logitGradient<T>(a, gate.slope, gradient, delta, tasks.share, tasks.constraint[expert]);
            if (rest < lanes<T>) toLogits = first<T>(toLogits, rest);
            squares += toLogits * toLogits;
            if (work.logitsGradient != nullptr)
              store(work.logitsGradient + expert * work.of.entries + at + i, toLogits, rest);
          }
        }
        store(passed + i, z * delta, lanes<T>);
        store(block.offset + i, load(block.offset + i, lanes<T>) + z * gradient, lanes<T>);
      }
      sums[tasks.count * experts] += sum<T>(squares);
      for (int task = 0; task < tasks.count; task++) {
        Vector<T> total{};
        for (int64_t i = 0; i < size; i += lanes<T>)
          total += load(tasks.gradients[task] + at + i, size - i) * load(passed + i, lanes<T>);
        sums[task * experts + expert] += sum<T>(total);
      }
    }
    if (work.offsetGradient == nullptr) continue;
    for (int64_t i = 0; i < size; i += lanes<T>)
      store(work.offsetGradient + at + i, tasks.share * load(block.offset + i, lanes<T>), size - i);
  }
}

template <class T> struct Step {
  Offset<T> of;
  Tasks<T> tasks;
  T *momentum;
  T offsetRate, keep, decay, logitRate, limit;
};

/// Adds the new gates to `counts` `[experts, 3]`.
template <class T> GRAFT_INLINED void stepRange(const Step<T> &work, int64_t from, int64_t to, int64_t *counts) {
  const auto &tasks = work.tasks;
  const int experts = work.of.experts;
  const bool trains = tasks.constraint != nullptr;
  Block<T> block;
  for (int64_t at = from; at < to; at += blockSize) {
    const int64_t size = to - at < blockSize ? to - at : blockSize;
    for (int64_t i = 0; i < size; i += lanes<T>) store(block.offset + i, Vector<T>{}, lanes<T>);
    for (int expert = 0; expert < experts; expert++) {
      gather(tasks, experts, expert, at, size, block.gradient);
      Mask<T> closed{}, open{}, medianOnly{};
      for (int64_t i = 0; i < size; i += lanes<T>) {
        const int64_t rest = size - i;
        const auto gradient = load(block.gradient + i, lanes<T>);
        Vector<T> z = all<T>(1);
        if (work.of.logits != nullptr) {
          T *logits = work.of.logitsOf(expert) + at + i;
          auto a = load(logits, rest);
          const auto gate = gateOf<T>(a);
          z = gate.value;
          if (trains) {
            const auto delta = load(work.of.offset + at + i, rest);
            a -= work.logitRate *
                 logitGradient<T>(a, gate.slope, gradient, delta, tasks.share, tasks.constraint[expert]);
            a = select<T>(a > all<T>(work.limit), all<T>(work.limit), a);
            a = select<T>(a < all<T>(-work.limit), all<T>(-work.limit), a);
            store(logits, a, rest);
            // What lies past the end took a step from 0 as well.
            if (rest < lanes<T>) a = first<T>(a, rest);
          }
          const Mask<T> isClosed = a <= all<T>(-bound<T>);
          closed += isClosed;
          open += a >= all<T>(bound<T>);
          medianOnly += isClosed & (a > all<T>(-estimatorBound<T>));
        }
        store(block.offset + i, load(block.offset + i, lanes<T>) + z * gradient, lanes<T>);
      }
      counts[3 * expert] += count<T>(closed);
      counts[3 * expert + 1] += count<T>(open);
      counts[3 * expert + 2] += count<T>(medianOnly);
    }
    for (int64_t i = 0; i < size; i += lanes<T>) {
      const int64_t rest = size - i;
      auto delta = load(work.of.offset + at + i, rest);
      const Vector<T> gradient = tasks.share * load(block.offset + i, lanes<T>) + work.decay * delta;
      const Vector<T> velocity = work.keep * load(work.momentum + at + i, rest) + gradient;
      store(work.momentum + at + i, velocity, rest);
      store(work.of.offset + at + i, delta - work.offsetRate * velocity, rest);
    }
  }
}

template <class T> struct Count {
  const T *logits;
  bool probabilities;
};

template <class T>
GRAFT_INLINED void countRange(const Count<T> &work, int64_t from, int64_t to, int64_t *counts, double *open) {
  for (int64_t at = from; at < to; at += blockSize) {
    const int64_t size = to - at < blockSize ? to - at : blockSize;
    Mask<T> closed{}, opened{}, medianOnly{};
    Vector<T> total{};
    for (int64_t i = 0; i < size; i += lanes<T>) {
      const auto a = load(work.logits + at + i, size - i);
      const Mask<T> isClosed = a <= all<T>(-bound<T>);
      closed += isClosed;
      opened += a >= all<T>(bound<T>);
      medianOnly += isClosed & (a > all<T>(-estimatorBound<T>));
      if (work.probabilities) total += first<T>(sigmoid<T>(a + bound<T>).value, size - i);
    }
    counts[0] += count<T>(closed), counts[1] += count<T>(opened), counts[2] += count<T>(medianOnly);
    *open += sum<T>(total);
  }
}

/// Every weight's bits as the index of a table; see `ct_experts_merge_packed`.
template <class T> struct Lookup {
  const T *base;
  T *merged;
  const T *values;
  const uint8_t *bits;
  int bytes, experts;
  const T *mixing;
  T scale;
  const T *table;  // `[2^experts]`, or null

};

/// `c · Σ α` over the experts whose bits are set, in the order of `mergeRange`.
template <class T> GRAFT_INLINED T weightOf(const Lookup<T> &work, const uint8_t *bits) {
  T total = 0;
  for (int expert = 0; expert < work.experts; expert++)
    if (bits[expert / 8] >> expert % 8 & 1) total += work.mixing[expert];
  return work.scale * total;
}

GRAFT_INLINED bool isAny(const uint8_t *index, int bytes) {
  uint8_t any = 0;
  for (int byte = 0; byte < bytes; byte++) any |= index[byte];
  return any != 0;
}

/// `value` is the first of the range's.
template <class T> GRAFT_INLINED void lookUpRange(const Lookup<T> &work, int64_t from, int64_t to, int64_t value) {
  for (int64_t at = from; at < to; at++) {
    const uint8_t *index = work.bits + at * work.bytes;
    T delta = 0;
    if (isAny(index, work.bytes)) delta = work.values[value++];
    T scaled;
    if (work.table == nullptr)
      scaled = weightOf(work, index);
    else
      scaled = work.table[work.bytes == 1 ? index[0] : index[0] | index[1] << 8];
    work.merged[at] = work.base[at] + scaled * delta;
  }
}

// A function with clones can be no template.
#define GRAFT_RUN(T)                                                                                                   \
  GRAFT_CLONED void run(const Merge<T> &work, int64_t from, int64_t to) { mergeRange(work, from, to); }                \
  GRAFT_CLONED void run(const Backward<T> &work, int64_t from, int64_t to, double *sums) {                             \
    backwardRange(work, from, to, sums);                                                                               \
  }                                                                                                                    \
  GRAFT_CLONED void run(const Step<T> &work, int64_t from, int64_t to, int64_t *counts) {                              \
    stepRange(work, from, to, counts);                                                                                 \
  }                                                                                                                    \
  GRAFT_CLONED void run(const Count<T> &work, int64_t from, int64_t to, int64_t *counts, double *open) {               \
    countRange(work, from, to, counts, open);                                                                          \
  }                                                                                                                    \
  GRAFT_CLONED void run(const Lookup<T> &work, int64_t from, int64_t to, int64_t value) {                              \
    lookUpRange(work, from, to, value);                                                                                \
  }
GRAFT_RUN(float)
GRAFT_RUN(double)

// ---- on tensors ----------------------------------------------------------------------------------------------------

/// Runs `body(chunk, from, to)` for all chunks of `entries`.
template <class Body> void forChunks(int64_t entries, Body body) {
  at::parallel_for(0, (entries + chunkSize - 1) / chunkSize, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; chunk++)
      body(chunk, chunk * chunkSize, std::min(entries, (chunk + 1) * chunkSize));
  });
}

/// Runs `body(from, to, sums)` for all chunks, each with `width` sums of its own, and adds these to `totals` in order.
template <class Sum, class Body> void sumChunks(int64_t entries, int64_t width, Sum *totals, Body body) {
  const int64_t chunks = (entries + chunkSize - 1) / chunkSize;
  std::vector<Sum> sums(chunks * width);
  forChunks(entries, [&](int64_t chunk, int64_t from, int64_t to) { body(from, to, sums.data() + chunk * width); });
  for (int64_t chunk = 0; chunk < chunks; chunk++)
    for (int64_t index = 0; index < width; index++) totals[index] += sums[chunk * width + index];
}

/// The operands, checked.
struct Operands {
  at::Tensor offset, logits;
  int experts;

  Operands(CTTensor offset, CTTensor logits, int experts)
      : offset(borrow(offset)), logits(borrow(logits)), experts(experts) {
    TORCH_CHECK(experts >= 1, "there is no expert");
    TORCH_CHECK(at::isFloatingType(this->offset.scalar_type()), "an offset of ", this->offset.scalar_type());
    check(this->offset, "the offset");
    TORCH_CHECK(this->logits.defined() || experts == 1, experts, " experts need logits");
    if (!this->logits.defined()) return;
    TORCH_CHECK(this->logits.dim() == this->offset.dim() + 1 && this->logits.size(0) == experts &&
                    this->logits.sizes().slice(1) == this->offset.sizes(),
                "the logits of ", experts, " experts of ", this->offset.sizes(), " have the shape ",
                this->logits.sizes());
    check(this->logits, "the logits");
  }

  /// That it can be walked beside the offset.
  void check(const at::Tensor &tensor, const char *name) const {
    TORCH_CHECK(tensor.scalar_type() == offset.scalar_type() && tensor.device() == offset.device(), name, " is ",
                tensor.scalar_type(), " on ", tensor.device(), " and the offset ", offset.scalar_type(), " on ",
                offset.device());
    TORCH_CHECK(tensor.is_contiguous(), name, " lies in memory with gaps");
  }
  void checkLike(const at::Tensor &tensor, const char *name) const {
    TORCH_CHECK(tensor.sizes() == offset.sizes(), name, " has the shape ", tensor.sizes(), " and the offset ",
                offset.sizes());
    check(tensor, name);
  }

  bool hasKernel() const {
    return offset.is_cpu() && (offset.scalar_type() == at::kFloat || offset.scalar_type() == at::kDouble);
  }

  template <class T> Offset<T> of() const {
    return {offset.numel(), experts, offset.data_ptr<T>(), logits.defined() ? logits.data_ptr<T>() : nullptr};
  }

  std::vector<at::Tensor> gradients(const CTExpertTasks &tasks) const {
    TORCH_CHECK(tasks.count >= 1, "there is no task");
    auto gradients = borrow(tasks.gradients, tasks.count);
    for (auto &gradient : gradients) {
      gradient = gradient.contiguous();
      checkLike(gradient, "a gradient");
    }
    return gradients;
  }

  /// The loss's share in a task's gradient.
  static double share(const CTExpertTasks &tasks) { return tasks.scale / tasks.count; }

  bool trains(const CTExpertTasks &tasks) const { return logits.defined() && tasks.constraint != nullptr; }

  /// The tasks' numbers in the kernel's type, and the memory they lie in.
  template <class T> struct Prepared {
    std::vector<const T *> gradients;
    std::vector<T> mixing, constraint;
    T share;

    Tasks<T> tasks() const {
      return {static_cast<int>(gradients.size()), gradients.data(), mixing.data(),
              constraint.empty() ? nullptr : constraint.data(), share};
    }
  };

  template <class T> Prepared<T> prepared(const CTExpertTasks &tasks, const std::vector<at::Tensor> &gradients) const {
    Prepared<T> result;
    for (const auto &gradient : gradients) result.gradients.push_back(gradient.const_data_ptr<T>());
    result.mixing.assign(tasks.mixing, tasks.mixing + tasks.count * experts);
    if (trains(tasks)) result.constraint.assign(tasks.constraint, tasks.constraint + experts);
    result.share = static_cast<T>(share(tasks));
    return result;
  }

  // The same by libtorch's operations, one expert at a time, on any device and in any dtype.

  at::Tensor gate(int expert, bool evaluation = false) const {
    if (!logits.defined()) return at::full_like(offset, 1);
    const auto a = logits.select(0, expert);
    const auto z = at::sigmoid(evaluation ? a : a * 1.5).mul_(1.2).sub_(0.1).clamp_(0, 1);
    return evaluation ? z : z.masked_fill_(a <= -bound<double>, 0).masked_fill_(a >= bound<double>, 1);
  }

  /// Σ_t α_tm g_t
  at::Tensor gathered(const CTExpertTasks &tasks, const std::vector<at::Tensor> &gradients, int expert) const {
    auto total = at::zeros_like(offset);
    for (int task = 0; task < tasks.count; task++)
      total.add_(gradients[task], tasks.mixing[task * experts + expert]);
    return total;
  }

  at::Tensor logitGradient(const CTExpertTasks &tasks, const at::Tensor &gathered, int expert) const {
    const auto a = logits.select(0, expert);
    const auto s = at::sigmoid(a * 1.5);
    const auto slope = (s * (1 - s)).mul_(1.8).masked_fill_(a.abs() >= bound<double>, 0);
    const auto open = at::sigmoid(a + bound<double>);
    return (gathered * offset).mul_(slope).mul_(share(tasks)).add_(open * (1 - open), tasks.constraint[expert]);
  }

  void addCounts(int expert, int64_t *counts, double *open) const {
    const auto a = logits.select(0, expert);
    const auto closed = a <= -bound<double>;
    counts[3 * expert] += closed.sum().item<int64_t>();
    counts[3 * expert + 1] += (a >= bound<double>).sum().item<int64_t>();
    counts[3 * expert + 2] += closed.logical_and(a > -estimatorBound<double>).sum().item<int64_t>();
    if (open != nullptr) open[expert] += at::sigmoid(a + bound<double>).sum(at::kDouble).item<double>();
  }
};

/// Tells the graph that a tensor was written to behind its back.
void written(const at::Tensor &tensor) { tensor.unsafeGetTensorImpl()->bump_version(); }

template <class Body> void withType(const at::Tensor &like, Body body) {
  if (like.scalar_type() == at::kFloat)
    body(float());
  else
    body(double());
}

template <class T> std::vector<T> numbers(const double *from, int64_t count) { return {from, from + count}; }

} // namespace

CTStatus ct_experts_merge(CTTensor merged, CTTensor base, CTTensor offset, CTTensor logits, const double *mixing,
                          int experts, double scale, bool evaluation, CTFailure *failure) {
  return guarded(failure, [&] {
    at::NoGradGuard noGraph;
    const Operands operands(offset, logits, experts);
    const auto from = borrow(base).contiguous(), to = borrow(merged);
    operands.checkLike(from, "the base");
    operands.checkLike(to, "what is merged");
    if (!operands.hasKernel()) {
      auto weight = at::zeros_like(operands.offset);
      for (int expert = 0; expert < experts; expert++) weight.add_(operands.gate(expert, evaluation), mixing[expert]);
      auto shift = weight.mul_(scale).mul_(operands.offset);
      to.copy_(from.add(shift));
      return;
    }
    withType(to, [&](auto zero) {
      using T = decltype(zero);
      const auto alpha = numbers<T>(mixing, experts);
      const Merge<T> work{operands.of<T>(), from.const_data_ptr<T>(), to.data_ptr<T>(), alpha.data(),
                          static_cast<T>(scale), evaluation};
      forChunks(to.numel(), [&](int64_t, int64_t begin, int64_t end) { run(work, begin, end); });
    });
    written(to);
  });
}

CTStatus ct_experts_backward(CTTensor offset, CTTensor logits, CTExpertTasks tasks, int experts, double *mixing,
                             double *squares, CTTensor offsetGradient, CTTensor logitsGradient, CTFailure *failure) {
  return guarded(failure, [&] {
    at::NoGradGuard noGraph;
    const Operands operands(offset, logits, experts);
    const auto gradients = operands.gradients(tasks);
    const auto toOffset = borrow(offsetGradient), toLogits = borrow(logitsGradient);
    if (toOffset.defined()) operands.checkLike(toOffset, "the offset's gradient");
    if (toLogits.defined()) {
      TORCH_CHECK(operands.trains(tasks) && toLogits.sizes() == operands.logits.sizes(),
                  "there is no gradient of the logits of shape ", toLogits.sizes());
      operands.check(toLogits, "the logits' gradient");
    }
    if (!operands.hasKernel()) {
      auto total = at::zeros_like(operands.offset);
      for (int expert = 0; expert < experts; expert++) {
        const auto z = operands.gate(expert), gathered = operands.gathered(tasks, gradients, expert);
        const auto passed = z * operands.offset;
        for (int task = 0; task < tasks.count; task++)
          mixing[task * experts + expert] +=
              tasks.scale * (gradients[task] * passed).sum(at::kDouble).item<double>();
        total.addcmul_(z, gathered);
        if (!operands.trains(tasks)) continue;
        const auto gradient = operands.logitGradient(tasks, gathered, expert);
        *squares += gradient.to(at::kDouble).square().sum().item<double>();
        if (toLogits.defined()) toLogits.select(0, expert).copy_(gradient);
      }
      if (toOffset.defined()) toOffset.copy_(total.mul_(Operands::share(tasks)));
      return;
    }
    withType(operands.offset, [&](auto zero) {
      using T = decltype(zero);
      const auto prepared = operands.prepared<T>(tasks, gradients);
      const Backward<T> work{operands.of<T>(), prepared.tasks(), toOffset.defined() ? toOffset.data_ptr<T>() : nullptr,
                             toLogits.defined() ? toLogits.data_ptr<T>() : nullptr};
      std::vector<double> sums(tasks.count * experts + 1);
      sumChunks(operands.offset.numel(), static_cast<int64_t>(sums.size()), sums.data(),
                [&](int64_t from, int64_t to, double *into) { run(work, from, to, into); });
      for (int index = 0; index < tasks.count * experts; index++) mixing[index] += tasks.scale * sums[index];
      *squares += sums.back();
    });
  });
}

CTStatus ct_experts_step_(CTTensor offset, CTTensor momentum, CTTensor logits, CTExpertTasks tasks, int experts,
                          CTExpertStep step, int64_t *counts, CTFailure *failure) {
  return guarded(failure, [&] {
    at::NoGradGuard noGraph;
    const Operands operands(offset, logits, experts);
    const auto gradients = operands.gradients(tasks);
    const auto velocity = borrow(momentum);
    operands.checkLike(velocity, "the momentum");
    if (!operands.hasKernel()) {
      auto total = at::zeros_like(operands.offset);
      for (int expert = 0; expert < experts; expert++) {
        const auto gathered = operands.gathered(tasks, gradients, expert);
        total.addcmul_(operands.gate(expert), gathered);
        if (operands.trains(tasks)) {
          auto a = operands.logits.select(0, expert);
          a.sub_(operands.logitGradient(tasks, gathered, expert), step.logitRate).clamp_(-step.limit, step.limit);
        }
        if (operands.logits.defined() && counts != nullptr) operands.addCounts(expert, counts, nullptr);
      }
      total.mul_(Operands::share(tasks)).add_(operands.offset, step.decay);
      velocity.mul_(step.momentum).add_(total);
      operands.offset.sub_(velocity, step.offsetRate);
      return;
    }
    withType(operands.offset, [&](auto zero) {
      using T = decltype(zero);
      const auto prepared = operands.prepared<T>(tasks, gradients);
      const Step<T> work{operands.of<T>(),
                         prepared.tasks(),
                         velocity.data_ptr<T>(),
                         static_cast<T>(step.offsetRate),
                         static_cast<T>(step.momentum),
                         static_cast<T>(step.decay),
                         static_cast<T>(step.logitRate),
                         static_cast<T>(step.limit)};
      std::vector<int64_t> gates(3 * experts);
      sumChunks(operands.offset.numel(), 3 * experts, gates.data(),
                [&](int64_t from, int64_t to, int64_t *into) { run(work, from, to, into); });
      if (counts != nullptr)
        for (int index = 0; index < 3 * experts; index++) counts[index] += gates[index];
    });
    written(operands.offset);
    written(velocity);
    if (operands.trains(tasks)) written(operands.logits);
  });
}

CTStatus ct_experts_counts(CTTensor logits, int64_t *counts, double *open, CTFailure *failure) {
  return guarded(failure, [&] {
    at::NoGradGuard noGraph;
    const auto all = borrow(logits);
    TORCH_CHECK(all.dim() >= 1 && all.size(0) >= 1, "logits of the shape ", all.sizes(), " are no experts'");
    const auto experts = static_cast<int>(all.size(0));
    const auto plane = all.select(0, 0);
    const Operands operands(reinterpret_cast<CTTensor>(plane.unsafeGetTensorImpl()), logits, experts);
    for (int expert = 0; expert < experts; expert++) {
      if (!operands.hasKernel()) {
        operands.addCounts(expert, counts, open);
        continue;
      }
      withType(all, [&](auto zero) {
        using T = decltype(zero);
        const Count<T> work{all.const_data_ptr<T>() + expert * plane.numel(), open != nullptr};
        struct Sums {
          int64_t counts[3];
          double open;
          void operator+=(const Sums &other) {
            for (int index = 0; index < 3; index++) counts[index] += other.counts[index];
            open += other.open;
          }
        } total{};
        sumChunks(plane.numel(), 1, &total,
                  [&](int64_t from, int64_t to, Sums *into) { run(work, from, to, into->counts, &into->open); });
        for (int index = 0; index < 3; index++) counts[3 * expert + index] += total.counts[index];
        if (open != nullptr) open[expert] += total.open;
      });
    }
  });
}

CTStatus ct_experts_pack(CTTensor offset, CTTensor logits, CTTensor *bits, CTTensor *values, int64_t *rounded,
                         CTFailure *failure) {
  return guarded(failure, [&] {
    at::NoGradGuard noGraph;
    const auto all = borrow(logits);
    TORCH_CHECK(all.dim() >= 1 && all.size(0) >= 1, "logits of the shape ", all.sizes(), " are no experts'");
    const Operands operands(offset, logits, static_cast<int>(all.size(0)));
    const int64_t entries = operands.offset.numel(), bytes = (operands.experts + 7) / 8;
    // σ(1.5 a) is one half at 0, and so is the gate.
    const auto open = all.ge(0).reshape({operands.experts, entries}).cpu();
    const int64_t soft = all.abs().lt(bound<double>).sum().item<int64_t>();
    auto packed = at::empty({entries, bytes}, at::TensorOptions(at::kByte)).zero_();
    auto any = at::empty({entries}, at::TensorOptions(at::kBool));
    const bool *from = open.const_data_ptr<bool>();
    uint8_t *to = packed.data_ptr<uint8_t>();
    bool *set = any.data_ptr<bool>();
    forChunks(entries, [&](int64_t, int64_t begin, int64_t end) {
      for (int expert = 0; expert < operands.experts; expert++)
        for (int64_t at = begin; at < end; at++)
          to[at * bytes + expert / 8] |= static_cast<uint8_t>(from[expert * entries + at] << expert % 8);
      for (int64_t at = begin; at < end; at++) set[at] = isAny(to + at * bytes, static_cast<int>(bytes));
    });
    const auto kept = operands.offset.reshape({entries}).masked_select(any.to(operands.offset.device()));
    *bits = own(packed.to(operands.offset.device()));
    *values = own(kept);
    *rounded += soft;
  });
}

CTStatus ct_experts_merge_packed(CTTensor merged, CTTensor base, CTTensor bits, CTTensor values, const double *mixing,
                                 int experts, double scale, CTFailure *failure) {
  return guarded(failure, [&] {
    at::NoGradGuard noGraph;
    const auto to = borrow(merged), packed = borrow(bits), delta = borrow(values);
    const auto from = borrow(base).contiguous();
    const int64_t entries = to.numel(), bytes = (experts + 7) / 8;
    TORCH_CHECK(experts >= 1, "there is no expert");
    TORCH_CHECK(packed.dim() == 2 && packed.size(0) == entries && packed.size(1) == bytes &&
                    packed.scalar_type() == at::kByte,
                "the bits of ", experts, " experts of ", entries, " weights are ", packed.scalar_type(), " of shape ",
                packed.sizes());
    TORCH_CHECK(from.sizes() == to.sizes() && from.scalar_type() == to.scalar_type() &&
                    delta.scalar_type() == to.scalar_type() && delta.dim() == 1,
                "the base ", from.sizes(), " ", from.scalar_type(), " and the values ", delta.sizes(), " ",
                delta.scalar_type(), " do not go with ", to.sizes(), " ", to.scalar_type());
    for (const auto &tensor : {to, packed, delta})
      TORCH_CHECK(tensor.is_contiguous() && tensor.device() == to.device(),
                  "the operands lie in memory with gaps or on several devices");
    if (!to.is_cpu() || (to.scalar_type() != at::kFloat && to.scalar_type() != at::kDouble)) {
      auto weight = at::zeros_like(from).reshape({entries});
      auto any = at::zeros_like(weight).to(at::kBool);
      for (int expert = 0; expert < experts; expert++) {
        const auto open = packed.select(1, expert / 8).bitwise_and(1 << expert % 8).ne(0);
        weight.add_(open, mixing[expert]);
        any.logical_or_(open);
      }
      TORCH_CHECK(any.sum().item<int64_t>() == delta.numel(), "the bits and the ", delta.numel(), " values differ");
      auto dense = at::zeros_like(weight).masked_scatter_(any, delta);
      to.copy_(from + weight.mul_(scale).mul_(dense).reshape(from.sizes()));
      return;
    }
    const uint8_t *index = packed.const_data_ptr<uint8_t>();
    std::vector<int64_t> starts((entries + chunkSize - 1) / chunkSize + 1);
    forChunks(entries, [&](int64_t chunk, int64_t begin, int64_t end) {
      int64_t count = 0;
      for (int64_t at = begin; at < end; at++) count += isAny(index + at * bytes, static_cast<int>(bytes));
      starts[chunk + 1] = count;
    });
    for (size_t chunk = 1; chunk < starts.size(); chunk++) starts[chunk] += starts[chunk - 1];
    TORCH_CHECK(starts.back() == delta.numel(), "the bits let ", starts.back(), " values through, and there are ",
                delta.numel());
    withType(to, [&](auto zero) {
      using T = decltype(zero);
      const auto alpha = numbers<T>(mixing, experts);
      Lookup<T> work{from.const_data_ptr<T>(), to.data_ptr<T>(), delta.const_data_ptr<T>(), index,
                     static_cast<int>(bytes), experts, alpha.data(), static_cast<T>(scale), nullptr};
      // Bits above the last expert's have no entry of their own: a file's may be set.
      std::vector<T> table;
      if (experts <= 16) {
        table.resize(bytes == 1 ? 256 : 65536);
        for (size_t set = 0; set < table.size(); set++) {
          const uint8_t index[] = {static_cast<uint8_t>(set), static_cast<uint8_t>(set >> 8)};
          table[set] = weightOf(work, index);
        }
        work.table = table.data();
      }
      forChunks(entries, [&](int64_t chunk, int64_t begin, int64_t end) { run(work, begin, end, starts[chunk]); });
    });
    written(to);
  });
}
