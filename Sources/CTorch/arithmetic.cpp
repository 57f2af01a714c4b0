// Elementwise arithmetic, new tensors and in place.
#include "guard.hpp"
#include <ATen/ops/clamp.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/log_sigmoid.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/where.h>
#include <limits>

using namespace graft;

static at::Tensor unary(CTUnary operation, const at::Tensor &x) {
  switch (operation) {
  case CT_NEG: return x.neg();
  case CT_EXP: return x.exp();
  case CT_LOG: return x.log();
  case CT_SQRT: return x.sqrt();
  case CT_RSQRT: return x.rsqrt();
  case CT_ABS: return x.abs();
  case CT_SIGN: return x.sign();
  case CT_SIN: return x.sin();
  case CT_COS: return x.cos();
  case CT_ERF: return x.erf();
  case CT_TANH: return x.tanh();
  case CT_SIGMOID: return x.sigmoid();
  case CT_RELU: return at::relu(x);
  case CT_SILU: return at::silu(x);
  case CT_GELU: return at::gelu(x);
  case CT_GELU_TANH: return at::gelu(x, "tanh");
  case CT_FLOOR: return x.floor();
  case CT_ROUND: return x.round();
  case CT_ISFINITE: return at::isfinite(x);
  case CT_LOGICAL_NOT: return x.logical_not();
  case CT_RECIPROCAL: return x.reciprocal();
  case CT_SQUARE: return x.square();
  case CT_LOG_SIGMOID: return at::log_sigmoid(x);
  case CT_SOFTPLUS: return at::softplus(x);
  }
  TORCH_CHECK(false, "unknown unary operation ", static_cast<int>(operation));
}

static at::Tensor binary(CTBinary operation, const at::Tensor &a, const at::Tensor &b) {
  switch (operation) {
  case CT_ADD: return a.add(b);
  case CT_SUB: return a.sub(b);
  case CT_MUL: return a.mul(b);
  case CT_DIV: return a.div(b);
  case CT_POW: return a.pow(b);
  case CT_MINIMUM: return at::minimum(a, b);
  case CT_MAXIMUM: return at::maximum(a, b);
  case CT_EQ: return a.eq(b);
  case CT_NE: return a.ne(b);
  case CT_LT: return a.lt(b);
  case CT_LE: return a.le(b);
  case CT_GT: return a.gt(b);
  case CT_GE: return a.ge(b);
  case CT_LOGICAL_AND: return a.logical_and(b);
  case CT_LOGICAL_OR: return a.logical_or(b);
  }
  TORCH_CHECK(false, "unknown binary operation ", static_cast<int>(operation));
}

static at::Tensor binary(CTBinary operation, const at::Tensor &a, double value) {
  auto b = scalar(a, value);
  switch (operation) {
  case CT_ADD: return a.add(b);
  case CT_SUB: return a.sub(b);
  case CT_MUL: return a.mul(b);
  case CT_DIV: return a.div(b);
  case CT_POW: return a.pow(b);
  case CT_MINIMUM: return at::clamp_max(a, b);
  case CT_MAXIMUM: return at::clamp_min(a, b);
  case CT_EQ: return a.eq(b);
  case CT_NE: return a.ne(b);
  case CT_LT: return a.lt(b);
  case CT_LE: return a.le(b);
  case CT_GT: return a.gt(b);
  case CT_GE: return a.ge(b);
  case CT_LOGICAL_AND:
  case CT_LOGICAL_OR: break;
  }
  TORCH_CHECK(false, "operation ", static_cast<int>(operation), " takes no number");
}

CTStatus ct_unary(CTUnary operation, CTTensor tensor, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(unary(operation, borrow(tensor))); });
}

CTStatus ct_binary(CTBinary operation, CTTensor left, CTTensor right, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(binary(operation, borrow(left), borrow(right))); });
}

CTStatus ct_binary_scalar(CTBinary operation, CTTensor left, double right, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(binary(operation, borrow(left), right)); });
}

CTStatus ct_clamp(CTTensor tensor, double minimum, double maximum, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] {
    auto x = borrow(tensor);
    auto bound = [&](double value) {
      return std::abs(value) == std::numeric_limits<double>::infinity() ? std::optional<at::Scalar>()
                                                                        : std::optional(scalar(x, value));
    };
    *out = own(at::clamp(x, bound(minimum), bound(maximum)));
  });
}

CTStatus ct_where(CTTensor condition, CTTensor yes, CTTensor no, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(at::where(borrow(condition), borrow(yes), borrow(no))); });
}

CTStatus ct_masked_fill(CTTensor tensor, CTTensor mask, double value, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] {
    auto x = borrow(tensor);
    *out = own(x.masked_fill(borrow(mask), scalar(x, value)));
  });
}

CTStatus ct_add_(CTTensor tensor, CTTensor other, double scale, CTFailure *failure) {
  return guarded(failure, [&] {
    auto x = borrow(tensor);
    x.add_(borrow(other), scalar(x, scale));
  });
}

CTStatus ct_mul_(CTTensor tensor, CTTensor other, CTFailure *failure) {
  return guarded(failure, [&] { borrow(tensor).mul_(borrow(other)); });
}

CTStatus ct_scale_(CTTensor tensor, double factor, CTFailure *failure) {
  return guarded(failure, [&] {
    auto x = borrow(tensor);
    x.mul_(scalar(x, factor));
  });
}

CTStatus ct_copy_(CTTensor tensor, CTTensor source, CTFailure *failure) {
  return guarded(failure, [&] { borrow(tensor).copy_(borrow(source)); });
}

CTStatus ct_fill_(CTTensor tensor, double value, CTFailure *failure) {
  return guarded(failure, [&] { borrow(tensor).fill_(value); });
}

CTStatus ct_lerp_(CTTensor tensor, CTTensor end, double weight, CTFailure *failure) {
  return guarded(failure, [&] { borrow(tensor).lerp_(borrow(end), weight); });
}

CTStatus ct_addmm_(CTTensor tensor, CTTensor left, CTTensor right, double beta, double alpha, CTFailure *failure) {
  return guarded(failure, [&] { borrow(tensor).addmm_(borrow(left), borrow(right), beta, alpha); });
}

CTStatus ct_index_add_(CTTensor tensor, int64_t dimension, CTTensor index, CTTensor source, CTFailure *failure) {
  return guarded(failure, [&] { borrow(tensor).index_add_(dimension, borrow(index), borrow(source)); });
}

CTStatus ct_index_copy_(CTTensor tensor, int64_t dimension, CTTensor index, CTTensor source, CTFailure *failure) {
  return guarded(failure, [&] { borrow(tensor).index_copy_(dimension, borrow(index), borrow(source)); });
}
