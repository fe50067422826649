#include "tests/support/ops/op_on_device.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/check.h"
#include "kernels/status_macros.h"
#include "tests/support/ops/op_device.h"

namespace chorus::test {
namespace {

using kernels::SimtRegion;
using kernels::SimtUse;

constexpr int64_t kGuardBytes = 256;  // at least, before, between and behind buffers
constexpr int64_t kPieceBytes = 8 << 20;
constexpr int kPoison = 0xff;

struct Piece {
  int64_t begin = 0, bytes = 0;
};

// What the process has ever touched of a buffer, by pages. Nothing else is worth a copy.
std::vector<Piece> TouchedPieces(const SimtRegion& region) {
  const int64_t page = sysconf(_SC_PAGESIZE);
  const int64_t before = static_cast<int64_t>(reinterpret_cast<uintptr_t>(region.data())) % page;
  std::vector<unsigned char> resident(
      static_cast<size_t>((before + region.bytes() + page - 1) / page));
  CHORUS_CHECK_EQ(mincore(region.data() - before, static_cast<size_t>(before + region.bytes()),
                          resident.data()),
                  0);
  std::vector<Piece> pieces;
  for (size_t i = 0; i < resident.size(); ++i) {
    if ((resident[i] & 1) == 0) continue;
    const int64_t at = static_cast<int64_t>(i) * page - before;
    const int64_t begin = std::max(at, int64_t{0});
    const int64_t bytes = std::min(at + page, region.bytes()) - begin;
    if (!pieces.empty() && pieces.back().begin + pieces.back().bytes == begin &&
        pieces.back().bytes + bytes <= kPieceBytes) {
      pieces.back().bytes += bytes;
    } else {
      pieces.push_back({begin, bytes});
    }
  }
  return pieces;
}

class OnDevice {
 public:
  static OnDevice& Get() {
    static OnDevice& device = *new OnDevice;  // whatever a driver tears down first
    return device;
  }

  const absl::Status& status() const { return status_; }
  int64_t bytes() const { return device_ == nullptr ? 0 : device_->info().total_bytes; }

  absl::Status Run(const kernels::Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                   const void* params, OpLaunch launch, kernels::SimtMemory& memory) {
    CHORUS_RETURN_IF_ERROR(Place(memory));
    CHORUS_RETURN_IF_ERROR(Upload());
    CHORUS_RETURN_IF_ERROR(device_->Prepare(kernel, shared_bytes));
    const std::vector<uint64_t> words = Translated(params, kernel.params_bytes);
    CHORUS_RETURN_IF_ERROR(launch(stream_.get(), kernel, blocks, shared_bytes, words.data()));
    return Download();
  }

 private:
  struct Placed {
    const SimtRegion* region;
    int64_t offset;                // of a small one, in the image
    kernels::DeviceBuffer memory;  // of a large one
  };

  OnDevice() {
    auto opened = OpenOpDevice();
    status_ = opened.status();
    if (!status_.ok()) return;
    device_ = std::move(opened->device);
    large_bytes_ = opened->large_bytes;
    auto stream = device_->NewStream(kernels::Device::Priority::kNormal);
    status_ = stream.status();
    if (status_.ok()) stream_ = *std::move(stream);
  }

  std::byte* Address(const Placed& placed) const {
    return placed.memory.data() != nullptr ? placed.memory.data() : memory_.data() + placed.offset;
  }

  absl::Status Place(const kernels::SimtMemory& memory) {
    placed_.clear();
    image_bytes_ = kGuardBytes;
    absl::Status status;
    memory.ForEach([&](const SimtRegion& region) {
      if (region.bytes() == 0 || !status.ok()) return;
      Placed placed{&region, image_bytes_, {}};
      if (region.bytes() >= large_bytes_) {
        auto own = device_->Allocate(region.bytes());
        status = own.status();
        if (own.ok()) placed.memory = *std::move(own);
      } else {
        image_bytes_ += (region.bytes() + 2 * kGuardBytes - 1) / kGuardBytes * kGuardBytes;
      }
      placed_.push_back(std::move(placed));
    });
    CHORUS_RETURN_IF_ERROR(status);
    const int64_t wanted = std::max(image_bytes_, kPieceBytes);
    if (memory_.bytes() >= wanted) return absl::OkStatus();
    CHORUS_ASSIGN_OR_RETURN(memory_, device_->Allocate(2 * wanted));
    CHORUS_ASSIGN_OR_RETURN(image_, device_->AllocatePinned(2 * wanted));
    return absl::OkStatus();
  }

  absl::Status Upload() {
    for (const Placed& placed : placed_) {
      if (placed.memory.data() == nullptr) continue;
      CHORUS_RETURN_IF_ERROR(stream_->Fill(placed.memory.data(), 0, placed.region->bytes()));
      for (const Piece& piece : TouchedPieces(*placed.region)) {
        std::memcpy(image_.data(), placed.region->data() + piece.begin, Size(piece.bytes));
        CHORUS_RETURN_IF_ERROR(
            stream_->CopyToDevice(placed.memory.data() + piece.begin, image_.data(), piece.bytes));
        CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
      }
    }
    std::memset(image_.data(), kPoison, Size(image_bytes_));
    for (const Placed& placed : placed_) {
      if (placed.memory.data() != nullptr) continue;
      std::memcpy(image_.data() + placed.offset, placed.region->data(),
                  Size(placed.region->bytes()));
    }
    return stream_->CopyToDevice(memory_.data(), image_.data(), image_bytes_);
  }

  absl::Status Download() {
    CHORUS_RETURN_IF_ERROR(stream_->CopyToHost(image_.data(), memory_.data(), image_bytes_));
    CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
    int64_t end = 0;  // of the small buffer before
    for (const Placed& placed : placed_) {
      if (placed.memory.data() != nullptr) continue;
      CHORUS_RETURN_IF_ERROR(CheckGuard(end, placed.offset));
      end = placed.offset + placed.region->bytes();
      CHORUS_RETURN_IF_ERROR(TakeBack(*placed.region, image_.data() + placed.offset));
    }
    CHORUS_RETURN_IF_ERROR(CheckGuard(end, image_bytes_));
    for (const Placed& placed : placed_) {
      if (placed.memory.data() == nullptr || placed.region->use() == SimtUse::kReadOnly) continue;
      for (const Piece& piece : TouchedPieces(*placed.region)) {
        CHORUS_RETURN_IF_ERROR(
            stream_->CopyToHost(image_.data(), placed.memory.data() + piece.begin, piece.bytes));
        CHORUS_RETURN_IF_ERROR(stream_->Synchronize());
        std::memcpy(placed.region->data() + piece.begin, image_.data(), Size(piece.bytes));
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckGuard(int64_t begin, int64_t end) const {
    const auto* const bytes = reinterpret_cast<const unsigned char*>(image_.data());
    for (int64_t i = begin; i < end; ++i) {
      if (bytes[i] != kPoison) return absl::InternalError("memory between buffers was written");
    }
    return absl::OkStatus();
  }

  static absl::Status TakeBack(const SimtRegion& region, const std::byte* from) {
    if (region.use() != SimtUse::kReadOnly) {
      std::memcpy(region.data(), from, Size(region.bytes()));
    } else if (std::memcmp(region.data(), from, Size(region.bytes())) != 0) {
      return absl::InternalError(absl::StrCat(region.name(), " was written, and is read only"));
    }
    return absl::OkStatus();
  }

  // The struct with the device's addresses in place of the host's. Pointers are words of it, and no
  // count is an address of a buffer.
  std::vector<uint64_t> Translated(const void* params, int32_t bytes) const {
    std::vector<uint64_t> words(Size(bytes + 7) / 8);
    std::memcpy(words.data(), params, Size(bytes));
    for (uint64_t& word : words) {
      for (const Placed& placed : placed_) {
        const uint64_t at = word - reinterpret_cast<uint64_t>(placed.region->data());
        if (at >= static_cast<uint64_t>(placed.region->bytes())) continue;
        word = reinterpret_cast<uint64_t>(Address(placed)) + at;
        break;
      }
    }
    return words;
  }

  static size_t Size(int64_t bytes) { return static_cast<size_t>(bytes); }

  absl::Status status_;
  std::unique_ptr<kernels::Device> device_;
  int64_t large_bytes_ = 0;
  std::unique_ptr<kernels::DeviceStream> stream_;
  kernels::DeviceBuffer memory_, image_;  // on the device, and its like in pinned memory
  int64_t image_bytes_ = 0;
  std::vector<Placed> placed_;
};

}  // namespace

std::string WhyNoOpDevice() {
  const absl::Status& status = OnDevice::Get().status();
  return absl::IsNotFound(status) ? std::string(status.message()) : "";
}

int64_t OpDeviceBytes() { return OnDevice::Get().bytes(); }

std::string RunOpBytes(const kernels::Kernel& kernel, int32_t blocks, int32_t shared_bytes,
                       const void* params, OpLaunch launch, kernels::SimtMemory& memory,
                       const kernels::SimtOptions& /*options*/) {
  OnDevice& device = OnDevice::Get();
  absl::Status status = device.status();
  if (status.ok()) status = device.Run(kernel, blocks, shared_bytes, params, launch, memory);
  return std::string(status.message());
}

void ExpectEverySiteIsMissed(
    const std::function<std::string(const kernels::SimtOptions& options)>& run, size_t /*sites*/) {
  EXPECT_EQ(run({}), "");
}

}  // namespace chorus::test
