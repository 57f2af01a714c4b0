// The building blocks of transformers.
#include "guard.hpp"
#include <ATen/ops/_softmax_backward_data.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/gelu_backward.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/_upsample_bicubic2d_aa.h>
#include <ATen/ops/_upsample_bilinear2d_aa.h>
#include <ATen/ops/upsample_bicubic2d.h>
#include <ATen/ops/upsample_bilinear2d.h>

using namespace graft;

CTStatus ct_softmax(CTTensor tensor, int64_t dimension, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).softmax(dimension)); });
}

CTStatus ct_log_softmax(CTTensor tensor, int64_t dimension, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).log_softmax(dimension)); });
}

CTStatus ct_layer_norm(CTTensor tensor, int64_t width, CTTensor weight, CTTensor bias, double epsilon, CTTensor *out,
                       CTFailure *failure) {
  return guarded(failure, [&] {
    *out = own(at::layer_norm(borrow(tensor), {width}, optional(weight), optional(bias), epsilon));
  });
}

CTStatus ct_attention(CTTensor query, CTTensor key, CTTensor value, CTTensor mask, CTTensor *out,
                      CTFailure *failure) {
  return guarded(failure, [&] {
    *out = own(at::scaled_dot_product_attention(borrow(query), borrow(key), borrow(value), optional(mask)));
  });
}

CTStatus ct_conv2d(CTTensor input, CTTensor weight, CTTensor bias, int64_t stride, CTTensor *out,
                   CTFailure *failure) {
  return guarded(failure,
                 [&] { *out = own(at::conv2d(borrow(input), borrow(weight), optional(bias), {stride, stride})); });
}

CTStatus ct_cross_entropy(CTTensor logits, CTTensor labels, double smoothing, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] {
    *out = own(at::cross_entropy_loss(borrow(logits), borrow(labels), {}, at::Reduction::Mean, -100, smoothing));
  });
}

CTStatus ct_resize(CTTensor images, int64_t height, int64_t width, bool bicubic, bool antialias, CTTensor *out,
                   CTFailure *failure) {
  return guarded(failure, [&] {
    auto x = borrow(images);
    std::vector<int64_t> size{height, width};
    if (bicubic)
      *out = own(antialias ? at::_upsample_bicubic2d_aa(x, size, false) : at::upsample_bicubic2d(x, size, false));
    else
      *out = own(antialias ? at::_upsample_bilinear2d_aa(x, size, false) : at::upsample_bilinear2d(x, size, false));
  });
}

CTStatus ct_embedding(CTTensor table, CTTensor index, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(at::embedding(borrow(table), borrow(index))); });
}

CTStatus ct_quick_gelu(CTTensor tensor, double factor, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] {
    auto x = borrow(tensor);
    *out = own(x.mul(x.mul(factor).sigmoid()));
  });
}

CTStatus ct_softmax_backward(CTTensor gradient, CTTensor output, int64_t dimension, CTTensor *out,
                             CTFailure *failure) {
  return guarded(failure, [&] {
    auto y = borrow(output);
    *out = own(at::_softmax_backward_data(borrow(gradient), y, dimension, y.scalar_type()));
  });
}

CTStatus ct_gelu_backward(CTTensor gradient, CTTensor input, bool tanh, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] {
    *out = own(at::gelu_backward(borrow(gradient), borrow(input), tanh ? "tanh" : "none"));
  });
}
