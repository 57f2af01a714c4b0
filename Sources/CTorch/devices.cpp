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

// at::set_num_threads also sets the count for threads that start meanwhile; these two know the calling thread alone. Where
// libtorch comes without one of them, there is nothing of it to limit.
static int set_openmp_threads(int count) {
  static auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  int before = at::get_num_threads();
  if (set) set(count);
  return before;
}

static int set_mkl_threads(int count) {
  static auto set = reinterpret_cast<int (*)(int)>(dlsym(RTLD_DEFAULT, "MKL_Set_Num_Threads_Local"));
  return set ? set(count) : 0;
}

CTThreadLimit ct_limit_threads(int count) { return {set_openmp_threads(count), set_mkl_threads(count)}; }

void ct_restore_threads(CTThreadLimit before) {
  set_openmp_threads(before.openmp);
  set_mkl_threads(before.mkl);
}

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
