// Matrix products and factorizations.
#include "products.hpp"
#include <ATen/ops/addmm.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linalg_svd.h>

using namespace graft;

CTStatus ct_matmul(CTTensor left, CTTensor right, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(graft::matmul(borrow(left), borrow(right))); });
}

CTStatus ct_addmm(CTTensor tensor, CTTensor left, CTTensor right, double beta, double alpha, CTTensor *out,
                  CTFailure *failure) {
  return guarded(failure,
                 [&] { *out = own(at::addmm(borrow(tensor), borrow(left), borrow(right), beta, alpha)); });
}

CTStatus ct_linear(CTTensor input, CTTensor weight, CTTensor bias, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(graft::linear(borrow(input), borrow(weight), optional(bias))); });
}

CTStatus ct_einsum(const char *equation, const CTTensor *tensors, int count, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(at::einsum(equation, borrow(tensors, count))); });
}

CTStatus ct_svd(CTTensor tensor, CTTensor *u, CTTensor *s, CTTensor *vh, CTFailure *failure) {
  return guarded(failure, [&] {
    auto [left, values, right] = at::linalg_svd(borrow(tensor), /*full_matrices=*/false);
    *u = own(left);
    *s = own(values);
    *vh = own(right);
  });
}

CTStatus ct_qr(CTTensor tensor, CTTensor *q, CTTensor *r, CTFailure *failure) {
  return guarded(failure, [&] {
    auto [basis, triangle] = at::linalg_qr(borrow(tensor), "reduced");
    *q = own(basis);
    *r = own(triangle);
  });
}
