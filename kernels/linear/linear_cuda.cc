#include "kernels/linear/linear_cuda.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/device/cuda_device.h"
#include "kernels/linear/cublas_lt.h"
#include "kernels/linear/linear_choices.h"
#include "kernels/status_macros.h"

namespace chorus::kernels {
namespace {

constexpr int kCandidates = 8;
constexpr uint32_t kMaxAlignment = 256;
// Sums of split K are added in f32 or not split: nothing is rounded to 16 bits on the way, and
// nothing is added by whoever comes first.
constexpr uint32_t kReductions =
    CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
// How long a candidate runs: some hundred microseconds, at least a few launches.
constexpr double kMeasureUs = 300.0;
constexpr int kMinLaunches = 4;
constexpr int kMaxLaunches = 40;
constexpr int kRounds = 3;

cudaDataType_t TypeOf(DType type) {
  return type == DType::kF32 ? CUDA_R_32F : type == DType::kBf16 ? CUDA_R_16BF : CUDA_R_16F;
}

// The largest power of two up to 256 that divides the address, or the row's bytes.
uint32_t AlignmentOf(uint64_t bytes) {
  return bytes == 0 ? kMaxAlignment : std::min<uint64_t>(kMaxAlignment, bytes & (~bytes + 1));
}
uint32_t AlignmentOf(const void* pointer) {
  return AlignmentOf(static_cast<uint64_t>(reinterpret_cast<uintptr_t>(pointer)));
}

struct Alignments {
  uint32_t x = kMaxAlignment;
  uint32_t weight = kMaxAlignment;
  uint32_t y = kMaxAlignment;

  void Include(const DeviceLinearArgs& args) {
    x = std::min(x, AlignmentOf(args.x));
    weight = std::min(weight, AlignmentOf(args.weight));
    y = std::min(y, AlignmentOf(args.y));
  }
  bool Cover(const DeviceLinearArgs& args) const {
    Alignments with = *this;
    with.Include(args);
    return with.x == x && with.weight == weight && with.y == y;
  }
};

// A shape as the library sees it: column-major, so yᵀ = W · xᵀ with W transposed back.
struct Gemm {
  DeviceLinearShape shape;
  Alignments alignments;
  LtMatmulDesc desc;
  LtMatrixLayout weight;
  LtMatrixLayout x;
  LtMatrixLayout y;
  cublasLtMatmulAlgo_t algorithm;
};

class LinearPlannerImpl : public LinearPlanner {
 public:
  LinearPlannerImpl(Device* device, const CublasLt& lt, std::string choices_path)
      : device_(device), lt_(lt), choices_path_(std::move(choices_path)) {}
  ~LinearPlannerImpl() override {
    if (handle_ != nullptr) lt_.destroy(handle_);
  }

  absl::Status Open();
  absl::StatusOr<int32_t> Plan(const DeviceLinearShape& shape,
                               std::span<const DeviceLinearArgs> samples, std::byte* workspace,
                               DeviceStream* stream) override;
  absl::Status Run(int32_t number, const DeviceLinearArgs& args, std::byte* workspace,
                   DeviceStream* stream) override;
  absl::Status SaveChoices() override;
  int32_t num_measured() const override { return num_measured_; }

 private:
  absl::StatusOr<Gemm> Describe(const DeviceLinearShape& shape, const Alignments& alignments) const;
  absl::StatusOr<LtMatrixLayout> Layout(DType type, int64_t rows, int64_t cols, int64_t ld) const;
  absl::StatusOr<LtPreference> Preference(const Gemm& gemm) const;
  template <class T>
  absl::Status Set(const LtMatmulDesc& desc, cublasLtMatmulDescAttributes_t name,
                   const T& value) const;
  std::string KeyOf(const Gemm& gemm) const;
  // Whether the algorithm that was measured earlier is one that this library takes.
  bool TakeKnown(Gemm& gemm) const;
  absl::Status Measure(Gemm& gemm, std::span<const DeviceLinearArgs> samples, std::byte* workspace,
                       DeviceStream* stream);
  absl::StatusOr<double> MeasureUs(const Gemm& gemm, std::span<const DeviceLinearArgs> samples,
                                   std::byte* workspace, DeviceStream* stream);
  absl::Status Enqueue(const Gemm& gemm, const DeviceLinearArgs& args, std::byte* workspace,
                       DeviceStream* stream) const;

  Device* const device_;
  const CublasLt& lt_;
  const std::string choices_path_;
  std::string machine_;
  cublasLtHandle_t handle_ = nullptr;
  std::unique_ptr<DeviceTimer> timer_;
  LinearChoices choices_;
  std::vector<Gemm> gemms_;
  std::map<std::string, int32_t> numbers_;
  int32_t num_measured_ = 0;
};

absl::Status LinearPlannerImpl::Open() {
  CHORUS_RETURN_IF_ERROR(device_->FreeBytes().status());  // makes it this thread's device
  CHORUS_RETURN_IF_ERROR(lt_.Check(lt_.create(&handle_), "cublasLtCreate"));
  CHORUS_ASSIGN_OR_RETURN(timer_, device_->NewTimer());
  const DeviceInfo& info = device_->info();
  machine_ = absl::StrCat(info.name, ", ", info.multiprocessors, " multiprocessors, cuBLASLt ",
                          lt_.version());
  if (!choices_path_.empty()) choices_.Load(choices_path_).IgnoreError();
  return absl::OkStatus();
}

absl::StatusOr<LtMatrixLayout> LinearPlannerImpl::Layout(DType type, int64_t rows, int64_t cols,
                                                         int64_t ld) const {
  cublasLtMatrixLayout_t layout = nullptr;
  CHORUS_RETURN_IF_ERROR(
      lt_.Check(lt_.layout_create(&layout, TypeOf(type), static_cast<uint64_t>(rows),
                                  static_cast<uint64_t>(cols), ld),
                "cublasLtMatrixLayoutCreate"));
  return LtMatrixLayout(layout, lt_.layout_destroy);
}

template <class T>
absl::Status LinearPlannerImpl::Set(const LtMatmulDesc& desc, cublasLtMatmulDescAttributes_t name,
                                    const T& value) const {
  return lt_.Check(lt_.desc_set(desc.get(), name, &value, sizeof value),
                   "cublasLtMatmulDescSetAttribute");
}

absl::StatusOr<Gemm> LinearPlannerImpl::Describe(const DeviceLinearShape& shape,
                                                 const Alignments& alignments) const {
  cublasLtMatmulDesc_t created = nullptr;
  CHORUS_RETURN_IF_ERROR(lt_.Check(lt_.desc_create(&created, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                                   "cublasLtMatmulDescCreate"));
  LtMatmulDesc desc(created, lt_.desc_destroy);
  CHORUS_RETURN_IF_ERROR(Set(desc, CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T));
  if (shape.bias) {
    CHORUS_RETURN_IF_ERROR(Set(desc, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS));
    CHORUS_RETURN_IF_ERROR(Set(desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
                               static_cast<int32_t>(TypeOf(shape.y_dtype))));
  }
  if (shape.multiprocessors > 0) {
    CHORUS_RETURN_IF_ERROR(Set(desc, CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET, shape.multiprocessors));
  }
  CHORUS_ASSIGN_OR_RETURN(LtMatrixLayout weight,
                          Layout(shape.dtype, shape.inputs, shape.outputs, shape.inputs));
  CHORUS_ASSIGN_OR_RETURN(LtMatrixLayout x,
                          Layout(shape.dtype, shape.inputs, shape.rows, shape.x_stride));
  CHORUS_ASSIGN_OR_RETURN(LtMatrixLayout y,
                          Layout(shape.y_dtype, shape.outputs, shape.rows, shape.y_stride));
  return Gemm{shape,        alignments, std::move(desc), std::move(weight), std::move(x),
              std::move(y), {}};
}

absl::StatusOr<LtPreference> LinearPlannerImpl::Preference(const Gemm& gemm) const {
  cublasLtMatmulPreference_t created = nullptr;
  CHORUS_RETURN_IF_ERROR(
      lt_.Check(lt_.preference_create(&created), "cublasLtMatmulPreferenceCreate"));
  LtPreference preference(created, lt_.preference_destroy);
  const auto set = [&](cublasLtMatmulPreferenceAttributes_t name, const auto& value) {
    return lt_.Check(lt_.preference_set(preference.get(), name, &value, sizeof value),
                     "cublasLtMatmulPreferenceSetAttribute");
  };
  const Alignments& alignments = gemm.alignments;
  const auto workspace = static_cast<uint64_t>(kLinearWorkspaceBytes);
  CHORUS_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace));
  CHORUS_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, kReductions));
  CHORUS_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignments.weight));
  CHORUS_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignments.x));
  CHORUS_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignments.y));
  CHORUS_RETURN_IF_ERROR(set(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignments.y));
  return preference;
}

std::string LinearPlannerImpl::KeyOf(const Gemm& gemm) const {
  return absl::StrCat(machine_, ", ", TextOf(gemm.shape), ", aligned ", gemm.alignments.x, " ",
                      gemm.alignments.weight, " ", gemm.alignments.y);
}

bool LinearPlannerImpl::TakeKnown(Gemm& gemm) const {
  const LinearChoice* const known = choices_.Find(KeyOf(gemm));
  if (known == nullptr) return false;
  static_assert(sizeof known->algorithm == sizeof gemm.algorithm);
  std::memcpy(&gemm.algorithm, known->algorithm.data(), sizeof gemm.algorithm);
  cublasLtMatmulHeuristicResult_t result{};
  return lt_.algorithm_check(handle_, gemm.desc.get(), gemm.weight.get(), gemm.x.get(),
                             gemm.y.get(), gemm.y.get(), &gemm.algorithm,
                             &result) == CUBLAS_STATUS_SUCCESS &&
         result.workspaceSize <= static_cast<size_t>(kLinearWorkspaceBytes);
}

absl::Status LinearPlannerImpl::Enqueue(const Gemm& gemm, const DeviceLinearArgs& args,
                                        std::byte* workspace, DeviceStream* stream) const {
  const float one = 1.0f;
  const float beta = 0.0f;
  if (gemm.shape.bias) {
    // The descriptor is read when the GEMM is enqueued, and not after.
    CHORUS_RETURN_IF_ERROR(Set(gemm.desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, args.bias));
  }
  return lt_.Check(
      lt_.matmul(handle_, gemm.desc.get(), &one, args.weight, gemm.weight.get(), args.x,
                 gemm.x.get(), &beta, args.y, gemm.y.get(), args.y, gemm.y.get(), &gemm.algorithm,
                 workspace, static_cast<size_t>(kLinearWorkspaceBytes), CudaDevice::Native(stream)),
      absl::StrCat("Linear ", TextOf(gemm.shape)));
}

absl::StatusOr<double> LinearPlannerImpl::MeasureUs(const Gemm& gemm,
                                                    std::span<const DeviceLinearArgs> samples,
                                                    std::byte* workspace, DeviceStream* stream) {
  size_t next = 0;
  const auto run = [&](int launches) -> absl::StatusOr<double> {
    CHORUS_RETURN_IF_ERROR(timer_->Start(stream));
    for (int i = 0; i < launches; ++i, next = (next + 1) % samples.size()) {
      CHORUS_RETURN_IF_ERROR(Enqueue(gemm, samples[next], workspace, stream));
    }
    CHORUS_RETURN_IF_ERROR(timer_->Stop(stream));
    CHORUS_ASSIGN_OR_RETURN(const double us, timer_->ElapsedUs());
    return us / launches;
  };
  CHORUS_RETURN_IF_ERROR(run(1).status());  // loads the kernel
  CHORUS_ASSIGN_OR_RETURN(double best, run(kMinLaunches));
  const int launches =
      std::clamp(static_cast<int>(kMeasureUs / std::max(best, 1.0)), kMinLaunches, kMaxLaunches);
  for (int round = 0; round < kRounds; ++round) {
    CHORUS_ASSIGN_OR_RETURN(const double us, run(launches));
    best = round == 0 ? us : std::min(best, us);
  }
  return best;
}

absl::Status LinearPlannerImpl::Measure(Gemm& gemm, std::span<const DeviceLinearArgs> samples,
                                        std::byte* workspace, DeviceStream* stream) {
  CHORUS_ASSIGN_OR_RETURN(const LtPreference preference, Preference(gemm));
  std::array<cublasLtMatmulHeuristicResult_t, kCandidates> candidates{};
  int found = 0;
  const cublasStatus_t status =
      lt_.heuristics(handle_, gemm.desc.get(), gemm.weight.get(), gemm.x.get(), gemm.y.get(),
                     gemm.y.get(), preference.get(), kCandidates, candidates.data(), &found);
  LinearChoice best{.us = std::numeric_limits<double>::infinity()};
  for (int i = 0; status == CUBLAS_STATUS_SUCCESS && i < found; ++i) {
    const cublasLtMatmulHeuristicResult_t& candidate = candidates[static_cast<size_t>(i)];
    if (candidate.state != CUBLAS_STATUS_SUCCESS) continue;
    gemm.algorithm = candidate.algo;
    const absl::StatusOr<double> us = MeasureUs(gemm, samples, workspace, stream);
    if (!us.ok()) {
      // One that the library takes back is passed over; a lost device answers no further call.
      CHORUS_RETURN_IF_ERROR(CudaDevice::LaunchStatus("Linear", stream));
      continue;
    }
    if (*us >= best.us) continue;
    best.us = *us;
    best.workspace_bytes = static_cast<int64_t>(candidate.workspaceSize);
    std::memcpy(best.algorithm.data(), &candidate.algo, sizeof candidate.algo);
  }
  if (best.us == std::numeric_limits<double>::infinity()) {
    return absl::UnimplementedError(absl::StrCat("Linear: cuBLASLt has no algorithm for ",
                                                 KeyOf(gemm), " (", lt_.status_name(status), ")"));
  }
  std::memcpy(&gemm.algorithm, best.algorithm.data(), sizeof gemm.algorithm);
  choices_.Set(KeyOf(gemm), best);
  ++num_measured_;
  return absl::OkStatus();
}

absl::StatusOr<int32_t> LinearPlannerImpl::Plan(const DeviceLinearShape& shape,
                                                std::span<const DeviceLinearArgs> samples,
                                                std::byte* workspace, DeviceStream* stream) {
  CHORUS_RETURN_IF_ERROR(CheckDeviceLinear(shape));
  CHORUS_CHECK(!samples.empty() && AlignmentOf(workspace) == kMaxAlignment);
  Alignments alignments;
  for (const DeviceLinearArgs& args : samples) {
    CHORUS_RETURN_IF_ERROR(CheckDeviceLinear(shape, args));
    alignments.Include(args);
  }
  // Rows begin at multiples of the stride.
  const auto row_bytes = [](DType type, int64_t stride) {
    return static_cast<uint64_t>(stride * ByteSize(type));
  };
  alignments.x = std::min(alignments.x, AlignmentOf(row_bytes(shape.dtype, shape.x_stride)));
  alignments.weight =
      std::min(alignments.weight, AlignmentOf(row_bytes(shape.dtype, shape.inputs)));
  alignments.y = std::min(alignments.y, AlignmentOf(row_bytes(shape.y_dtype, shape.y_stride)));
  CHORUS_ASSIGN_OR_RETURN(Gemm gemm, Describe(shape, alignments));
  if (shape.bias) {  // some algorithms depend on its alignment
    CHORUS_RETURN_IF_ERROR(Set(gemm.desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, samples.front().bias));
  }
  const std::string key = KeyOf(gemm);
  if (const auto it = numbers_.find(key); it != numbers_.end()) return it->second;
  if (!TakeKnown(gemm)) CHORUS_RETURN_IF_ERROR(Measure(gemm, samples, workspace, stream));
  const auto number = static_cast<int32_t>(gemms_.size());
  gemms_.push_back(std::move(gemm));
  numbers_[key] = number;
  return number;
}

absl::Status LinearPlannerImpl::Run(int32_t number, const DeviceLinearArgs& args,
                                    std::byte* workspace, DeviceStream* stream) {
  const Gemm& gemm = gemms_[static_cast<size_t>(number)];
  if (!gemm.alignments.Cover(args)) {
    return absl::InvalidArgumentError(
        absl::StrCat("Linear ", TextOf(gemm.shape), ": an argument is aligned to less than the ",
                     gemm.alignments.x, ", ", gemm.alignments.weight, " and ", gemm.alignments.y,
                     " bytes of x, weight and y that were planned"));
  }
  const absl::Status status = Enqueue(gemm, args, workspace, stream);
  CHORUS_RETURN_IF_ERROR(CudaDevice::LaunchStatus("Linear", stream));
  return status;
}

absl::Status LinearPlannerImpl::SaveChoices() {
  if (choices_path_.empty() || num_measured_ == 0) return absl::OkStatus();
  return choices_.Save(choices_path_);
}

}  // namespace

absl::StatusOr<std::unique_ptr<LinearPlanner>> LinearPlanner::Create(Device* device,
                                                                     std::string choices_path) {
  CHORUS_ASSIGN_OR_RETURN(const CublasLt* const lt, CublasLt::Open());
  auto planner = std::make_unique<LinearPlannerImpl>(device, *lt, std::move(choices_path));
  CHORUS_RETURN_IF_ERROR(planner->Open());
  return planner;
}

}  // namespace chorus::kernels
