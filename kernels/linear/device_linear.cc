#include "kernels/linear/device_linear.h"

#include "absl/strings/str_cat.h"
#include "kernels/device/arg_check.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

constexpr ArgCheck kCheck("Linear");
constexpr int64_t kMaxSize = int64_t{1} << 30;

absl::Status CheckAddress(absl::string_view name, const void* pointer) {
  CHORUS_RETURN_IF_ERROR(kCheck.NotNull(name, pointer));
  if (reinterpret_cast<uintptr_t>(pointer) % 16 == 0) return absl::OkStatus();
  return kCheck.Fail(absl::StrCat(name, " is not 16-byte aligned"));
}

}  // namespace

absl::Status CheckDeviceLinear(const DeviceLinearShape& shape) {
  if (shape.dtype == DType::kF32 ||
      (shape.y_dtype != DType::kF32 && shape.y_dtype != shape.dtype)) {
    return kCheck.Fail(absl::StrCat("types are ", std::string(Name(shape.dtype)), " to ",
                                    std::string(Name(shape.y_dtype)),
                                    ", want bf16 or f16 to f32 or to itself"));
  }
  CHORUS_RETURN_IF_ERROR(kCheck.InRange("rows", shape.rows, 1, kMaxSize));
  CHORUS_RETURN_IF_ERROR(kCheck.InRange("outputs", shape.outputs, 1, kMaxSize));
  CHORUS_RETURN_IF_ERROR(kCheck.InRange("inputs", shape.inputs, 1, kMaxSize));
  CHORUS_RETURN_IF_ERROR(kCheck.InRange("multiprocessors", shape.multiprocessors, 0, kMaxSize));
  CHORUS_RETURN_IF_ERROR(kCheck.InRange("x_stride", shape.x_stride, shape.inputs, kMaxSize));
  return kCheck.InRange("y_stride", shape.y_stride, shape.outputs, kMaxSize);
}

absl::Status CheckDeviceLinear(const DeviceLinearShape& shape, const DeviceLinearArgs& args) {
  CHORUS_RETURN_IF_ERROR(CheckAddress("x", args.x));
  CHORUS_RETURN_IF_ERROR(CheckAddress("weight", args.weight));
  if (shape.bias) CHORUS_RETURN_IF_ERROR(CheckAddress("bias", args.bias));
  return CheckAddress("y", args.y);
}

std::string TextOf(const DeviceLinearShape& shape) {
  return absl::StrCat(std::string(Name(shape.dtype)), " to ", std::string(Name(shape.y_dtype)),
                      shape.bias ? " with bias" : "", ", ", shape.rows, " x ", shape.outputs, " x ",
                      shape.inputs, ", strides ", shape.x_stride, " ", shape.y_stride,
                      shape.multiprocessors == 0
                          ? std::string()
                          : absl::StrCat(", on ", shape.multiprocessors, " multiprocessors"));
}

}  // namespace chorus::kernels
