// Optimizer steps that libtorch has fused into one pass over memory.
#include "guard.hpp"
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>

using namespace graft;

CTStatus ct_adam_step(const CTTensor *parameters, const CTTensor *gradients, const CTTensor *means,
                      const CTTensor *squares, const CTTensor *steps, int count, double rate, double beta1,
                      double beta2, double epsilon, double decay, bool decoupled, CTFailure *failure) {
  return guarded(failure, [&] {
    at::NoGradGuard noGraph;
    auto p = borrow(parameters, count), g = borrow(gradients, count), m = borrow(means, count),
         v = borrow(squares, count), t = borrow(steps, count);
    for (int i = 0; i < count; i++) {
      // The kernels trust the lengths and walk all four side by side, in memory order.
      TORCH_CHECK(g[i].sizes() == p[i].sizes() && m[i].sizes() == p[i].sizes() && v[i].sizes() == p[i].sizes(),
                  "parameter ", i, " of shape ", p[i].sizes(), " has a gradient of ", g[i].sizes(), " and averages of ",
                  m[i].sizes(), " and ", v[i].sizes());
      TORCH_CHECK(g[i].scalar_type() == p[i].scalar_type() && m[i].scalar_type() == p[i].scalar_type() &&
                      v[i].scalar_type() == p[i].scalar_type() && t[i].numel() == 1,
                  "parameter ", i, " of ", p[i].scalar_type(), " has a gradient or averages of another dtype");
      TORCH_CHECK(p[i].is_contiguous() && m[i].is_contiguous() && v[i].is_contiguous(), "parameter ", i,
                  " or an average of its gradients is not contiguous");
      g[i] = g[i].contiguous();
    }
    for (auto &step : t) step.add_(1);
    if (decoupled)
      at::_fused_adamw_(p, g, m, v, {}, t, rate, beta1, beta2, decay, epsilon, false, false, {}, {});
    else
      at::_fused_adam_(p, g, m, v, {}, t, rate, beta1, beta2, decay, epsilon, false, false, {}, {});
  });
}
