// Gradients, and one graph node whose backward pass is written by the caller.
#include "guard.hpp"
#include <ATen/autocast_mode.h>
#include <ATen/core/grad_mode.h>
#include <memory>
#include <mutex>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

using namespace graft;
using torch::autograd::variable_list;

bool ct_requires_grad(CTTensor tensor) { return borrow(tensor).requires_grad(); }

bool ct_is_leaf(CTTensor tensor) { return borrow(tensor).is_leaf(); }

CTStatus ct_set_requires_grad(CTTensor tensor, bool value, CTFailure *failure) {
  return guarded(failure, [&] { borrow(tensor).set_requires_grad(value); });
}

CTStatus ct_gradient(CTTensor tensor, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).grad()); });
}

CTStatus ct_set_gradient(CTTensor tensor, CTTensor gradient, CTFailure *failure) {
  return guarded(failure, [&] {
    auto x = borrow(tensor), g = borrow(gradient);
    // The fused optimizers read the gradient by the parameter's layout: what does not fit is refused here.
    TORCH_CHECK(!g.defined() || g.sizes() == x.sizes(), "a gradient of shape ", g.sizes(), " does not fit ", x.sizes());
    TORCH_CHECK(!g.defined() || (g.scalar_type() == x.scalar_type() && g.device() == x.device()), "a gradient of ",
                g.scalar_type(), " on ", g.device(), " does not fit ", x.scalar_type(), " on ", x.device());
    x.mutable_grad() = g;
  });
}

CTStatus ct_detach(CTTensor tensor, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).detach()); });
}

CTStatus ct_backward(CTTensor tensor, CTTensor gradient, bool retain, CTFailure *failure) {
  return guarded(failure, [&] { torch::autograd::backward({borrow(tensor)}, {borrow(gradient)}, retain); });
}

CTStatus ct_gradients(CTTensor output, CTTensor gradient, const CTTensor *inputs, int count, bool retain, bool create,
                      CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] {
    auto results = torch::autograd::grad({borrow(output)}, borrow(inputs, count), {borrow(gradient)}, retain, create,
                                         /*allow_unused=*/true);
    for (int i = 0; i < count; i++) out[i] = own(results[i]);
  });
}

bool ct_grad_enabled(void) { return at::GradMode::is_enabled(); }

void ct_set_grad_enabled(bool value) { at::GradMode::set_enabled(value); }

bool ct_autocast_enabled(CTDeviceKind device) { return at::autocast::is_autocast_enabled(deviceType(device)); }

int ct_autocast_dtype(CTDeviceKind device) {
  return static_cast<int>(at::autocast::get_autocast_dtype(deviceType(device)));
}

CTStatus ct_set_autocast(CTDeviceKind device, bool enabled, CTDType dtype, CTFailure *failure) {
  return guarded(failure, [&] {
    at::autocast::set_autocast_dtype(deviceType(device), scalarType(dtype));
    at::autocast::set_autocast_enabled(deviceType(device), enabled);
  });
}

void ct_clear_autocast_cache(void) { at::autocast::clear_cache(); }

namespace {

/// The node behind `ct_attach_function`. It frees the caller's context with its buffers, as built-in nodes free their
/// saved tensors, so that memory goes down while a backward pass climbs.
///
/// The lock covers the pointer to the context only. The caller's code, closure or release, runs outside it: it may take
/// other locks, run backward passes of its own, and be run by several threads at once.
class CallbackNode : public torch::autograd::Node {
public:
  explicit CallbackNode(CTFunction function)
      : context(function.context, function.release), backward(function.backward), label(function.name) {}

  std::string name() const override { return label; }

  void release_variables() override { takeContext(); }

  void release_resources() override {
    takeContext();
    Node::release_resources();
  }

  variable_list apply(variable_list &&gradients) override {
    const auto held = [this] {
      std::lock_guard<std::mutex> lock(mutex_);
      return context;
    }();
    TORCH_CHECK(held, label, ": its saved values were freed by an earlier backward pass; keep them with retain");
    TORCH_CHECK(!at::GradMode::is_enabled(), label, ": gradients of gradients are not defined for this function");
    const int count = static_cast<int>(num_outputs());
    std::vector<CTTensor> given, results(count, nullptr);
    for (auto &gradient : gradients)
      given.push_back(gradient.defined() ? reinterpret_cast<CTTensor>(gradient.unsafeGetTensorImpl()) : nullptr);
    // std::vector<bool> has no array behind it.
    auto needed = std::make_unique<bool[]>(count);
    for (int i = 0; i < count; i++) needed[i] = task_should_compute_output(i);

    CTFailure failure{nullptr, 0};
    auto status = backward(held.get(), given.data(), static_cast<int>(given.size()), needed.get(), results.data(),
                           count, &failure);
    variable_list answer;
    for (auto result : results) answer.push_back(adopt(result));
    if (status != CT_OK) {
      std::string text = failure.message == nullptr ? "the backward closure failed" : failure.message;
      free(failure.message);
      throw CallbackError(failure.token, label + ": " + text);
    }
    for (int i = 0; i < count; i++) checkShape(answer[i], i);
    return answer;
  }

private:
  std::shared_ptr<void> context;
  decltype(CTFunction::backward) backward;
  std::string label;

  /// libtorch would sum a gradient that is too large down to the input's shape: a mistake would pass unseen.
  void checkShape(const at::Tensor &gradient, int index) const {
    const auto &edge = next_edge(index);
    if (!gradient.defined() || !edge.is_valid()) return;
    const auto &input = edge.function->input_metadata(edge.input_nr);
    TORCH_CHECK(input.is_same_shape(gradient), label, ": the gradient of input ", index, " has shape ",
                gradient.sizes(), ", the input ", input.shape_as_dim_vector());
  }

  std::shared_ptr<void> takeContext() {
    std::lock_guard<std::mutex> lock(mutex_);
    return std::move(context);
  }
};

} // namespace

CTStatus ct_attach_function(CTFunction function, const CTTensor *inputs, int inputCount, const CTTensor *outputs,
                            int outputCount, CTTensor *attached, CTFailure *failure) {
  return guarded(failure, [&] {
    // From here the node owns the context.
    c10::intrusive_ptr<torch::autograd::Node> node = c10::make_intrusive<CallbackNode>(function);
    auto from = borrow(inputs, inputCount);
    // Aliases carry the node, never the caller's own tensors: a closure may hold those without a reference cycle.
    variable_list aliases;
    for (int i = 0; i < outputCount; i++) aliases.push_back(borrow(outputs[i]).detach());
    bool needs = false;
    for (auto &input : from) needs = needs || (input.defined() && input.requires_grad());
    if (needs && at::GradMode::is_enabled()) {
      node->set_next_edges(torch::autograd::collect_next_edges(from));
      for (auto &alias : aliases) {
        // Whole numbers and truth values have no gradient; their place among the node's outputs stays.
        if (torch::autograd::isDifferentiableType(alias.scalar_type()))
          torch::autograd::set_history(alias, node);
        else
          node->add_input_metadata(torch::autograd::Node::undefined_input());
      }
    }
    for (int i = 0; i < outputCount; i++) attached[i] = own(std::move(aliases[i]));
  });
}
