// What every topic file shares: the guard that keeps exceptions on this side, and the passage from handles to tensors.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "ctorch.h"

namespace graft {

/// Thrown out of a node's `apply` when the caller's backward closure failed; the engine hands it to whoever called
/// backward, where the guard turns it into `CT_CALLBACK` with the same token.
struct CallbackError : std::exception {
  uint64_t token;
  std::string text;
  CallbackError(uint64_t token, std::string text) : token(token), text(std::move(text)) {}
  const char *what() const noexcept override { return text.c_str(); }
};

inline CTStatus fail(CTFailure *failure, CTStatus status, const char *text, uint64_t token = 0) noexcept {
  if (failure != nullptr) {
    failure->message = strdup(text);
    failure->token = token;
  }
  return status;
}

template <class Body> CTStatus guarded(CTFailure *failure, Body body) noexcept {
  try {
    body();
    return CT_OK;
  } catch (const CallbackError &error) {
    return fail(failure, CT_CALLBACK, error.what(), error.token);
  } catch (const c10::OutOfMemoryError &error) {
    return fail(failure, CT_OUT_OF_MEMORY, error.what_without_backtrace());
  } catch (const c10::Error &error) {
    return fail(failure, CT_TORCH, error.what_without_backtrace());
  } catch (const std::bad_alloc &) {
    return fail(failure, CT_OUT_OF_MEMORY, "the system has no memory left");
  } catch (const std::exception &error) {
    return fail(failure, CT_OTHER, error.what());
  } catch (...) {
    return fail(failure, CT_OTHER, "a C++ exception without a message");
  }
}

/// A borrowed handle as a tensor; NULL gives an undefined one.
inline at::Tensor borrow(CTTensor handle) {
  if (handle == nullptr) return {};
  return at::Tensor(c10::intrusive_ptr<c10::TensorImpl>::reclaim_copy(reinterpret_cast<c10::TensorImpl *>(handle)));
}

/// A tensor as a handle that the caller owns; an undefined one gives NULL.
inline CTTensor own(at::Tensor tensor) {
  if (!tensor.defined()) return nullptr;
  return reinterpret_cast<CTTensor>(tensor.unsafeReleaseTensorImpl());
}

/// An owned handle, taken back from the caller.
inline at::Tensor adopt(CTTensor handle) {
  if (handle == nullptr) return {};
  return at::Tensor(c10::intrusive_ptr<c10::TensorImpl>::reclaim(reinterpret_cast<c10::TensorImpl *>(handle)));
}

inline std::vector<at::Tensor> borrow(const CTTensor *handles, int count) {
  std::vector<at::Tensor> tensors;
  tensors.reserve(count);
  for (int i = 0; i < count; i++) tensors.push_back(borrow(handles[i]));
  return tensors;
}

inline std::optional<at::Tensor> optional(CTTensor handle) {
  if (handle == nullptr) return std::nullopt;
  return borrow(handle);
}

inline c10::ScalarType scalarType(CTDType dtype) { return static_cast<c10::ScalarType>(dtype); }

inline c10::Device device(CTDeviceKind kind, int index) {
  TORCH_CHECK(index >= 0 && index <= INT8_MAX, "a device has an index of 0 to ", INT8_MAX, ", not ", index);
  switch (kind) {
  case CT_CUDA:
    return {c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index)};
  case CT_MPS:
    return {c10::DeviceType::MPS, 0};
  default:
    return {c10::DeviceType::CPU};
  }
}

inline c10::DeviceType deviceType(CTDeviceKind kind) { return device(kind, 0).type(); }

/// A whole number stays one, so that an integer tensor keeps its dtype.
inline at::Scalar scalar(const at::Tensor &beside, double value) {
  // Beyond 2^63, and for what is no number, the conversion is undefined.
  if (c10::isIntegralType(beside.scalar_type(), true) && std::abs(value) < 0x1p63 && value == std::trunc(value))
    return at::Scalar(static_cast<int64_t>(value));
  return at::Scalar(value);
}

} // namespace graft
