#include "engine/model/device_lora.h"

#include <algorithm>
#include <initializer_list>

#include "absl/strings/str_cat.h"
#include "kernels/checked.h"
#include "kernels/lora/cluster_kernel.h"
#include "kernels/lora/expand_kernel.h"
#include "kernels/lora/list_capacity.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::DType;
using kernels::LoraModule;
using kernels::LoraSiteShape;

constexpr int32_t kFewRows = 64;
constexpr int32_t kManyRowsPlanes = 4;
constexpr int32_t kMostPlanes = 16;

LoraSiteShape MakeSite(const ModelConfig& config, std::initializer_list<LoraModule> modules) {
  LoraSiteShape site;
  int32_t column = 0;
  for (const LoraModule module : modules) {
    const ModelConfig::LinearShape shape = config.linear(module);
    site.inputs = static_cast<int32_t>(shape.inputs);
    site.modules[site.num_modules] = module;
    site.y_column[site.num_modules] = column;
    site.y_width[site.num_modules] = static_cast<int32_t>(shape.outputs);
    column += site.y_width[site.num_modules++];
  }
  return site;
}

int32_t Width(const LoraSiteShape& site) {
  const int last = site.num_modules - 1;
  return site.y_column[last] + site.y_width[last];
}

}  // namespace

int32_t DeviceLora::MaxPlanes(int32_t rows) const {
  return rows <= kFewRows ? few_rows_planes_ : kManyRowsPlanes;
}

absl::StatusOr<DeviceLora> DeviceLora::Create(kernels::Device* device, const ModelConfig& config,
                                              const kernels::PoolView& pool,
                                              const kernels::LoraDeviceTable& table,
                                              const DeviceLoraLimits& limits,
                                              const DeviceLoraSharing& sharing) {
  DeviceLora lora;
  lora.limits_ = limits;
  lora.table_ = table;
  lora.sites_[0] = MakeSite(config, {kernels::kQ, kernels::kK, kernels::kV});
  lora.sites_[1] = MakeSite(config, {kernels::kO});
  lora.sites_[2] = MakeSite(config, {kernels::kGate, kernels::kUp});
  lora.sites_[3] = MakeSite(config, {kernels::kDown});
  lora.ChooseKernels(pool.dtype, device->info().compute_capability);
  CHORUS_RETURN_IF_ERROR(lora.ChooseClusters(pool.dtype, sharing.cluster_blocks, device->info()));
  CHORUS_RETURN_IF_ERROR(lora.CheckLimits());
  lora.lists_.layers = config.layers;
  CHORUS_RETURN_IF_ERROR(lora.Share(device, sharing));
  CHORUS_RETURN_IF_ERROR(lora.Allocate(device));
  CHORUS_RETURN_IF_ERROR(lora.Prepare(device));
  if (lora.cluster_ != nullptr) CHORUS_RETURN_IF_ERROR(lora.FillWithClusters(device));
  return lora;
}

void DeviceLora::SetPool(const kernels::PoolView& pool) {
  cells_ = {reinterpret_cast<const unsigned char*>(pool.base), pool.num_ids, pool.num_slabs,
            static_cast<int32_t>(kernels::TilesPerCell(pool))};
}

absl::Status DeviceLora::CheckLimits() const {
  if (limits_.max_segments > kernels::kMaxPlanSegments ||
      limits_.max_rank > kernels::kMaxLoraRank) {
    return absl::InvalidArgumentError(absl::StrCat(
        "runner: expected at most ", kernels::kMaxPlanSegments, " segments of rank ",
        kernels::kMaxLoraRank, ", got ", limits_.max_segments, " of ", limits_.max_rank));
  }
  for (const LoraSiteShape& site : sites_) CHORUS_RETURN_IF_ERROR(CheckTurns(site));
  return absl::OkStatus();
}

absl::Status DeviceLora::CheckTurns(const LoraSiteShape& site) const {
  int32_t width = site.inputs;
  int32_t turns =
      kernels::PlaneTurns(site.inputs, kernels::RankBlocks(limits_.max_rank), kManyRowsPlanes);
  if (cluster_ != nullptr) {
    for (int m = 0; m < site.num_modules; ++m) width = std::max(width, site.y_width[m]);
    turns = kernels::MostClusterTurns(width, limits_.max_rank, cluster_->cluster_blocks);
  }
  if (turns <= kernels::kMaxItemTurns) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("runner: LoRA of rank ", limits_.max_rank, " over ", width,
                   cluster_ == nullptr ? " inputs" : " inputs or outputs", ": expected at most ",
                   kernels::kMaxItemTurns, " turns, got ", turns));
}

void DeviceLora::ChooseKernels(DType dtype, int32_t compute_capability) {
  const bool bf16 = dtype == DType::kBf16;
  if (compute_capability >= 90) {
    shrink_ = bf16 ? &kernels::kLoraShrinkBf16 : &kernels::kLoraShrinkF16;
    shrink_shared_ = kernels::kLoraShrinkShared;
    expand_shared_ = kernels::kLoraExpandShared;
    expand_[0] = bf16 ? &kernels::kLoraExpandBf16F32 : &kernels::kLoraExpandF16F32;
    expand_[1] = bf16 ? &kernels::kLoraExpandBf16Bf16 : &kernels::kLoraExpandF16F16;
  } else {
    shrink_ = bf16 ? &kernels::kLoraShrinkLanesBf16 : &kernels::kLoraShrinkLanesF16;
    shrink_shared_ = kernels::kLoraShrinkLanesShared;
    expand_shared_ = kernels::kLoraExpandLanesShared;
    expand_[0] = bf16 ? &kernels::kLoraExpandLanesBf16F32 : &kernels::kLoraExpandLanesF16F32;
    expand_[1] = bf16 ? &kernels::kLoraExpandLanesBf16Bf16 : &kernels::kLoraExpandLanesF16F16;
  }
}

absl::Status DeviceLora::ChooseClusters(DType dtype, int32_t cluster_blocks,
                                        const kernels::DeviceInfo& info) {
  const bool bf16 = dtype == DType::kBf16;
  switch (cluster_blocks) {
    case 0:
      return absl::OkStatus();
    case 4:
      cluster_ = bf16 ? &kernels::kLoraCluster4Bf16 : &kernels::kLoraCluster4F16;
      break;
    case 8:
      cluster_ = bf16 ? &kernels::kLoraCluster8Bf16 : &kernels::kLoraCluster8F16;
      break;
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "runner: blocks of a LoRA cluster: expected 0, 4 or 8, got ", cluster_blocks));
  }
  if (info.compute_capability >= 90) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("runner: LoRA in clusters takes compute capability 9.0, ", info.name, " has ",
                   info.compute_capability / 10, ".", info.compute_capability % 10));
}

absl::Status DeviceLora::FillWithClusters(kernels::Device* device) {
  CHORUS_ASSIGN_OR_RETURN(const int32_t resident,
                          device->ResidentBlocks(*cluster_, kernels::kLoraClusterShared));
  const int32_t own = blocks_;
  blocks_ = std::min(own, resident) / cluster_->cluster_blocks * cluster_->cluster_blocks;
  if (blocks_ > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("runner: multiprocessors of LoRA: expected room for a cluster of ",
                   cluster_->cluster_blocks, " blocks, got it for ", own, " blocks"));
}

absl::Status DeviceLora::Share(kernels::Device* device, const DeviceLoraSharing& sharing) {
  const int32_t all = device->info().multiprocessors;
  const int32_t most = sharing.beside_base ? all - 1 : 0;
  if (sharing.multiprocessors < 0 || sharing.multiprocessors > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("runner: multiprocessors of LoRA: expected 0 to ", most, ", got ",
                     sharing.multiprocessors));
  }
  if (sharing.wide_delta_rows < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "runner: rows of a wide delta: expected 0 or more, got ", sharing.wide_delta_rows));
  }
  if (sharing.max_planes < kManyRowsPlanes || sharing.max_planes > kMostPlanes ||
      sharing.max_blocks < 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "runner: LoRA: expected ", kManyRowsPlanes, " to ", kMostPlanes,
        " planes and 0 blocks or more, got ", sharing.max_planes, " and ", sharing.max_blocks));
  }
  few_rows_planes_ = sharing.max_planes;
  wide_delta_rows_ = cluster_ == nullptr ? sharing.wide_delta_rows : limits_.max_rows;
  int32_t own = all;
  if (sharing.multiprocessors > 0) {
    own = sharing.multiprocessors;
    multiprocessors_left_ = all - own;
  }
  blocks_ = own * (cluster_ != nullptr ? cluster_->min_blocks
                                       : std::min(shrink_->min_blocks, expand_[0]->min_blocks));
  if (sharing.max_blocks > 0) blocks_ = std::min(blocks_, sharing.max_blocks);
  if (sharing.begin_early) begin_ = kernels::LaunchBegin::kEarly;
  if (sharing.beside_base) {
    CHORUS_ASSIGN_OR_RETURN(side_, SideStream::Create(device));
  }
  return absl::OkStatus();
}

absl::Status DeviceLora::Allocate(kernels::Device* device) {
  for (const LoraSiteShape& site : sites_) {
    planes_stride_ =
        std::max(planes_stride_,
                 site.num_modules * kernels::RankBlocks(limits_.max_rank) * kernels::kTileRanks);
  }
  SizeLists();
  const int64_t list_bytes = lists_.num_items() * static_cast<int64_t>(sizeof(kernels::LoraItem));
  const int64_t count_bytes = lists_.num_lists() * 4;
  CHORUS_ASSIGN_OR_RETURN(
      lists_memory_,
      device->Allocate(list_bytes + count_bytes + int64_t{lists_.layers} * limits_.max_rows * 4));
  lists_.items = lists_memory_.As<kernels::LoraItem>();
  lists_.counts = reinterpret_cast<int32_t*>(lists_memory_.data() + list_bytes);
  row_modules_ = reinterpret_cast<uint32_t*>(lists_memory_.data() + list_bytes + count_bytes);
  const int64_t plane_rows =
      std::max(int64_t{limits_.max_rows} * kManyRowsPlanes, int64_t{kFewRows} * few_rows_planes_);
  if (cluster_ == nullptr) {
    CHORUS_ASSIGN_OR_RETURN(planes_memory_, device->Allocate(plane_rows * planes_stride_ * 4));
  }
  CHORUS_ASSIGN_OR_RETURN(delta_memory_, device->Allocate(DeltaBytes()));
  return absl::OkStatus();
}

int64_t DeviceLora::DeltaBytes() const {
  int64_t width = 0;
  for (const LoraSiteShape& site : sites_) width = std::max<int64_t>(width, Width(site));
  const int64_t wide = int64_t{std::min(limits_.max_rows, wide_delta_rows_)} * width * 4;
  const int64_t narrow = HasNarrowDelta(limits_.max_rows) ? limits_.max_rows * width * 2 : 0;
  return std::max(wide, narrow);
}

void DeviceLora::SizeLists() {
  const kernels::LoraStepLimits many = {.max_rows = limits_.max_rows,
                                        .max_segments = limits_.max_segments,
                                        .max_rank = limits_.max_rank,
                                        .max_rank_sum = limits_.max_rank_sum};
  kernels::LoraStepLimits few = many;
  few.max_rows = std::min(few.max_rows, kFewRows);
  int32_t list = 0;
  for (const LoraSiteShape& site : sites_) {
    int32_t of_shrink = std::max(kernels::MaxShrinkItems(site, MaxPlanes(few.max_rows), few),
                                 kernels::MaxShrinkItems(site, MaxPlanes(many.max_rows), many));
    int32_t of_expand = std::max(kernels::MaxExpandItems(site, many), blocks_);
    if (cluster_ != nullptr) {
      of_shrink = kernels::MaxClusterSteps(site, cluster_->cluster_blocks, many);
      of_expand = 0;
    }
    for (const int32_t capacity : {of_shrink, of_expand}) {
      lists_.item_begin[list + 1] = lists_.item_begin[list] + capacity;
      ++list;
    }
  }
}

absl::Status DeviceLora::Prepare(kernels::Device* device) const {
  CHORUS_RETURN_IF_ERROR(device->Prepare(kernels::kLoraPlan, kernels::kLoraPlanShared));
  if (cluster_ != nullptr) return device->Prepare(*cluster_, kernels::kLoraClusterShared);
  CHORUS_RETURN_IF_ERROR(device->Prepare(*shrink_, shrink_shared_));
  CHORUS_RETURN_IF_ERROR(device->Prepare(*expand_[0], expand_shared_));
  return device->Prepare(*expand_[1], expand_shared_);
}

absl::StatusOr<kernels::DeviceStream*> DeviceLora::Follow(kernels::DeviceStream* stream) const {
  if (side_ == nullptr) return stream;
  CHORUS_RETURN_IF_ERROR(side_->Fork(stream));
  return side_->stream();
}

absl::Status DeviceLora::Join(kernels::DeviceStream* stream) const {
  return side_ == nullptr ? absl::OkStatus() : side_->Join(stream);
}

absl::Status DeviceLora::Plan(const kernels::LoraSegment* segments, const int32_t* num_segments,
                              int32_t rows, kernels::DeviceStream* stream) const {
  kernels::LoraPlanParams params;
  params.table = table_;
  params.segments = segments;
  params.num_segments = num_segments;
  params.max_segments = limits_.max_segments;
  params.max_planes = MaxPlanes(rows);
  params.spread = blocks_;
  params.cluster_blocks = cluster_ != nullptr ? cluster_->cluster_blocks : 0;
  std::copy(std::begin(sites_), std::end(sites_), params.sites);
  params.rows = rows;
  params.row_modules = row_modules_;
  params.pool_ids = cells_.num_ids;
  params.tiles_per_cell = cells_.tiles_per_cell;
  params.lists = lists_;
  CHORUS_ASSIGN_OR_RETURN(kernels::DeviceStream* const on, Follow(stream));
  return on->Launch(kernels::kLoraPlan, params.blocks(), kernels::kLoraPlanShared, params);
}

kernels::LoraWork DeviceLora::Work(DeviceSite site, int32_t layer, bool expand) const {
  const int32_t list = lists_.ListOf(layer, static_cast<int32_t>(site), expand);
  return {.table = table_,
          .pool = cells_,
          .items = lists_.ItemsOf(list),
          .count = lists_.counts + list,
          .capacity = lists_.Capacity(list)};
}

absl::Status DeviceLora::Run(DeviceSite site, int32_t layer, const void* x, int32_t rows,
                             kernels::DeviceStream* stream) const {
  const LoraSiteShape& shape = sites_[static_cast<size_t>(site)];
  const kernels::LoraPlanes planes = {.data = planes_memory_.As<float>(),
                                      .max_planes = MaxPlanes(rows),
                                      .rows = rows,
                                      .stride = planes_stride_};
  CHORUS_ASSIGN_OR_RETURN(kernels::DeviceStream* const on, Follow(stream));
  if (cluster_ != nullptr) return RunClusters(site, layer, x, rows, on);
  CHORUS_RETURN_IF_ERROR(
      on->Launch(*shrink_, blocks_, shrink_shared_,
                 kernels::LoraShrinkParams{.x = x,
                                           .x_stride = shape.inputs,
                                           .inputs = shape.inputs,
                                           .work = Work(site, layer, /*expand=*/false),
                                           .planes = planes},
                 begin_));
  kernels::LoraExpandParams expand;
  expand.inputs = shape.inputs;
  expand.max_planes = planes.max_planes;
  std::copy(std::begin(shape.y_column), std::end(shape.y_column), expand.y_column);
  std::copy(std::begin(shape.y_width), std::end(shape.y_width), expand.y_width);
  expand.work = Work(site, layer, /*expand=*/true);
  expand.planes = planes;
  expand.delta = delta_memory_.data();
  expand.delta_stride = Width(shape);
  return on->Launch(*expand_[HasNarrowDelta(rows)], blocks_, expand_shared_, expand, begin_);
}

absl::Status DeviceLora::RunClusters(DeviceSite site, int32_t layer, const void* x, int32_t rows,
                                     kernels::DeviceStream* on) const {
  const LoraSiteShape& shape = sites_[static_cast<size_t>(site)];
  kernels::LoraClusterParams params;
  params.x = x;
  params.x_stride = params.inputs = shape.inputs;
  params.num_rows = rows;
  params.num_modules = shape.num_modules;
  std::copy(std::begin(shape.y_column), std::end(shape.y_column), params.y_column);
  std::copy(std::begin(shape.y_width), std::end(shape.y_width), params.y_width);
  params.work = Work(site, layer, /*expand=*/false);
  params.delta = delta_memory_.As<float>();
  params.delta_stride = Width(shape);
  return on->Launch(*cluster_, blocks_, kernels::kLoraClusterShared, params, begin_);
}

kernels::LoraDelta DeviceLora::Delta(DeviceSite site, int32_t layer, int32_t rows) const {
  return {.data = delta_memory_.data(),
          .rows = rows,
          .stride = Width(sites_[static_cast<size_t>(site)]),
          .row_modules = row_modules_ + int64_t{layer} * rows};
}

}  // namespace chorus::engine
