// Matrix products for the topic files; see products.cpp.
#pragma once
#include "guard.hpp"

namespace graft {

/// `input · weightᵀ + bias`, differentiable: `[…, in]`, `[out, in]`, `[out]`.
at::Tensor linear(const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias);

/// `left · right`, differentiable.
at::Tensor matmul(const at::Tensor &left, const at::Tensor &right);

} // namespace graft
