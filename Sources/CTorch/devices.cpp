// Threads and devices. A GPU library is looked for at run time: the same program runs with and without one.
#include "guard.hpp"
#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <mutex>
#include <torch/version.h>

using namespace graft;

void ct_set_threads(int count) { at::set_num_threads(count); }

int ct_threads(void) { return at::get_num_threads(); }

bool ct_device_available(CTDeviceKind kind, int index) {
  if (kind == CT_CPU) return true;
  try {
    if (kind == CT_MPS) return at::hasMPS();
    static std::once_flag once;
    std::call_once(once, [] { dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL); });
    return at::globalContext().hasCUDA() && index >= 0 &&
           index < at::globalContext().getAcceleratorHooksInterface(c10::DeviceType::CUDA).deviceCount();
  } catch (...) {
    return false;  // a driver that fails to answer is no device
  }
}

CTStatus ct_synchronize(CTDeviceKind kind, int index, CTFailure *failure) {
  return guarded(failure, [&] {
    if (kind != CT_CPU) at::accelerator::synchronizeDevice(static_cast<c10::DeviceIndex>(index));
  });
}

const char *ct_version(void) { return TORCH_VERSION; }
