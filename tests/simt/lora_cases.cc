#include "tests/simt/lora_cases.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/check.h"
#include "kernels/lora/cluster_kernel.h"
#include "tests/simt/lora_adapters.h"
#include "tests/simt/simt_launch.h"

namespace chorus::test {
namespace {

using namespace kernels;  // NOLINT: this is about them

constexpr int kSite = 2;  // any

// As the runner may launch a shrink, an expand, and both in one.
SimtOptions Early(SimtOptions options) {
  options.early = true;
  return options;
}

class Batch {
 public:
  explicit Batch(const LoraCase& c) : c_(c), random_(c.seed) {
    MakeSite();
    MakeRows();
    adapters_ = std::make_unique<LoraAdapters>(c_, site_, segments_, random_);
  }

  std::string Run(const SimtOptions& options) {
    const std::string failure = RunSteps(options);
    return failure.empty() ? CheckDelta() : failure;
  }

  // Whether the rows of every segment have the same bits when it is alone.
  std::string RunAlone(const SimtOptions& options) {
    std::string failure = Run(options);
    const std::vector<unsigned char> together = delta_;
    for (size_t s = 0; s < segments_.size() && failure.empty(); ++s) {
      only_ = &segments_[s];
      failure = RunSteps(options);
      const auto row_bytes = static_cast<size_t>(delta_stride_ * (c_.wide_delta ? 4 : 2));
      const size_t begin = static_cast<size_t>(only_->first_row) * row_bytes;
      if (failure.empty() && std::memcmp(&together[begin], &delta_[begin],
                                         static_cast<size_t>(only_->num_rows) * row_bytes) != 0) {
        failure = absl::StrCat("segment ", s, " alone has other bits");
      }
    }
    return failure;
  }

 private:
  int modules() const { return site_.num_modules; }

  std::string RunSteps(const SimtOptions& options) {
    using Step = std::string (Batch::*)(const SimtOptions&);
    const std::vector<Step> steps =
        c_.cluster > 0 ? std::vector<Step>{&Batch::Plan, &Batch::Cluster}
                       : std::vector<Step>{&Batch::Plan, &Batch::Shrink, &Batch::Expand};
    for (const Step step : steps) {
      std::string failure = (this->*step)(options);
      if (!failure.empty()) return failure;
    }
    return "";
  }

  void MakeSite() {
    site_.inputs = c_.inputs;
    int32_t column = 8;  // the first columns are nobody's
    for (const int width : c_.widths) {
      site_.modules[site_.num_modules] = kGate + site_.num_modules - 1;
      site_.y_column[site_.num_modules] = column;
      site_.y_width[site_.num_modules++] = width;
      column += width + 8;
    }
    delta_stride_ = column;
  }

  void MakeRows() {
    int row = c_.base_rows;
    for (size_t s = 0; s < c_.segments.size(); ++s) {
      // Slots are not in the order of rows, and one is empty.
      const auto slot = static_cast<int32_t>(c_.segments.size() - s);
      segments_.push_back({slot, row, c_.segments[s].rows});
      row += c_.segments[s].rows + 1;
    }
    rows_ = row;
    x_stride_ = c_.inputs + 8;
    x_.resize(static_cast<size_t>(rows_ * x_stride_));
    for (uint16_t& value : x_) value = RandomBits(c_.dtype, c_.x_scale, random_);
  }

  void MakeLists() {
    count_ = static_cast<int32_t>(segments_.size());
    table_ = segments_;
    if (only_ != nullptr) {
      count_ = 1;
      table_ = {*only_};
    }
    table_.resize(segments_.size() + 2, LoraSegment{-1, -1, -1});
    device_table_ = adapters_->table();
    int32_t shrinks = 0;
    int32_t expands = 0;
    for (const LoraCaseSegment& segment : c_.segments) {
      if (c_.cluster > 0) {
        UnitCut cut;
        for (const int rank : segment.ranks) {
          if (rank > 0) cut.Add(rank);
        }
        shrinks += Pieces(segment.rows) * cut.units * UnitSteps(c_.cluster, modules());
        continue;
      }
      for (int m = 0; m < modules(); ++m) {
        const int rank = segment.ranks[static_cast<size_t>(m)];
        shrinks += Pieces(segment.rows) * ShrinkItems(c_.inputs, rank, c_.max_planes);
        expands += Pieces(segment.rows) * ExpandItems(site_.y_width[m], rank);
      }
    }
    expands <<= ExpandPartsLog(expands, c_.spread);
    if (only_ != nullptr) expands = std::max(expands, c_.spread);
    // Lists are as long as what comes, and follow each other: one item more would be found.
    lists_.layers = c_.layers;
    for (int site = 0; site < kNumLoraSites; ++site) {
      int32_t* const begin = lists_.item_begin + site * 2;
      const int32_t least = c_.cluster > 0 ? UnitSteps(c_.cluster, modules()) : 1;
      begin[1] = begin[0] + std::max(least, shrinks - c_.missing_items);
      begin[2] = begin[1] + std::max(1, expands - c_.missing_items);
    }
    items_.resize(static_cast<size_t>(lists_.num_items()));
    counts_.resize(static_cast<size_t>(lists_.num_lists()));
    row_modules_.resize(static_cast<size_t>(c_.layers * rows_));
    lists_.items = items_.data();
    lists_.counts = counts_.data();
  }

  void AddIds(SimtMemory* memory) const {
    const LoraDeviceTable& table = device_table_;
    memory->Add("ids", table.ids, int64_t{table.max_slots} * table.ids_stride, SimtUse::kReadOnly);
    memory->Add("num_ids", table.num_ids, table.max_slots, SimtUse::kReadOnly);
  }

  std::string Plan(const SimtOptions& options) {
    MakeLists();
    LoraPlanParams params;
    params.table = device_table_;
    params.segments = table_.data();
    params.num_segments = &count_;
    params.max_segments = static_cast<int32_t>(table_.size());
    params.max_planes = c_.max_planes;
    params.spread = c_.spread;
    params.cluster_blocks = c_.cluster;
    for (LoraSiteShape& site : params.sites) site = site_;
    params.rows = rows_;
    params.row_modules = row_modules_.data();
    params.pool_ids = c_.num_ids;
    params.tiles_per_cell = c_.tiles_per_cell;
    params.lists = lists_;
    SimtMemory memory;
    memory.Add("entries", device_table_.entries, device_table_.num_entries(), SimtUse::kReadOnly);
    AddIds(&memory);
    memory.Add("segments", table_.data(), params.max_segments, SimtUse::kReadOnly);
    memory.Add("num_segments", &count_, 1, SimtUse::kReadOnly);
    memory.Add("items", items_.data(), static_cast<int64_t>(items_.size()), SimtUse::kWriteOnce);
    memory.Add("counts", counts_.data(), lists_.num_lists(), SimtUse::kWriteOnce);
    memory.Add("row_modules", row_modules_.data(), static_cast<int64_t>(row_modules_.size()),
               SimtUse::kWriteOnce);
    memory.PoisonOutputs();
    const std::string failure =
        RunSimt(kLoraPlan, params.blocks(), kLoraPlanShared, &params, memory, options).failure;
    return failure.empty() ? CheckRowModules() : failure;
  }

  // The site's modules at the layer under test; no other has a rank.
  std::string CheckRowModules() const {
    for (int row = 0; row < rows_; ++row) {
      uint32_t want = 0;
      for (size_t s = 0; s < segments_.size(); ++s) {
        const LoraSegment& segment = segments_[s];
        if (only_ != nullptr && only_ != &segment) continue;
        if (row < segment.first_row || row >= segment.first_row + segment.num_rows) continue;
        for (int m = 0; m < modules(); ++m) {
          want |= (c_.segments[s].ranks[static_cast<size_t>(m)] > 0 ? 1u : 0u) << site_.modules[m];
        }
      }
      const uint32_t got = row_modules_[static_cast<size_t>(c_.layer * rows_ + row)];
      if (got != want) {
        return absl::StrCat("row ", row, " has modules ", absl::Hex(got), ", want ",
                            absl::Hex(want));
      }
    }
    return "";
  }

  // The list of the layer under test. What a kernel needs of it is registered with `memory`.
  LoraWork Work(bool expand, SimtMemory* memory) {
    const int32_t list = lists_.ListOf(c_.layer, kSite, expand);
    LoraWork work;
    work.table = device_table_;
    work.pool = adapters_->cells();
    work.items = lists_.ItemsOf(list);
    work.count = &counts_[static_cast<size_t>(list)];
    work.capacity = lists_.Capacity(list);
    AddIds(memory);
    memory->AddBytes("pool", work.pool.base, work.pool.total_bytes(), SimtUse::kReadOnly, 4);
    memory->Add("items", work.items, work.capacity, SimtUse::kReadOnly);
    memory->Add("count", work.count, 1, SimtUse::kReadOnly);
    return work;
  }

  std::string Shrink(const SimtOptions& options) {
    int32_t ranks = 8;
    for (const LoraCaseSegment& segment : c_.segments) {
      int32_t sum = 0;
      for (const int rank : segment.ranks) sum += RankBlocks(rank) * kTileRanks;
      ranks = std::max(ranks, sum);
    }
    planes_.max_planes = c_.max_planes;
    planes_.rows = rows_;
    planes_.stride = ranks;
    planes_data_.assign(static_cast<size_t>(planes_.count()), 0.0f);
    planes_.data = planes_data_.data();
    LoraShrinkParams params;
    params.x = x_.data();
    params.x_stride = x_stride_;
    params.inputs = c_.inputs;
    SimtMemory memory;
    params.work = Work(false, &memory);
    params.planes = planes_;
    memory.AddBytes("x", x_.data(), static_cast<int64_t>(x_.size()) * 2, SimtUse::kReadOnly, 2);
    memory.Add("planes", planes_.data, planes_.count(), SimtUse::kWriteOnce);
    memory.PoisonOutputs();
    const bool bf16 = c_.dtype == DType::kBf16;
    const Kernel& kernel = c_.bulk ? (bf16 ? kLoraShrinkBf16 : kLoraShrinkF16)
                                   : (bf16 ? kLoraShrinkLanesBf16 : kLoraShrinkLanesF16);
    const int32_t shared = c_.bulk ? kLoraShrinkShared : kLoraShrinkLanesShared;
    return RunSimt(kernel, c_.blocks, shared, &params, memory, Early(options)).failure;
  }

  std::string Expand(const SimtOptions& options) {
    const int64_t bytes = int64_t{rows_} * delta_stride_ * (c_.wide_delta ? 4 : 2);
    delta_.resize(static_cast<size_t>(bytes));
    LoraExpandParams params;
    params.inputs = c_.inputs;
    params.max_planes = c_.max_planes;
    std::copy(std::begin(site_.y_column), std::end(site_.y_column), params.y_column);
    std::copy(std::begin(site_.y_width), std::end(site_.y_width), params.y_width);
    SimtMemory memory;
    params.work = Work(true, &memory);
    params.planes = planes_;
    params.delta = delta_.data();
    params.delta_stride = delta_stride_;
    memory.Add("planes", planes_.data, planes_.count(), SimtUse::kReadOnly);
    memory.AddBytes("delta", delta_.data(), bytes, SimtUse::kWriteOnce, c_.wide_delta ? 4 : 2);
    memory.PoisonOutputs();
    const bool bf16 = c_.dtype == DType::kBf16;
    const Kernel* const kernels[2][2][2] = {
        {{&kLoraExpandLanesF16F16, &kLoraExpandLanesF16F32},
         {&kLoraExpandLanesBf16Bf16, &kLoraExpandLanesBf16F32}},
        {{&kLoraExpandF16F16, &kLoraExpandF16F32}, {&kLoraExpandBf16Bf16, &kLoraExpandBf16F32}}};
    const Kernel& kernel = *kernels[c_.bulk][bf16][c_.wide_delta];
    const int32_t shared = c_.bulk ? kLoraExpandShared : kLoraExpandLanesShared;
    return RunSimt(kernel, c_.blocks, shared, &params, memory, Early(options)).failure;
  }

  std::string Cluster(const SimtOptions& options) {
    const int64_t count = int64_t{rows_} * delta_stride_;
    delta_.resize(static_cast<size_t>(count * 4));
    LoraClusterParams params;
    params.x = x_.data();
    params.x_stride = x_stride_;
    params.inputs = c_.inputs;
    params.num_rows = rows_;
    params.num_modules = modules();
    std::copy(std::begin(site_.y_column), std::end(site_.y_column), params.y_column);
    std::copy(std::begin(site_.y_width), std::end(site_.y_width), params.y_width);
    SimtMemory memory;
    params.work = Work(false, &memory);
    params.delta = reinterpret_cast<float*>(delta_.data());
    params.delta_stride = delta_stride_;
    memory.AddBytes("x", x_.data(), static_cast<int64_t>(x_.size()) * 2, SimtUse::kReadOnly, 2);
    memory.Add("delta", params.delta, count, SimtUse::kWriteOnce);
    memory.PoisonOutputs();
    const bool bf16 = c_.dtype == DType::kBf16;
    const Kernel& kernel = c_.cluster == 4 ? (bf16 ? kLoraCluster4Bf16 : kLoraCluster4F16)
                                           : (bf16 ? kLoraCluster8Bf16 : kLoraCluster8F16);
    return RunSimt(kernel, c_.blocks * c_.cluster, kLoraClusterShared, &params, memory,
                   Early(options))
        .failure;
  }

  double Delta(int64_t row, int64_t column, bool* poison) const {
    const auto at = static_cast<size_t>(row * delta_stride_ + column);
    if (c_.wide_delta) {
      const float value = reinterpret_cast<const float*>(delta_.data())[at];
      *poison = std::bit_cast<uint32_t>(value) == ~0u;
      return value;
    }
    const uint16_t bits = reinterpret_cast<const uint16_t*>(delta_.data())[at];
    *poison = bits == 0xffffu;
    return FromBits(c_.dtype, bits);
  }

  std::string CheckDelta() const {
    std::vector<uint8_t> written(static_cast<size_t>(rows_ * delta_stride_));
    for (size_t s = 0; s < c_.segments.size(); ++s) {
      for (int row = segments_[s].first_row; row < segments_[s].first_row + segments_[s].num_rows;
           ++row) {
        for (int m = 0; m < modules(); ++m) {
          if (c_.segments[s].ranks[static_cast<size_t>(m)] == 0) continue;
          std::string failure = CheckModule(s, row, m, &written);
          if (!failure.empty()) return failure;
        }
      }
    }
    for (int row = 0; row < rows_; ++row) {
      for (int column = 0; column < delta_stride_; ++column) {
        bool poison = false;
        Delta(row, column, &poison);
        if (!poison && !written[static_cast<size_t>(row * delta_stride_ + column)]) {
          return absl::StrCat("delta [", row, ", ", column, "] is written, though it is nobody's");
        }
      }
    }
    return "";
  }

  // One row at one module. Errors: sums of K products in f32 by MMAs of 16; what is left of xA
  // behind two roundings; sums over the ranks; the rounding of the delta.
  std::string CheckModule(size_t s, int row, int m, std::vector<uint8_t>* written) const {
    const LoraMatrices& w = adapters_->matrices(s, m);
    const auto rank = static_cast<size_t>(c_.segments[s].ranks[static_cast<size_t>(m)]);
    const double scale = 0.25 + m;
    std::vector<double> xa(rank), xa_error(rank);
    double largest = 0.0;
    for (size_t r = 0; r < rank; ++r) {
      double absolute = 0.0;
      for (int k = 0; k < c_.inputs; ++k) {
        const double product = FromBits(c_.dtype, x_[static_cast<size_t>(row * x_stride_ + k)]) *
                               w.a[r * static_cast<size_t>(c_.inputs) + static_cast<size_t>(k)];
        xa[r] += product;
        absolute += std::fabs(product);
      }
      xa_error[r] = (c_.inputs / 16 + 16) * 0x1p-23 * absolute;
      largest = std::max(largest, std::fabs(xa[r]) + xa_error[r]);
    }
    for (size_t r = 0; r < rank; ++r) {
      xa_error[r] += c_.dtype == DType::kBf16 ? std::fabs(xa[r]) * 0x1p-16
                                              : std::fabs(xa[r]) * 0x1p-21 + largest * 0x1p-24;
    }
    for (int o = 0; o < site_.y_width[m]; ++o) {
      double want = 0.0, absolute = 0.0, bound = 0.0;
      for (size_t r = 0; r < rank; ++r) {
        const double b = w.b[static_cast<size_t>(o) * rank + r];
        want += xa[r] * b;
        absolute += std::fabs(xa[r] * b);
        bound += xa_error[r] * std::fabs(b);
      }
      bound += (static_cast<double>(rank) / 16 + 8) * 0x1p-22 * absolute;
      if (!w.bias.empty()) want += w.bias[static_cast<size_t>(o)];
      want *= scale;
      bound = scale * bound + std::fabs(want) * 0x1p-22;
      if (!c_.wide_delta) bound += std::fabs(want) * (c_.dtype == DType::kBf16 ? 0x1p-8 : 0x1p-11);
      const int column = site_.y_column[m] + o;
      bool poison = false;
      const double got = Delta(row, column, &poison);
      (*written)[static_cast<size_t>(row * delta_stride_ + column)] = 1;
      if (!(std::fabs(got - want) <= bound)) {
        return absl::StrCat("delta [", row, ", ", column, "] is ", got, ", want ", want, " ± ",
                            bound);
      }
    }
    return "";
  }

  const LoraCase& c_;
  std::mt19937 random_;
  std::unique_ptr<LoraAdapters> adapters_;
  LoraSiteShape site_;
  int rows_ = 0, x_stride_ = 0, delta_stride_ = 0;
  std::vector<uint16_t> x_;
  std::vector<LoraSegment> segments_, table_;  // the table ends in poison
  std::vector<int32_t> counts_;
  std::vector<LoraItem> items_;
  std::vector<uint32_t> row_modules_;  // [layers, rows]
  const LoraSegment* only_ = nullptr;  // if set, the step has no other
  int32_t count_ = 0;
  LoraDeviceTable device_table_;
  LoraLists lists_;
  LoraPlanes planes_;
  std::vector<float> planes_data_;
  std::vector<unsigned char> delta_;
};

}  // namespace

std::string RunLoraCase(const LoraCase& c, const SimtOptions& options) {
  return Batch(c).Run(options);
}

std::string RunLoraCaseAlone(const LoraCase& c, const SimtOptions& options) {
  return Batch(c).RunAlone(options);
}

std::string Name(const LoraCase& c) {
  std::string name = absl::StrCat(std::string(kernels::Name(c.dtype)), c.wide_delta ? " f32" : "",
                                  c.bulk ? "" : " lanes", " cluster ", c.cluster, " inputs ",
                                  c.inputs, " widths ", absl::StrJoin(c.widths, "+"), " planes ",
                                  c.max_planes, " blocks ", c.blocks, " seed ", c.seed, ":");
  for (const LoraCaseSegment& s : c.segments) {
    absl::StrAppend(&name, " ", s.rows, "x", absl::StrJoin(s.ranks, "/"), s.has_bias ? "b" : "");
  }
  return name;
}

}  // namespace chorus::test
