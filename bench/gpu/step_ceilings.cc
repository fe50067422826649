#include "bench/gpu/step_ceilings.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "bench/gpu/hash_bf16.h"
#include "bench/gpu/probe_kernels.h"
#include "kernels/checked.h"
#include "kernels/status_macros.h"

namespace chorus::bench {
namespace {

using kernels::DeviceBuffer;
using kernels::DeviceLinearArgs;
using kernels::DeviceLinearShape;

constexpr int64_t kHostPiece = int64_t{64} << 10;
constexpr int kLinears = 16;  // matrices that a linear is timed over
constexpr int kLaunches = 100;
constexpr int64_t kGatherSpan = int64_t{10} << 30;

using Work = std::function<absl::Status(kernels::DeviceStream*)>;

class CeilingProbe {
 public:
  CeilingProbe(StepRig* rig, const CeilingOptions& options) : rig_(*rig), options_(options) {}

  absl::StatusOr<StepCeilings> Measure() {
    const auto normal = kernels::Device::Priority::kNormal;
    CHORUS_ASSIGN_OR_RETURN(stream_, rig_.device().NewStream(normal));
    CHORUS_ASSIGN_OR_RETURN(timer_, rig_.device().NewTimer());
    CHORUS_RETURN_IF_ERROR(MeasureReads());
    CHORUS_RETURN_IF_ERROR(MeasureCopies());
    CHORUS_RETURN_IF_ERROR(MeasureLaunch());
    CHORUS_RETURN_IF_ERROR(MeasureLinears());
    return std::move(ceilings_);
  }

 private:
  const kernels::PoolView& pool() const { return rig_.pool(); }

  // The shortest of the repeats, in µs.
  absl::StatusOr<double> Best(const Work& work) {
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < options_.repeats; ++i) {
      CHORUS_RETURN_IF_ERROR(timer_->Start(stream_.get()));
      CHORUS_RETURN_IF_ERROR(work(stream_.get()));
      CHORUS_RETURN_IF_ERROR(timer_->Stop(stream_.get()));
      CHORUS_ASSIGN_OR_RETURN(const double us, timer_->ElapsedUs());
      best = std::min(best, us);
    }
    return best;
  }
  absl::StatusOr<double> BestOfGraph(const Work& work) {
    CHORUS_RETURN_IF_ERROR(work(stream_.get()));  // what runs first may have to be loaded
    CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
    CHORUS_RETURN_IF_ERROR(stream_->BeginCapture());
    const absl::Status captured = work(stream_.get());
    CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<kernels::DeviceGraph> graph,
                            stream_->EndCapture());
    CHORUS_RETURN_IF_ERROR(captured);
    return Best([&](kernels::DeviceStream* stream) { return stream->Replay(graph.get()); });
  }

  absl::Status MeasureReads() {
    const int64_t num_cells = pool().num_ids * pool().num_slabs;
    const int64_t count =
        std::min(num_cells, std::max<int64_t>(options_.read_bytes / pool().cell_bytes(), 1));
    std::vector<int32_t> cells(static_cast<size_t>(num_cells));
    std::iota(cells.begin(), cells.end(), 0);
    CHORUS_ASSIGN_OR_RETURN(ceilings_.read, Read({cells.begin(), cells.begin() + count}));
    // How far the memory's translations reach shows where a wider span is slower.
    for (const int64_t span : {kGatherSpan, 6 * kGatherSpan, pool().total_bytes()}) {
      if (span > pool().total_bytes()) continue;
      const int64_t within = span / pool().cell_bytes();
      std::iota(cells.begin(), cells.end(), 0);
      std::shuffle(cells.begin(), cells.begin() + within, std::mt19937(11));
      CHORUS_ASSIGN_OR_RETURN(const double rate,
                              Read({cells.begin(), cells.begin() + std::min(count, within)}));
      ceilings_.gathers.push_back({span, rate});
    }
    return absl::OkStatus();
  }

  absl::StatusOr<double> Read(const std::vector<int32_t>& cells) {
    const auto count = static_cast<int64_t>(cells.size());
    const int32_t blocks = rig_.device().info().multiprocessors * kernels::kReadCells.min_blocks;
    CHORUS_ASSIGN_OR_RETURN(const DeviceBuffer list, rig_.device().Allocate(count * 4));
    CHORUS_ASSIGN_OR_RETURN(
        const DeviceBuffer sums,
        rig_.device().Allocate(int64_t{blocks} * kernels::kReadCellsThreads * 4));
    CHORUS_ASSIGN_OR_RETURN(const DeviceBuffer pinned, rig_.device().AllocatePinned(count * 4));
    std::copy(cells.begin(), cells.end(), pinned.As<int32_t>());
    CHORUS_RETURN_IF_ERROR(stream_->CopyToDevice(list.data(), pinned.data(), count * 4));
    CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
    CHORUS_RETURN_IF_ERROR(rig_.device().Prepare(kernels::kReadCells, 0));
    const kernels::ReadCellsParams params = {.base = pool().base,
                                             .num_cells = pool().num_ids * pool().num_slabs,
                                             .cell_bytes = pool().cell_bytes(),
                                             .cells = list.As<int32_t>(),
                                             .count = count,
                                             .sums = sums.As<uint32_t>()};
    CHORUS_ASSIGN_OR_RETURN(const double us, Best([&](kernels::DeviceStream* stream) {
                              return stream->Launch(kernels::kReadCells, blocks, 0, params);
                            }));
    return static_cast<double>(count * pool().cell_bytes()) / us;
  }

  absl::Status MeasureCopies() {
    const int64_t half = std::min(options_.read_bytes, pool().total_bytes()) / 2 / 256 * 256;
    CHORUS_ASSIGN_OR_RETURN(double us, Best([&](kernels::DeviceStream* stream) {
                              return stream->CopyOnDevice(pool().base, pool().base + half, half);
                            }));
    ceilings_.copy = 2.0 * static_cast<double>(half) / us;

    const int64_t bytes = std::min(options_.host_bytes, pool().total_bytes()) / 256 * 256;
    CHORUS_ASSIGN_OR_RETURN(const DeviceBuffer pinned, rig_.device().AllocatePinned(bytes));
    for (int64_t i = 0; i < bytes / 2; ++i) {
      pinned.As<uint16_t>()[i] = HashBf16(static_cast<uint64_t>(i));
    }
    for (const int64_t piece : {bytes, std::min(bytes, kHostPiece)}) {
      CHORUS_ASSIGN_OR_RETURN(us, Best([&](kernels::DeviceStream* stream) -> absl::Status {
                                std::vector<kernels::DeviceCopy> pieces;
                                for (int64_t at = 0; at + piece <= bytes; at += piece) {
                                  pieces.push_back({pool().base + at, pinned.data() + at, piece});
                                }
                                return stream->CopyManyToDevice(pieces);
                              }));
      (piece == bytes ? ceilings_.host_to_device : ceilings_.host_to_device_64k) =
          static_cast<double>(bytes / piece * piece) / us;
    }
    return absl::OkStatus();
  }

  absl::Status MeasureLaunch() {
    CHORUS_ASSIGN_OR_RETURN(const DeviceBuffer word, rig_.device().Allocate(4));
    CHORUS_RETURN_IF_ERROR(stream_->Fill(word.data(), 0, 4));
    CHORUS_RETURN_IF_ERROR(rig_.device().Prepare(kernels::kTouch, 0));
    const auto launches = [&](int count) {
      return BestOfGraph([&, count](kernels::DeviceStream* stream) -> absl::Status {
        for (int i = 0; i < count; ++i) {
          CHORUS_RETURN_IF_ERROR(stream->Launch(kernels::kTouch, 1, 0,
                                                kernels::TouchParams{.word = word.As<uint32_t>()}));
        }
        return absl::OkStatus();
      });
    };
    CHORUS_ASSIGN_OR_RETURN(const double few, launches(kLaunches));
    CHORUS_ASSIGN_OR_RETURN(const double many, launches(2 * kLaunches));
    ceilings_.launch_us = (many - few) / kLaunches;
    return absl::OkStatus();
  }

  absl::Status MeasureLinears() {
    const StepSizes& sizes = rig_.model().sizes;
    std::vector<int32_t> rows = sizes.batches;
    rows.push_back(sizes.prefill_tokens);
    for (const engine::WeightShape& shape : WeightShapesOf(rig_.model().config)) {
      const auto role = shape.place.role;
      if (!IsMatrix(role) || shape.place.layer > 0 || role == engine::WeightRole::kEmbedding) {
        continue;
      }
      for (const int32_t m : rows) {
        // Logits are made of a few rows at once.
        if (role == engine::WeightRole::kLmHead && m > sizes.main_batch) continue;
        CHORUS_RETURN_IF_ERROR(MeasureLinear(NameOf(role), m, shape));
      }
    }
    return absl::OkStatus();
  }

  static const char* NameOf(engine::WeightRole role) {
    switch (role) {
      case engine::WeightRole::kQkv:
        return "qkv";
      case engine::WeightRole::kO:
        return "o";
      case engine::WeightRole::kGateUp:
        return "gate_up";
      case engine::WeightRole::kDown:
        return "down";
      default:
        return "lm_head";
    }
  }

  // Pages serve as matrices, and as x.
  absl::Status MeasureLinear(const char* name, int32_t rows, const engine::WeightShape& shape) {
    LinearRate rate{name, rows, static_cast<int32_t>(shape.rows), static_cast<int32_t>(shape.cols)};
    const int64_t stride = kernels::RoundUp<int64_t>(shape.rows, 8);
    const DeviceLinearShape linear = {.rows = rows,
                                      .outputs = rate.outputs,
                                      .inputs = rate.inputs,
                                      .x_stride = shape.cols,
                                      .y_stride = stride};
    CHORUS_ASSIGN_OR_RETURN(const DeviceBuffer y, rig_.device().Allocate(rows * stride * 4));
    const int64_t matrix = kernels::RoundUp<int64_t>(rate.weight_bytes(), 256);
    const int64_t x_bytes = kernels::RoundUp<int64_t>(rows * shape.cols * 2, 256);
    const int64_t fit = (pool().total_bytes() - x_bytes) / matrix;
    if (fit < 1) return absl::ResourceExhaustedError("the pool is smaller than a linear");
    std::vector<DeviceLinearArgs> args;
    for (int64_t i = 0; i < std::min<int64_t>(fit, kLinears); ++i) {
      args.push_back(
          {.x = pool().base, .weight = pool().base + x_bytes + i * matrix, .y = y.data()});
    }
    CHORUS_ASSIGN_OR_RETURN(const int32_t number,
                            rig_.ops().PlanLinear(linear, args, stream_.get()));
    CHORUS_ASSIGN_OR_RETURN(const double us,
                            BestOfGraph([&](kernels::DeviceStream* stream) -> absl::Status {
                              for (const DeviceLinearArgs& one : args) {
                                CHORUS_RETURN_IF_ERROR(rig_.ops().Linear(number, one, stream));
                              }
                              return absl::OkStatus();
                            }));
    rate.us = us / static_cast<double>(args.size());
    ceilings_.linears.push_back(rate);
    return absl::OkStatus();
  }

  StepRig& rig_;
  const CeilingOptions options_;
  std::unique_ptr<kernels::DeviceStream> stream_;
  std::unique_ptr<kernels::DeviceTimer> timer_;
  StepCeilings ceilings_;
};

}  // namespace

StepRates StepCeilings::rates() const {
  StepRates rates{.bytes_per_us = read, .flops_per_us = 0.0};
  for (const LinearRate& linear : linears) {
    rates.flops_per_us = std::max(rates.flops_per_us, linear.flops() / linear.us);
  }
  return rates;
}

absl::StatusOr<StepCeilings> MeasureCeilings(StepRig* rig, const CeilingOptions& options) {
  return CeilingProbe(rig, options).Measure();
}

}  // namespace chorus::bench
