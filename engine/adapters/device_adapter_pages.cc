#include "engine/adapters/device_adapter_pages.h"

#include <algorithm>
#include <vector>

#include "kernels/status_macros.h"

namespace chorus::engine {
namespace {

using kernels::MutexLock;

// What is copied to learn how fast copies are.
constexpr int64_t kMeasuredBytes = int64_t{32} << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<DeviceAdapterPages>> DeviceAdapterPages::Create(
    kernels::Device* device, const kernels::PoolView& pool, const DeviceAdapterOptions& options,
    const Clock* clock) {
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<HostImages> images,
                          HostImages::Create(device, options.pinned_bytes, options.chunk_bytes));
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<kernels::DeviceStream> stream,
                          device->NewStream(kernels::Device::Priority::kNormal));
  std::unique_ptr<DeviceAdapterPages> pages(
      new DeviceAdapterPages(device, pool, std::move(images), std::move(stream), clock));
  CHORUS_RETURN_IF_ERROR(pages->MeasureCopies(options.chunk_bytes));
  return pages;
}

absl::Status DeviceAdapterPages::MeasureCopies(int64_t run_bytes) {
  const int64_t bytes = std::min({kMeasuredBytes, images_->total_bytes(), pool_.total_bytes()});
  CHORUS_ASSIGN_OR_RETURN(const HostImages::ImageRef image,
                          images_->Make(bytes, [] { return false; }));
  CHORUS_ASSIGN_OR_RETURN(const std::unique_ptr<kernels::DeviceTimer> timer, device_.NewTimer());
  const auto copy = [&] {
    for (int64_t at = 0; at < bytes; at += run_bytes) {
      const std::span<std::byte> run = image->At(at, std::min(bytes - at, run_bytes));
      CHORUS_RETURN_IF_ERROR(stream_->CopyToDevice(pool_.base + at, run.data(), std::ssize(run)));
    }
    return absl::OkStatus();
  };
  CHORUS_RETURN_IF_ERROR(copy());  // the first time is not like the others
  CHORUS_RETURN_IF_ERROR(timer->Start(stream_.get()));
  CHORUS_RETURN_IF_ERROR(copy());
  CHORUS_RETURN_IF_ERROR(timer->Stop(stream_.get()));
  CHORUS_ASSIGN_OR_RETURN(const double us, timer->ElapsedUs());
  bytes_per_second_ = static_cast<double>(bytes) * 1e6 / std::max(us, 1e-3);
  return stream_->Synchronize();
}

absl::Status DeviceAdapterPages::Load(const AdapterVersion& adapter, std::span<const int32_t> cells,
                                      LoadObserver* observer) {
  CHORUS_ASSIGN_OR_RETURN(Copies copies, MakeCopies(adapter, cells));
  const int64_t bytes = LayerBegin(copies.layout, pool_.num_slabs);
  const HostImages::Key key(adapter.tenant(), adapter.digest());
  std::unique_ptr<ImageReader> reader;
  copies.image = images_->Find(key);
  if (copies.image == nullptr) {
    CHORUS_ASSIGN_OR_RETURN(reader, adapter.OpenImage());
    CHORUS_ASSIGN_OR_RETURN(copies.image,
                            images_->Make(bytes, [&] { return observer->cancelled(); }));
  }
  bool alone;
  {
    MutexLock lock(&mutex_);
    alone = ++num_copying_ == 1;
  }
  absl::Status status = Enqueue(reader.get(), copies, *observer);
  if (status.ok() && alone) {
    observer->Arriving(copies.arrivals);
    status = AwaitLayers(copies);
  }
  status.Update(AwaitEnd(copies));
  CHORUS_RETURN_IF_ERROR(status);
  if (reader == nullptr) return absl::OkStatus();
  images_->Keep(key, std::move(copies.image));
  if (adapter.retired()) images_->Forget(key);  // it may have been forgotten a moment ago
  return absl::OkStatus();
}

absl::StatusOr<DeviceAdapterPages::Copies> DeviceAdapterPages::MakeCopies(
    const AdapterVersion& adapter, std::span<const int32_t> cells) {
  LayerArrivals::Events layers;
  for (int32_t layer = 0; layer < pool_.num_slabs; ++layer) {
    CHORUS_ASSIGN_OR_RETURN(layers.emplace_back(), device_.NewEvent());
  }
  CHORUS_ASSIGN_OR_RETURN(std::unique_ptr<kernels::DeviceEvent> end, device_.NewEvent());
  return Copies{.layout = adapter.layout(),
                .runs = CellRuns(pool_, cells),
                .image = nullptr,
                .arrivals = std::make_shared<LayerArrivals>(std::move(layers)),
                .end = std::move(end)};
}

absl::Status DeviceAdapterPages::Enqueue(const ImageReader* reader, const Copies& copies,
                                         const LoadObserver& observer) {
  for (int32_t layer = 0; layer < pool_.num_slabs; ++layer) {
    if (observer.cancelled()) return absl::CancelledError("load cancelled");
    if (reader != nullptr) {
      CHORUS_RETURN_IF_ERROR(reader->ReadLayer(
          layer, [&](int64_t offset, int64_t bytes) { return copies.image->At(offset, bytes); }));
    }
    CHORUS_RETURN_IF_ERROR(EnqueueLayer(layer, copies));
  }
  return absl::OkStatus();
}

absl::Status DeviceAdapterPages::EnqueueLayer(int32_t layer, const Copies& copies) {
  const int64_t end = LayerBegin(copies.layout, layer + 1);
  std::vector<kernels::DeviceCopy> pieces;
  for (int64_t at = LayerBegin(copies.layout, layer); at < end;) {
    const std::span<std::byte> to = copies.runs.At(at, end - at);
    const std::span<std::byte> from = copies.image->At(at, std::ssize(to));
    pieces.push_back({to.data(), from.data(), std::ssize(from)});
    at += std::ssize(from);
  }
  MutexLock lock(&mutex_);
  CHORUS_RETURN_IF_ERROR(stream_->CopyManyToDevice(pieces));
  return stream_->Record(copies.arrivals->layers()[static_cast<size_t>(layer)].get());
}

absl::Status DeviceAdapterPages::AwaitLayers(const Copies& copies) const {
  const auto bytes = static_cast<double>(LayerBegin(copies.layout, pool_.num_slabs));
  // As fast as copies were alone, or as slow as these are.
  const absl::Duration alone = absl::Seconds(bytes / bytes_per_second_ / pool_.num_slabs);
  const absl::Time begin = clock_.Now();
  ArrivalProgress progress{.layers_there = 0, .at = begin, .layer_time = alone};
  copies.arrivals->SetProgress(progress);
  for (const auto& layer : copies.arrivals->layers()) {
    CHORUS_RETURN_IF_ERROR(layer->Wait());
    progress.at = clock_.Now();
    ++progress.layers_there;
    progress.layer_time = std::max(alone, (progress.at - begin) / progress.layers_there);
    copies.arrivals->SetProgress(progress);
  }
  return absl::OkStatus();
}

absl::Status DeviceAdapterPages::AwaitEnd(const Copies& copies) {
  absl::Status status;
  {
    MutexLock lock(&mutex_);
    status = stream_->Record(copies.end.get());
  }
  if (status.ok()) status = copies.end->Wait();
  MutexLock lock(&mutex_);
  --num_copying_;
  return status;
}

}  // namespace chorus::engine
