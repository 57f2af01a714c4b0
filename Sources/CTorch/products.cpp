// The matrix product that everything here spends its time in: x · Wᵀ + b.
//
// libtorch hands float32 products to MKL, which keeps to 256-bit vectors on processors that are not Intel's: half to a
// third of what oneDNN, in the same library, reaches there with 512-bit ones (measured: 68–96 against 145–215 GFLOP/s on
// one core, on the shapes of ViT-S/16). So float32 products on the CPU go to oneDNN, by an operator that libtorch
// registers for its compiler; where it is not registered (a Mac, another build) or refuses, ATen's product is used.
#include "products.hpp"
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/autograd/custom_function.h>

using namespace graft;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

using Pointwise = at::Tensor(const at::Tensor &, const at::Tensor &, const std::optional<at::Tensor> &,
                             std::string_view, c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);

/// Below this many multiplications the call costs more than it saves.
constexpr int64_t worthwhile = int64_t(1) << 16;

std::optional<c10::TypedOperatorHandle<Pointwise>> findOperator() {
  const char *choice = getenv("GRAFT_PRODUCTS");
  if (choice != nullptr && strcmp(choice, "aten") == 0) return std::nullopt;
  if (!at::globalContext().hasMKLDNN()) return std::nullopt;
  auto schema = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
  if (!schema.has_value() || !schema->hasKernelForDispatchKey(c10::DispatchKey::CPU)) return std::nullopt;
  try {
    return schema->typed<Pointwise>();
  } catch (const c10::Error &) {
    return std::nullopt; // another version's signature
  }
}

bool suits(const at::Tensor &input, const at::Tensor &weight) {
  return input.is_cpu() && weight.is_cpu() && input.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat &&
         input.dim() >= 2 && weight.dim() == 2 && input.layout() == at::kStrided && input.size(-1) == weight.size(1) &&
         input.size(-1) > 0 && weight.size(0) > 0 && input.numel() * weight.size(0) >= worthwhile;
}

/// Without a graph, whatever requires a gradient.
at::Tensor forward(const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias) {
  static const auto onednn = findOperator();
  at::AutoDispatchBelowADInplaceOrView belowAutograd;
  if (onednn.has_value() && suits(input, weight) &&
      (!bias.has_value() || (bias->scalar_type() == at::kFloat && bias->dim() == 1 && bias->size(0) == weight.size(0))))
    // Transposed weights are taken as they lie; a slice with gaps is not.
    return onednn->call(input, weight.is_non_overlapping_and_dense() ? weight : weight.contiguous(),
                        bias.has_value() ? std::optional(bias->contiguous()) : bias, "none",
                        c10::List<std::optional<at::Scalar>>(), std::string_view(""));
  return at::linear(input, weight, bias);
}

struct Product : torch::autograd::Function<Product> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &input, const at::Tensor &weight,
                            const std::optional<at::Tensor> &bias) {
    // A frozen weight needs no input kept, and a first layer no weight.
    const bool weightTrains = weight.requires_grad(), inputTrains = input.requires_grad();
    context->save_for_backward({weightTrains ? input : at::Tensor(), inputTrains ? weight : at::Tensor()});
    context->saved_data["bias"] = bias.has_value() && bias->requires_grad();
    return ::forward(input, weight, bias);
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const auto &input = saved[0], &weight = saved[1];
    auto gradient = gradients[0];
    at::Tensor toInput, toWeight, toBias;
    if (weight.defined()) toInput = graft::linear(gradient, weight.t(), {});
    auto rows = gradient.reshape({-1, gradient.size(-1)});
    if (input.defined())
      toWeight = graft::linear(rows.t(), input.reshape({-1, input.size(-1)}).t(), {});
    if (context->saved_data["bias"].toBool()) toBias = rows.sum(0);
    return {toInput, toWeight, toBias};
  }
};

} // namespace

at::Tensor graft::linear(const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias) {
  const bool trains = at::GradMode::is_enabled() && (input.requires_grad() || weight.requires_grad() ||
                                                     (bias.has_value() && bias->requires_grad()));
  if (!suits(input, weight) || at::autocast::is_autocast_enabled(at::kCPU)) return at::linear(input, weight, bias);
  if (bias.has_value() && (bias->scalar_type() != at::kFloat || !bias->is_cpu())) return at::linear(input, weight, bias);
  return trains ? Product::apply(input, weight, bias) : ::forward(input, weight, bias);
}

at::Tensor graft::matmul(const at::Tensor &left, const at::Tensor &right) {
  if (left.dim() >= 2 && right.dim() == 2 && right.scalar_type() == at::kFloat) return graft::linear(left, right.t(), {});
  return at::matmul(left, right);
}
