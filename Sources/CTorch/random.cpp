// Seeded generators. Draws happen on the CPU whatever the device, so that a seed means the same numbers everywhere.
#include "guard.hpp"
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/bernoulli.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/randperm.h>
#include <mutex>

using namespace graft;

static at::Generator generatorOf(CTGenerator handle) {
  return at::Generator(
      c10::intrusive_ptr<c10::GeneratorImpl>::reclaim_copy(reinterpret_cast<c10::GeneratorImpl *>(handle)));
}

CTStatus ct_generator_new(uint64_t seed, CTGenerator *out, CTFailure *failure) {
  return guarded(failure, [&] {
    auto generator = at::detail::createCPUGenerator(seed);
    *out = reinterpret_cast<CTGenerator>(generator.unsafeReleaseGeneratorImpl());
  });
}

void ct_generator_release(CTGenerator generator) {
  c10::intrusive_ptr<c10::GeneratorImpl>::reclaim(reinterpret_cast<c10::GeneratorImpl *>(generator));
}

CTStatus ct_generator_get_state(CTGenerator generator, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] {
    auto source = generatorOf(generator);
    // Draws lock by themselves; reading and setting the state do not.
    std::lock_guard<std::mutex> lock(source.mutex());
    *out = own(source.get_state());
  });
}

CTStatus ct_generator_set_state(CTGenerator generator, CTTensor state, CTFailure *failure) {
  return guarded(failure, [&] {
    auto target = generatorOf(generator);
    std::lock_guard<std::mutex> lock(target.mutex());
    target.set_state(borrow(state));
  });
}

template <class Draw> static void drawInto(at::Tensor tensor, Draw draw) {
  at::NoGradGuard noGraph;
  if (tensor.is_cpu() && tensor.is_contiguous()) return draw(tensor);
  auto drawn = at::empty_like(tensor, at::TensorOptions().device(c10::DeviceType::CPU), at::MemoryFormat::Contiguous);
  draw(drawn);
  tensor.copy_(drawn);
}

CTStatus ct_uniform_(CTTensor tensor, double low, double high, CTGenerator generator, CTFailure *failure) {
  return guarded(failure,
                 [&] { drawInto(borrow(tensor), [&](at::Tensor x) { x.uniform_(low, high, generatorOf(generator)); }); });
}

CTStatus ct_normal_(CTTensor tensor, double mean, double deviation, CTGenerator generator, CTFailure *failure) {
  return guarded(failure, [&] {
    drawInto(borrow(tensor), [&](at::Tensor x) { x.normal_(mean, deviation, generatorOf(generator)); });
  });
}

CTStatus ct_bernoulli_(CTTensor tensor, double probability, CTGenerator generator, CTFailure *failure) {
  return guarded(failure, [&] {
    drawInto(borrow(tensor), [&](at::Tensor x) { x.bernoulli_(probability, generatorOf(generator)); });
  });
}

CTStatus ct_permutation(int64_t count, CTGenerator generator, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] {
    *out = own(at::randperm(count, generatorOf(generator), at::TensorOptions().dtype(at::kLong)));
  });
}
