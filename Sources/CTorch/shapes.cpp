// Shapes, views, joining and indexing.
#include "guard.hpp"
#include <ATen/ops/cat.h>
#include <ATen/ops/one_hot.h>
#include <ATen/ops/stack.h>

using namespace graft;

CTStatus ct_reshape(CTTensor tensor, const int64_t *sizes, int rank, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).reshape(at::IntArrayRef(sizes, rank))); });
}

CTStatus ct_permute(CTTensor tensor, const int64_t *dimensions, int rank, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).permute(at::IntArrayRef(dimensions, rank))); });
}

CTStatus ct_transpose(CTTensor tensor, int64_t first, int64_t second, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).transpose(first, second)); });
}

CTStatus ct_expand(CTTensor tensor, const int64_t *sizes, int rank, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).expand(at::IntArrayRef(sizes, rank))); });
}

CTStatus ct_squeeze(CTTensor tensor, int64_t dimension, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).squeeze(dimension)); });
}

CTStatus ct_unsqueeze(CTTensor tensor, int64_t dimension, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).unsqueeze(dimension)); });
}

CTStatus ct_select(CTTensor tensor, int64_t dimension, int64_t index, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).select(dimension, index)); });
}

CTStatus ct_narrow(CTTensor tensor, int64_t dimension, int64_t start, int64_t length, CTTensor *out,
                   CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).narrow(dimension, start, length)); });
}

CTStatus ct_cat(const CTTensor *tensors, int count, int64_t dimension, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(at::cat(borrow(tensors, count), dimension)); });
}

CTStatus ct_stack(const CTTensor *tensors, int count, int64_t dimension, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(at::stack(borrow(tensors, count), dimension)); });
}

CTStatus ct_index_select(CTTensor tensor, int64_t dimension, CTTensor index, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).index_select(dimension, borrow(index))); });
}

CTStatus ct_gather(CTTensor tensor, int64_t dimension, CTTensor index, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).gather(dimension, borrow(index))); });
}

CTStatus ct_scatter(CTTensor tensor, int64_t dimension, CTTensor index, CTTensor source, CTTensor *out,
                    CTFailure *failure) {
  return guarded(failure,
                 [&] { *out = own(borrow(tensor).scatter(dimension, borrow(index), borrow(source))); });
}

CTStatus ct_masked_select(CTTensor tensor, CTTensor mask, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).masked_select(borrow(mask))); });
}

CTStatus ct_nonzero(CTTensor tensor, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).nonzero()); });
}

CTStatus ct_flip(CTTensor tensor, const int64_t *dimensions, int count, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).flip(at::IntArrayRef(dimensions, count))); });
}

CTStatus ct_one_hot(CTTensor tensor, int64_t classes, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(at::one_hot(borrow(tensor), classes)); });
}
