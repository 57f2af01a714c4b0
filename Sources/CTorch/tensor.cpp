// Tensors: lifetime, description, and the passage of bytes in and out.
#include "guard.hpp"
#include <ATen/Functions.h>
#include <memory>

using namespace graft;

void ct_free(void *pointer) { free(pointer); }

void ct_tensor_release(CTTensor tensor) { adopt(tensor); }

int64_t ct_tensor_rank(CTTensor tensor) { return borrow(tensor).dim(); }

void ct_tensor_sizes(CTTensor tensor, int64_t *sizes) {
  auto value = borrow(tensor);
  std::copy(value.sizes().begin(), value.sizes().end(), sizes);
}

void ct_tensor_strides(CTTensor tensor, int64_t *strides) {
  auto value = borrow(tensor);
  std::copy(value.strides().begin(), value.strides().end(), strides);
}

int64_t ct_tensor_count(CTTensor tensor) { return borrow(tensor).numel(); }

int ct_tensor_dtype(CTTensor tensor) { return static_cast<int>(borrow(tensor).scalar_type()); }

void ct_tensor_device(CTTensor tensor, CTDeviceKind *kind, int *index) {
  auto value = borrow(tensor).device();
  *kind = value.is_cuda() ? CT_CUDA : value.is_mps() ? CT_MPS : CT_CPU;
  *index = value.has_index() ? value.index() : 0;
}

bool ct_tensor_is_contiguous(CTTensor tensor) { return borrow(tensor).is_contiguous(); }

bool ct_tensor_same(CTTensor left, CTTensor right) { return left == right; }

bool ct_tensor_shares_storage(CTTensor left, CTTensor right) {
  return borrow(left).storage().unsafeGetStorageImpl() == borrow(right).storage().unsafeGetStorageImpl();
}

void *ct_tensor_data(CTTensor tensor) {
  auto value = borrow(tensor);
  return value.is_cpu() && value.is_contiguous() ? value.data_ptr() : nullptr;
}

CTStatus ct_from_bytes(const void *bytes, const int64_t *sizes, int rank, CTDType dtype, CTTensor *out,
                       CTFailure *failure) {
  return guarded(failure, [&] {
    auto tensor = at::empty(at::IntArrayRef(sizes, rank), at::TensorOptions().dtype(scalarType(dtype)));
    if (tensor.nbytes() > 0) memcpy(tensor.data_ptr(), bytes, tensor.nbytes());
    if (dtype == CT_BOOL) {
      // A byte other than 0 and 1 is no truth value in C++ or Swift; files may hold any.
      auto *values = static_cast<unsigned char *>(tensor.data_ptr());
      for (int64_t i = 0; i < tensor.numel(); i++) values[i] = values[i] != 0;
    }
    *out = own(std::move(tensor));
  });
}

CTStatus ct_from_memory(void *bytes, const int64_t *sizes, int rank, CTDType dtype, void (*release)(void *context),
                        void *context, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] {
    // Released once, with the last tensor or on the way out of a failure.
    std::shared_ptr<void> owner(context, release);
    *out = own(at::from_blob(
        bytes, at::IntArrayRef(sizes, rank), [owner](void *) {}, at::TensorOptions().dtype(scalarType(dtype))));
  });
}

CTStatus ct_copy_bytes(CTTensor tensor, void *bytes, size_t capacity, CTFailure *failure) {
  return guarded(failure, [&] {
    auto dense = borrow(tensor).detach().to(c10::DeviceType::CPU).contiguous();
    TORCH_CHECK(dense.nbytes() <= capacity, "a buffer of ", capacity, " bytes is too small for ", dense.nbytes());
    if (dense.nbytes() > 0) memcpy(bytes, dense.data_ptr(), dense.nbytes());
  });
}

CTStatus ct_item(CTTensor tensor, double *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = borrow(tensor).item().toDouble(); });
}

CTStatus ct_item_integer(CTTensor tensor, int64_t *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = borrow(tensor).item().toLong(); });
}

CTStatus ct_full(const int64_t *sizes, int rank, double value, CTDType dtype, CTDeviceKind kind, int index,
                 CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] {
    *out = own(at::full(at::IntArrayRef(sizes, rank), value,
                        at::TensorOptions().dtype(scalarType(dtype)).device(device(kind, index))));
  });
}

CTStatus ct_arange(int64_t start, int64_t end, int64_t step, CTDType dtype, CTTensor *out, CTFailure *failure) {
  return guarded(failure,
                 [&] { *out = own(at::arange(start, end, step, at::TensorOptions().dtype(scalarType(dtype)))); });
}

CTStatus ct_eye(int64_t rows, int64_t columns, CTDType dtype, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(at::eye(rows, columns, at::TensorOptions().dtype(scalarType(dtype)))); });
}

CTStatus ct_to(CTTensor tensor, CTDType dtype, CTDeviceKind kind, int index, bool copy, CTTensor *out,
               CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).to(device(kind, index), scalarType(dtype), false, copy)); });
}

CTStatus ct_clone(CTTensor tensor, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).clone()); });
}

CTStatus ct_contiguous(CTTensor tensor, CTTensor *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = own(borrow(tensor).contiguous()); });
}

CTStatus ct_all_close(CTTensor left, CTTensor right, double relative, double absolute, bool *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = at::allclose(borrow(left), borrow(right), relative, absolute); });
}

CTStatus ct_equal(CTTensor left, CTTensor right, bool *out, CTFailure *failure) {
  return guarded(failure, [&] { *out = at::equal(borrow(left), borrow(right)); });
}
