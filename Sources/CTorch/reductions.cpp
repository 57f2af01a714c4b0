// Sums, extremes, orders and counts.
#include "guard.hpp"
#include <ATen/ops/all.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/any.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/logsumexp.h>
#include <numeric>

using namespace graft;

static std::vector<int64_t> dimensions(const at::Tensor &tensor, const int64_t *given, int count) {
  if (count > 0) return {given, given + count};
  std::vector<int64_t> all(tensor.dim());
  std::iota(all.begin(), all.end(), 0);
  return all;
}

static at::Tensor reduce(CTReduction reduction, const at::Tensor &x, at::IntArrayRef over, bool keep) {
  switch (reduction) {
  case CT_SUM: return x.sum(over, keep);
  case CT_MEAN: return x.mean(over, keep);
  case CT_AMAX: return at::amax(x, over, keep);
  case CT_AMIN: return at::amin(x, over, keep);
  case CT_ALL: return at::all(x, over, keep);
  case CT_ANY: return at::any(x, over, keep);
  case CT_NORM: return at::linalg_vector_norm(x, 2, over, keep);
  case CT_LOGSUMEXP: return at::logsumexp(x, over, keep);
  case CT_PROD: {
    TORCH_CHECK(over.size() == 1, "a product reduces one dimension, not ", over.size());
    return x.prod(over[0], keep);
  }
  }
  TORCH_CHECK(false, "unknown reduction ", static_cast<int>(reduction));
}

CTStatus ct_reduce(CTReduction reduction, CTTensor tensor, const int64_t *given, int count, bool keep, CTTensor *out,
                   CTFailure *failure) {
  return guarded(failure, [&] {
    auto x = borrow(tensor);
    *out = own(reduce(reduction, x, dimensions(x, given, count), keep));
  });
}

CTStatus ct_variance(CTTensor tensor, const int64_t *given, int count, double correction, bool keep, CTTensor *out,
                     CTFailure *failure) {
  return guarded(failure, [&] {
    auto x = borrow(tensor);
    auto over = dimensions(x, given, count);
    *out = own(x.var(at::OptionalIntArrayRef(over), std::optional<at::Scalar>(correction), keep));
  });
}

CTStatus ct_argmax(CTTensor tensor, int64_t dimension, bool keep, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).argmax(dimension, keep)); });
}

CTStatus ct_topk(CTTensor tensor, int64_t count, int64_t dimension, CTTensor *values, CTTensor *indices,
                 CTFailure *failure) {
  return guarded(failure, [&] {
    auto [top, index] = borrow(tensor).topk(count, dimension);
    *values = own(top);
    *indices = own(index);
  });
}

CTStatus ct_sort(CTTensor tensor, int64_t dimension, bool descending, CTTensor *values, CTTensor *indices,
                 CTFailure *failure) {
  return guarded(failure, [&] {
    auto [sorted, index] = borrow(tensor).sort(/*stable=*/true, dimension, descending);
    *values = own(sorted);
    *indices = own(index);
  });
}

CTStatus ct_cumulative_sum(CTTensor tensor, int64_t dimension, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).cumsum(dimension)); });
}

CTStatus ct_bincount(CTTensor tensor, int64_t minimum, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(at::bincount(borrow(tensor), {}, minimum)); });
}
