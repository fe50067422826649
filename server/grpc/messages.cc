#include "server/grpc/messages.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "chorus/v1/error.pb.h"
#include "engine/refusal.h"
#include "engine/text/utf8.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "grpcpp/support/proto_buffer_reader.h"
#include "grpcpp/support/slice.h"
#include "kernels/check.h"

namespace chorus::server {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr int kMaxDepth = 100;  // protobuf's own

// Walks the wire format by the descriptor to the first string that is not UTF-8: "chat.role".
std::optional<std::string> FindBadString(const std::string& bytes, const Descriptor& type,
                                         int depth) {
  CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                      static_cast<int>(bytes.size()));
  while (const uint32_t tag = in.ReadTag()) {
    if (WireFormatLite::GetTagWireType(tag) != WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      if (!WireFormatLite::SkipField(&in, tag)) return std::nullopt;
      continue;
    }
    uint32_t length = 0;
    std::string content;
    if (!in.ReadVarint32(&length) || !in.ReadString(&content, static_cast<int>(length))) {
      return std::nullopt;
    }
    const FieldDescriptor* const field =
        type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    if (field == nullptr) continue;
    if (field->type() == FieldDescriptor::TYPE_STRING &&
        engine::FindInvalidUtf8(content) != std::string::npos) {
      return field->name();
    }
    if (field->type() == FieldDescriptor::TYPE_MESSAGE && depth < kMaxDepth) {
      if (const auto inner = FindBadString(content, *field->message_type(), depth + 1)) {
        return absl::StrCat(field->name(), ".", *inner);
      }
    }
  }
  return std::nullopt;
}

std::string Flatten(const grpc::ByteBuffer& bytes) {
  std::vector<grpc::Slice> slices;
  std::string flat;
  if (!bytes.Dump(&slices).ok()) return flat;
  for (const grpc::Slice& slice : slices) {
    flat.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return flat;
}

}  // namespace

absl::Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  grpc::ByteBuffer copy = bytes;  // the reader consumes what it is given
  if (copy.Valid()) {
    grpc::ProtoBufferReader reader(&copy);
    if (reader.status().ok() && message->ParseFromZeroCopyStream(&reader)) return absl::OkStatus();
  }
  const Descriptor& type = *message->GetDescriptor();
  if (const auto field = FindBadString(Flatten(bytes), type, 0)) {
    return engine::Refuse(engine::Reason::kInvalidUtf8, *field, "UTF-8", "other bytes");
  }
  return engine::Refuse(engine::Reason::kMalformedMessage, "message",
                        absl::StrCat("a ", type.full_name()),
                        absl::StrCat(bytes.Length(), " bytes that are none"));
}

grpc::ByteBuffer SerializeMessage(const google::protobuf::Message& message) {
  const size_t size = message.ByteSizeLong();
  const grpc::Slice slice(size);
  uint8_t* const begin = const_cast<uint8_t*>(slice.begin());
  const uint8_t* const end = message.SerializeWithCachedSizesToArray(begin);
  CHORUS_CHECK_EQ(static_cast<size_t>(end - begin), size);
  return grpc::ByteBuffer(&slice, 1);
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message(status.message());
  const std::optional<engine::Refusal> refusal = engine::RefusalOf(status);
  if (!refusal.has_value()) return grpc::Status(code, message);
  v1::ErrorDetail detail;
  detail.set_reason(static_cast<v1::ErrorDetail::Reason>(refusal->reason));
  detail.set_object(refusal->object);
  detail.set_expected(refusal->expected);
  detail.set_got(refusal->got);
  detail.set_retry_after_ms(refusal->retry_after_ms);
  v1::Status details;
  details.set_code(code);
  details.set_message(message);
  v1::PackedDetail* const packed = details.add_details();
  packed->set_type_url("type.googleapis.com/chorus.v1.ErrorDetail");
  packed->set_value(detail.SerializeAsString());
  return grpc::Status(code, message, details.SerializeAsString());
}

}  // namespace chorus::server
