#include "engine/model/device_runner.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "kernels/copy/copy_pages_kernel.h"
#include "kernels/linear/row_buckets.h"
#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::PoolView;

PoolView GeometryOf(const ModelConfig& config, kernels::DType dtype) {
  return {.num_slabs = config.layers,
          .kv_heads = config.kv_heads,
          .head_dim = config.head_dim,
          .dtype = dtype,
          .b_tiles = kernels::BTileOrder::kFragments};
}

absl::Status CheckOption(const char* name, int64_t got, int64_t least, int64_t most) {
  if (got >= least && got <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("runner: ", name, ": expected ", least, " to ", most, ", got ", got));
}

absl::Status CheckOptions(const ModelConfig& config, const DeviceRunnerOptions& options) {
  CHORUS_RETURN_IF_ERROR(CheckOption("max_rows", options.max_rows, 1, 1 << 16));
  CHORUS_RETURN_IF_ERROR(CheckOption("max_graph_rows", options.max_graph_rows, 0, 1 << 16));
  CHORUS_RETURN_IF_ERROR(
      CheckOption("max_segments", options.max_segments, 1, kernels::kMaxPlanSegments));
  CHORUS_RETURN_IF_ERROR(CheckOption("max_page_copies", options.max_page_copies, 1, 1 << 16));
  CHORUS_RETURN_IF_ERROR(CheckOption("max_page_ids", options.max_page_ids, 1, 1 << 26));
  CHORUS_RETURN_IF_ERROR(CheckOption("max_penalties", options.max_penalties, 1, 1 << 26));
  CHORUS_RETURN_IF_ERROR(CheckOption("max_biases", options.max_biases, 1, 1 << 26));
  CHORUS_RETURN_IF_ERROR(CheckOption("max_slots", options.max_slots, 1, 1 << 24));
  CHORUS_RETURN_IF_ERROR(CheckOption("max_adapter_pages", options.max_adapter_pages, 1, 1 << 20));
  CHORUS_RETURN_IF_ERROR(
      CheckOption("max_lora_rank", options.max_lora_rank, 1, kernels::kMaxLoraRank));
  CHORUS_RETURN_IF_ERROR(
      CheckOption("max_rank_sum", options.max_rank_sum, options.max_lora_rank, 1 << 20));
  CHORUS_RETURN_IF_ERROR(CheckOption("max_crossing_ranks", options.max_crossing_ranks, 0, 1 << 20));
  return CheckOption("valid_vocabulary", options.valid_vocabulary, 0, config.vocabulary);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceRunner>> DeviceRunner::Create(
    kernels::Device* device, kernels::LibraryOps* ops, const ModelConfig& config,
    DeviceWeights weights, const DeviceRunnerOptions& options) {
  CHORUS_RETURN_IF_ERROR(CheckOptions(config, options));
  std::unique_ptr<DeviceRunner> runner(
      new DeviceRunner(device, ops, config, std::move(weights), options));
  CHORUS_RETURN_IF_ERROR(runner->Start());
  return runner;
}

DeviceRunner::DeviceRunner(kernels::Device* device, kernels::LibraryOps* ops,
                           const ModelConfig& config, DeviceWeights weights,
                           const DeviceRunnerOptions& options)
    : device_(*device),
      ops_(*ops),
      config_(config),
      weights_(std::move(weights)),
      geometry_(GeometryOf(config_, weights_.dtype())),
      options_(options) {
  if (options_.valid_vocabulary == 0) options_.valid_vocabulary = config_.vocabulary;
}

DeviceRunner::~DeviceRunner() {
  // What could be said of an error was said by the call that met it first.
  if (stream_ != nullptr) stream_->Synchronize().IgnoreError();
}

absl::Status DeviceRunner::Start() {
  CHORUS_RETURN_IF_ERROR(TakeWorkspaces());
  CHORUS_RETURN_IF_ERROR(TakePool());
  CHORUS_ASSIGN_OR_RETURN(const int64_t before, device_.FreeBytes());
  CHORUS_RETURN_IF_ERROR(CaptureGraphs());
  CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
  CHORUS_ASSIGN_OR_RETURN(const int64_t after, device_.FreeBytes());
  graph_bytes_ = std::max<int64_t>(before - after, 0);  // others may have given memory back
  return absl::OkStatus();
}

absl::Status DeviceRunner::TakeWorkspaces() {
  CHORUS_ASSIGN_OR_RETURN(stream_, device_.NewStream(kernels::Device::Priority::kNormal));
  CHORUS_ASSIGN_OR_RETURN(done_, device_.NewEvent());
  if (options_.time_steps) {
    CHORUS_ASSIGN_OR_RETURN(timer_, device_.NewTimer());
  }
  const int32_t max_rows = kernels::PrefillRowBucket(options_.max_rows);
  CHORUS_ASSIGN_OR_RETURN(attention_, AttentionPlans::Create(&device_, config_, max_rows,
                                                             options_.decode_chunk_tokens));
  limits_ = {.max_rows = max_rows,
             .max_segments = options_.max_segments,
             .max_page_copies = options_.max_page_copies,
             .max_samples = max_rows,
             .max_sample_launches = DeviceSampler::MaxLaunches(max_rows, max_rows),
             .plan_bytes = attention_.plan_bytes(),
             .max_page_ids = options_.max_page_ids,
             .max_penalties = options_.max_penalties,
             .max_biases = options_.max_biases};
  block_ = StepBlock::Make(limits_);
  CHORUS_ASSIGN_OR_RETURN(device_block_, device_.Allocate(block_.bytes));
  for (Turn& turn : turns_) {
    CHORUS_ASSIGN_OR_RETURN(turn.pinned, device_.AllocatePinned(block_.bytes));
    CHORUS_ASSIGN_OR_RETURN(turn.read, device_.NewEvent());
  }
  CHORUS_ASSIGN_OR_RETURN(slots_, DeviceSlots::Create(&device_, config_.layers,
                                                      {.max_slots = options_.max_slots,
                                                       .max_pages = options_.max_adapter_pages,
                                                       .max_rank = options_.max_lora_rank},
                                                      stream_.get()));
  CHORUS_RETURN_IF_ERROR(device_.Prepare(kernels::kCopyPages, 0));
  CHORUS_ASSIGN_OR_RETURN(
      decoder_, DeviceDecoder::Create({.device = &device_,
                                       .ops = &ops_,
                                       .config = &config_,
                                       .weights = &weights_,
                                       .attention = &attention_,
                                       .block = &block_,
                                       .pool = geometry_,
                                       .slots = slots_.table(),
                                       .limits = {.max_rows = max_rows,
                                                  .max_segments = options_.max_segments,
                                                  .max_rank = options_.max_lora_rank,
                                                  .max_rank_sum = options_.max_segment_ranks()},
                                       .lora = options_.lora,
                                       .attention_early = options_.attention_early},
                                      stream_.get()));
  CHORUS_ASSIGN_OR_RETURN(
      sampler_,
      DeviceSampler::Create(&device_, decoder_->logits(), DeviceDecoder::kMaxLogitRows,
                            decoder_->logits_stride(), options_.valid_vocabulary, limits_));
  CHORUS_ASSIGN_OR_RETURN(pinned_logits_,
                          device_.AllocatePinned(int64_t{DeviceDecoder::kMaxLogitRows} *
                                                 decoder_->logits_stride() * 4));
  return absl::OkStatus();
}

absl::Status DeviceRunner::TakePool() {
  CHORUS_ASSIGN_OR_RETURN(host_pages_,
                          DeviceHostPages::Create(&device_, geometry_, options_.host_page_bytes));
  CHORUS_ASSIGN_OR_RETURN(pool_, DevicePool::Allocate(&device_, geometry_, options_.pool));
  decoder_->SetPool(pool());
  slots_.SetPool(pool());
  return absl::OkStatus();
}

absl::Status DeviceRunner::CaptureGraphs() {
  const int32_t most = std::min(options_.max_graph_rows, options_.max_rows);
  const StepPlan nothing{.sequence_rows_begin = {0}, .page_begin = {0}};
  for (const int32_t rows : kernels::DecodeRowBuckets(most)) {
    for (const bool lora : {false, true}) {
      CHORUS_ASSIGN_OR_RETURN(std::byte* const pinned, NextBlock());
      CHORUS_RETURN_IF_ERROR(
          WriteBlock(nothing, {.rows = rows, .decode_rows = rows, .lora = lora}, pinned));
      Keep({});
      CHORUS_RETURN_IF_ERROR(CopyBlock(pinned));
      CHORUS_RETURN_IF_ERROR(graphs_.Capture(step_, decoder_.get(), stream_.get()));
    }
  }
  return absl::OkStatus();
}

DeviceMemoryUse DeviceRunner::memory_use() const {
  DeviceMemoryUse use{.weights = weights_.bytes(),
                      .activations = decoder_->activation_bytes(),
                      .lora = decoder_->lora_bytes(),
                      .attention = attention_.workspace_bytes(),
                      .steps = device_block_.bytes() + slots_.bytes() + sampler_.bytes(),
                      .pool = pool().total_bytes(),
                      .graphs = graph_bytes_,
                      .pinned = slots_.pinned_bytes() + sampler_.pinned_bytes() +
                                pinned_logits_.bytes() + host_pages_.pinned_bytes()};
  for (const Turn& turn : turns_) use.pinned += turn.pinned.bytes();
  return use;
}

absl::StatusOr<StepResult> DeviceRunner::Run(const StepPlan& plan) {
  CHORUS_RETURN_IF_ERROR(CheckPlan(plan));
  CHORUS_ASSIGN_OR_RETURN(std::byte* const pinned, NextBlock());
  CHORUS_RETURN_IF_ERROR(WriteBlock(plan, {}, pinned));
  plan_kept_.clear();
  for (const PlannedSample& sample : plan.samples) plan_kept_.push_back(sample.row);
  Keep(plan_kept_);
  sample_kept_.clear();
  for (const int32_t row : plan_kept_) sample_kept_.push_back(KeptIndex(row));
  CHORUS_RETURN_IF_ERROR(
      sampler_.Plan(plan, sample_kept_, static_cast<int32_t>(kept_rows_.size()), block_, pinned));
  if (timer_ != nullptr) CHORUS_RETURN_IF_ERROR(timer_->Start(stream_.get()));
  CHORUS_RETURN_IF_ERROR(Enqueue(plan, pinned));
  if (timer_ != nullptr) CHORUS_RETURN_IF_ERROR(timer_->Stop(stream_.get()));
  CHORUS_RETURN_IF_ERROR(stream_->Record(done_.get()));
  CHORUS_RETURN_IF_ERROR(done_->Wait());
  return sampler_.Read();
}

absl::Status DeviceRunner::Enqueue(const StepPlan& plan, std::byte* pinned) {
  CHORUS_RETURN_IF_ERROR(Forward(plan, pinned));
  for (const SampleTurn& turn : sampler_.turns()) {
    CHORUS_RETURN_IF_ERROR(decoder_->Logits(step_, turn.first_row, turn.num_rows, stream_.get()));
    CHORUS_RETURN_IF_ERROR(sampler_.Launch(turn, block_, device_block_.data(), stream_.get()));
  }
  return sampler_.Fetch(stream_.get());
}

absl::StatusOr<std::vector<float>> DeviceRunner::RunForLogits(const StepPlan& plan,
                                                              std::span<const int32_t> rows,
                                                              const StepShape& least) {
  CHORUS_RETURN_IF_ERROR(CheckPlan(plan));
  CHORUS_ASSIGN_OR_RETURN(std::byte* const pinned, NextBlock());
  CHORUS_RETURN_IF_ERROR(WriteBlock(plan, least, pinned));
  Keep(rows);
  CHORUS_RETURN_IF_ERROR(sampler_.Plan({}, {}, 0, block_, pinned));
  CHORUS_RETURN_IF_ERROR(Forward(plan, pinned));
  const auto kept = static_cast<int32_t>(kept_rows_.size());
  const auto vocabulary = static_cast<size_t>(config_.vocabulary);
  std::vector<float> result(rows.size() * vocabulary);
  for (int32_t first = 0; first < kept; first += DeviceDecoder::kMaxLogitRows) {
    const int32_t count = std::min(kept - first, DeviceDecoder::kMaxLogitRows);
    CHORUS_RETURN_IF_ERROR(decoder_->Logits(step_, first, count, stream_.get()));
    CHORUS_RETURN_IF_ERROR(stream_->CopyToHost(pinned_logits_.data(), decoder_->logits(),
                                               int64_t{count} * decoder_->logits_stride() * 4));
    CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
    for (size_t i = 0; i < rows.size(); ++i) {
      const int64_t row = KeptIndex(rows[i]) - first;
      if (row < 0 || row >= count) continue;
      std::copy_n(pinned_logits_.As<float>() + row * decoder_->logits_stride(), vocabulary,
                  result.begin() + static_cast<std::ptrdiff_t>(i * vocabulary));
    }
  }
  CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
  return result;
}

// What DeviceBatch does not look at, and a kernel would follow out of its memory.
absl::Status DeviceRunner::CheckPlan(const StepPlan& plan) const {
  const auto check = [](const char* what, int64_t got, int64_t end) {
    if (got >= 0 && got < end) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("step plan: ", what, ": expected 0 to ", end - 1, ", got ", got));
  };
  CHORUS_RETURN_IF_ERROR(check("rows", plan.num_rows(), options_.max_rows + 1));
  for (const int32_t token : plan.tokens) {
    CHORUS_RETURN_IF_ERROR(check("token", token, config_.vocabulary));
  }
  for (const std::vector<int32_t>* pages : {&plan.row_pages, &plan.page_ids}) {
    for (const int32_t page : *pages) CHORUS_RETURN_IF_ERROR(check("page", page, pool().num_ids));
  }
  for (const PlannedSample& sample : plan.samples) {
    CHORUS_RETURN_IF_ERROR(check("sampled row", sample.row, plan.num_rows()));
  }
  for (const kernels::LoraSegment& segment : plan.segments) {
    CHORUS_RETURN_IF_ERROR(check("slot", segment.slot, options_.max_slots));
  }
  for (const SlotChange& change : plan.slot_changes) CHORUS_RETURN_IF_ERROR(slots_.Check(change));
  for (const auto& adapter : plan.arrivals) {
    CHORUS_RETURN_IF_ERROR(check("layers short of an adapter on its way",
                                 config_.layers - std::ssize(adapter->layers()), 1));
  }
  CHORUS_RETURN_IF_ERROR(host_pages_.Check(plan, pool()));
  CHORUS_RETURN_IF_ERROR(check("page copies", static_cast<int64_t>(plan.page_copies.size()),
                               options_.max_page_copies + 1));
  for (const kernels::PageCopy& copy : plan.page_copies) {
    CHORUS_RETURN_IF_ERROR(check("copied page", copy.from, pool().num_ids));
    CHORUS_RETURN_IF_ERROR(check("copied page", copy.to, pool().num_ids));
  }
  return absl::OkStatus();
}

// The lists of LoRA items have room for no more.
absl::Status DeviceRunner::CheckRanks(const StepPlan& plan) const {
  const auto rank_of = [&](int32_t slot) {
    const auto change =
        std::find_if(plan.slot_changes.rbegin(), plan.slot_changes.rend(),
                     [&](const SlotChange& candidate) { return candidate.slot == slot; });
    return change == plan.slot_changes.rend() ? slots_.rank(slot)
                                              : DeviceSlots::RankOf(change->contents.get());
  };
  const auto check = [](const char* what, int64_t got, int64_t most) {
    if (got <= most) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("step plan: sum of the ranks of ", what,
                                                   ": expected at most ", most, ", got ", got));
  };
  absl::flat_hash_set<int32_t> slots;
  int64_t of_adapters = 0;
  int64_t of_segments = 0;
  for (const kernels::LoraSegment& segment : batch_.segments()) {
    const int32_t rank = rank_of(segment.slot);
    of_segments += rank;
    if (slots.insert(segment.slot).second) of_adapters += rank;
  }
  CHORUS_RETURN_IF_ERROR(check("adapters", of_adapters, options_.max_rank_sum));
  return check("segments", of_segments, options_.max_segment_ranks());
}

absl::StatusOr<std::byte*> DeviceRunner::NextBlock() {
  next_turn_ = (next_turn_ + 1) % turns_.size();
  CHORUS_RETURN_IF_ERROR(turns_[next_turn_].read->Wait());
  return turns_[next_turn_].pinned.data();
}

absl::Status DeviceRunner::WriteBlock(const StepPlan& plan, const StepShape& least,
                                      std::byte* pinned) {
  CHORUS_RETURN_IF_ERROR(batch_.Build(plan));
  const auto room = [](const char* what, size_t got, int32_t most) {
    if (got <= static_cast<size_t>(most)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("step plan: ", what, ": expected at most ", most, ", got ", got));
  };
  CHORUS_RETURN_IF_ERROR(room("segments", batch_.segments().size(), limits_.max_segments));
  CHORUS_RETURN_IF_ERROR(CheckRanks(plan));
  CHORUS_RETURN_IF_ERROR(room("pages", batch_.page_ids().size(), limits_.max_page_ids));
  step_ = {.shape = least, .block = device_block_.data(), .num_decodes = batch_.decodes().rows()};
  if (batch_.num_rows() > 0 || least.rows > 0) {
    CHORUS_RETURN_IF_ERROR(attention_.Plan(batch_, pinned + block_.decode_plan,
                                           pinned + block_.chunk_plan, &step_.shape));
  }
  WriteRows(plan, pinned);
  std::copy(batch_.segments().begin(), batch_.segments().end(),
            StepBlock::Array<kernels::LoraSegment>(pinned, block_.segments));
  *StepBlock::Array<int32_t>(pinned, block_.num_segments) =
      static_cast<int32_t>(batch_.segments().size());
  std::copy(plan.page_copies.begin(), plan.page_copies.end(),
            StepBlock::Array<kernels::PageCopy>(pinned, block_.page_copies));
  *StepBlock::Array<int32_t>(pinned, block_.num_page_copies) =
      static_cast<int32_t>(plan.page_copies.size());
  std::copy(batch_.page_ids().begin(), batch_.page_ids().end(),
            StepBlock::Array<int32_t>(pinned, block_.page_ids));
  return absl::OkStatus();
}

void DeviceRunner::WriteRows(const StepPlan& plan, std::byte* pinned) const {
  auto* const tokens = StepBlock::Array<int32_t>(pinned, block_.tokens);
  auto* const positions = StepBlock::Array<int32_t>(pinned, block_.positions);
  auto* const row_pages = StepBlock::Array<int32_t>(pinned, block_.row_pages);
  const int32_t rows = batch_.num_rows();
  for (int32_t row = 0; row < limits_.max_rows; ++row) {
    const bool padding = row >= rows;
    const auto from =
        padding ? 0 : static_cast<size_t>(batch_.plan_rows()[static_cast<size_t>(row)]);
    tokens[row] = padding ? 0 : plan.tokens[from];
    positions[row] = padding ? 0 : plan.positions[from];
    row_pages[row] = padding ? -1 : plan.row_pages[from];
  }
}

void DeviceRunner::Keep(std::span<const int32_t> plan_rows) {
  kept_rows_.clear();
  for (const int32_t row : plan_rows) kept_rows_.push_back(batch_.RowOf(row));
  std::sort(kept_rows_.begin(), kept_rows_.end());
  kept_rows_.erase(std::unique(kept_rows_.begin(), kept_rows_.end()), kept_rows_.end());
  auto* const kept = StepBlock::Array<int32_t>(turns_[next_turn_].pinned.data(), block_.kept_rows);
  std::fill_n(kept, limits_.max_rows, -1);
  std::copy(kept_rows_.begin(), kept_rows_.end(), kept);
}

int32_t DeviceRunner::KeptIndex(int32_t plan_row) const {
  const auto found = std::lower_bound(kept_rows_.begin(), kept_rows_.end(), batch_.RowOf(plan_row));
  return static_cast<int32_t>(found - kept_rows_.begin());
}

absl::Status DeviceRunner::Forward(const StepPlan& plan, std::byte* pinned) {
  for (const SlotChange& change : plan.slot_changes) {
    CHORUS_RETURN_IF_ERROR(slots_.Apply(change, stream_.get()));
  }
  CHORUS_RETURN_IF_ERROR(CopyBlock(pinned));
  CHORUS_RETURN_IF_ERROR(host_pages_.Move(plan, pool(), stream_.get()));
  CHORUS_RETURN_IF_ERROR(CopyPages(plan));
  if (batch_.num_rows() == 0) return absl::OkStatus();
  // A graph waits for nobody.
  kernels::DeviceGraph* const graph = plan.arrivals.empty() ? graphs_.Find(step_.shape) : nullptr;
  if (graph != nullptr) return stream_->Replay(graph);
  step_.arrivals = &plan.arrivals;
  const absl::Status ran = decoder_->Run(step_, stream_.get());
  step_.arrivals = nullptr;
  return ran;
}

absl::Status DeviceRunner::CopyBlock(std::byte* pinned) {
  const auto copy = [&](int64_t at, int64_t bytes) {
    return bytes == 0 ? absl::OkStatus()
                      : stream_->CopyToDevice(device_block_.data() + at, pinned + at, bytes);
  };
  const auto page_ids = static_cast<int64_t>(batch_.page_ids().size());
  CHORUS_RETURN_IF_ERROR(copy(0, block_.page_ids + page_ids * 4));
  CHORUS_RETURN_IF_ERROR(
      copy(block_.penalties,
           sampler_.num_penalties() * static_cast<int64_t>(sizeof(kernels::SamplePenalty))));
  CHORUS_RETURN_IF_ERROR(copy(
      block_.biases, sampler_.num_biases() * static_cast<int64_t>(sizeof(kernels::SampleBias))));
  return stream_->Record(turns_[next_turn_].read.get());
}

absl::Status DeviceRunner::CopyPages(const StepPlan& plan) {
  if (plan.page_copies.empty()) return absl::OkStatus();
  const int32_t blocks = device_.info().multiprocessors * kernels::kCopyPages.min_blocks;
  return stream_->Launch(
      kernels::kCopyPages, blocks, 0,
      kernels::CopyPagesParams{
          .pool = pool().base,
          .num_ids = pool().num_ids,
          .cell_bytes = pool().cell_bytes(),
          .copies = StepBlock::Array<kernels::PageCopy>(device_block_.data(), block_.page_copies),
          .count = StepBlock::Array<int32_t>(device_block_.data(), block_.num_page_copies),
          .num_slabs = pool().num_slabs,
          .capacity = limits_.max_page_copies});
}

}  // namespace chorus::engine
