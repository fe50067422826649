// Descriptor: owns a file descriptor.
#ifndef CHORUS_SERVER_GRPC_DESCRIPTOR_H_
#define CHORUS_SERVER_GRPC_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace chorus::server {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(other.Release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = other.Release();
    }
    return *this;
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Close() {
    if (fd_ >= 0) close(Release());
  }

 private:
  int fd_ = -1;
};

}  // namespace chorus::server

#endif  // CHORUS_SERVER_GRPC_DESCRIPTOR_H_
