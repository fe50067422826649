// chorus adapters … against a server that answers by script.
#include <openssl/sha.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "server/cli/progress_bar.h"
#include "server/cli/upload.h"
#include "tests/server/cli/fake_server.h"
#include "tests/server/cli/test_console.h"

namespace chorus::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

namespace fs = std::filesystem;

std::string Sha256(const std::string& bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), sizeof(digest)));
}

class AdaptersTest : public ::testing::Test {
 protected:
  AdaptersTest()
      : directory_(fs::path(::testing::TempDir()) /
                   absl::StrCat("chorus_adapters_test_", getpid())) {
    fs::create_directories(directory_);
  }
  ~AdaptersTest() override { fs::remove_all(directory_); }

  ExitCode Adapters(const std::string& command, Args args) {
    args.insert(args.begin(), {"adapters", command, "--server", server_.address()});
    return console_.Run(args);
  }
  void WriteFile(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_ / name, std::ios::binary) << bytes;
  }
  v1::Adapter* AddAdapter(const std::string& name) {
    v1::Adapter& adapter = server_.adapters.adapters.emplace_back();
    adapter.set_name(name);
    adapter.set_version(2);
    adapter.set_digest("sha256:0123456789abcdef");
    adapter.set_state(v1::Adapter::READY);
    adapter.set_residency(v1::Adapter::RESIDENT);
    adapter.set_config_bytes(500);
    adapter.set_tensor_bytes(1000500);
    adapter.set_max_rank(8);
    adapter.set_pages(1234);
    adapter.add_modules("q_proj");
    adapter.add_modules("v_proj");
    adapter.mutable_created()->set_seconds(1764172800);
    return &adapter;
  }

  FakeServer server_;
  TestConsole console_;
  const fs::path directory_;
};

TEST_F(AdaptersTest, UploadSendsBothFilesInPiecesWithTheirDigests) {
  const std::string config = R"({"peft_type": "LORA"})";
  std::string tensors(2 * kUploadPiece + 12345, '\0');
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i] = static_cast<char>(i * 31 + i / 1000);
  WriteFile("adapter_config.json", config);
  WriteFile("adapter_model.safetensors", tensors);
  server_.adapters.upload_warnings = {"base_model_name_or_path is another"};
  EXPECT_EQ(Adapters("upload", {"pirate", directory_.string(), "--if-version", "0"}),
            ExitCode::kOk);
  const FakeUpload upload = server_.adapters.upload();
  EXPECT_EQ(upload.begin.name(), "pirate");
  EXPECT_EQ(upload.begin.config_bytes(), config.size());
  EXPECT_EQ(upload.begin.tensor_bytes(), tensors.size());
  EXPECT_EQ(upload.begin.config_sha256(), Sha256(config));
  EXPECT_EQ(upload.begin.tensor_sha256(), Sha256(tensors));
  EXPECT_TRUE(upload.begin.has_if_version());
  EXPECT_EQ(upload.begin.if_version(), 0);
  EXPECT_EQ(upload.config, config);
  EXPECT_TRUE(upload.tensors == tensors);
  EXPECT_EQ(upload.largest_message, size_t{1} << 20);
  EXPECT_EQ(console_.out.text(), "pirate version 3, sha256:" + std::string(64, 'a') + "\n");
  EXPECT_EQ(console_.err.text(), "  warning: base_model_name_or_path is another\n");
}

TEST_F(AdaptersTest, UploadDrawsABarOnATerminalAndWipesIt) {
  WriteFile("adapter_config.json", "{}");
  WriteFile("adapter_model.safetensors", std::string(1000, 'x'));
  console_.err.BecomeTerminal(80, 24);
  ASSERT_EQ(Adapters("upload", {"pirate", directory_.string()}), ExitCode::kOk);
  EXPECT_FALSE(server_.adapters.upload().begin.has_if_version());
  EXPECT_THAT(console_.err.text(), HasSubstr("█  1.00 kB of 1.00 kB"));
  EXPECT_THAT(console_.err.text(), ::testing::EndsWith("\r\x1b[K"));
}

TEST_F(AdaptersTest, UploadShowsAnEarlyRefusal) {
  WriteFile("adapter_config.json", "{}");
  WriteFile("adapter_model.safetensors", std::string(50 * kUploadPiece, 'x'));
  server_.adapters.upload_refusal = Refusal(
      grpc::StatusCode::INVALID_ARGUMENT, "q_proj.lora_A: expected …, got …",
      Detail(v1::ErrorDetail::ADAPTER_TENSOR_SHAPE, "q_proj.lora_A", "[16, 4096]", "[16, 4095]"));
  EXPECT_EQ(Adapters("upload", {"pirate", directory_.string()}), ExitCode::kRefused);
  EXPECT_EQ(console_.err.text(),
            "chorus: refused: q_proj.lora_A\n"
            "  expected  [16, 4096]\n"
            "  got       [16, 4095]\n"
            "  reason    ADAPTER_TENSOR_SHAPE (INVALID_ARGUMENT)\n");
  EXPECT_EQ(console_.out.text(), "");
}

TEST_F(AdaptersTest, UploadOfAnotherFormSaysWhatIsWanted) {
  EXPECT_EQ(Adapters("upload", {"pirate", directory_.string()}), ExitCode::kUsage);
  EXPECT_THAT(console_.err.text(), HasSubstr("adapter_config.json: No such file"));
  WriteFile("adapter_config.json", "{}");
  WriteFile("adapter_model.bin", "pickle");
  EXPECT_EQ(Adapters("upload", {"pirate", directory_.string()}), ExitCode::kUsage);
  EXPECT_THAT(console_.err.text(), HasSubstr("safe_serialization=True"));
}

TEST(ProgressLineTest, SaysHowMuchHowFastHowLong) {
  EXPECT_EQ(ProgressLine("bert", 25'000'000, 100'000'000, absl::Seconds(2), 100),
            "bert  ███████▌                        25.0 MB of 100 MB  12.5 MB/s  6.00 s left");
  EXPECT_EQ(ProgressLine("bert", 0, 100, absl::ZeroDuration(), 100),
            "bert                                  0 B of 100 B");
  EXPECT_EQ(ProgressLine("bert", 100, 100, absl::Seconds(1), 20), "bert  █████████████…");
}

TEST_F(AdaptersTest, ListShowsEveryPageInATable) {
  AddAdapter("bard")->add_alora_invocation_tokens(5);
  AddAdapter("pirate")->set_pinned(true);
  AddAdapter("robot")->set_residency(v1::Adapter::DISK);
  server_.adapters.list_page = 2;
  EXPECT_EQ(Adapters("list", {}), ExitCode::kOk);
  EXPECT_EQ(server_.adapters.list_calls(), 2);
  EXPECT_EQ(console_.out.text(),
            "NAME    VERSION  KIND   RANK     SIZE  PAGES  STATE  WHERE                "
            "CREATED (UTC)        DIGEST\n"
            "bard          2  aLoRA     8  1.00 MB  1,234  ready  in the pool          "
            "2025-11-26 16:00:00  sha256:0123456789ab\n"
            "pirate        2  LoRA      8  1.00 MB  1,234  ready  in the pool, pinned  "
            "2025-11-26 16:00:00  sha256:0123456789ab\n"
            "robot         2  LoRA      8  1.00 MB  1,234  ready  on disk              "
            "2025-11-26 16:00:00  sha256:0123456789ab\n");
}

TEST_F(AdaptersTest, ListAsJsonHasAnAdapterALine) {
  v1::Adapter* const first = AddAdapter("bard");
  first->add_warnings("w");
  first->add_alora_invocation_tokens(5);
  first->add_alora_invocation_tokens(9);
  AddAdapter("pirate");
  EXPECT_EQ(Adapters("list", {"--json"}), ExitCode::kOk);
  const std::vector<std::string> lines =
      absl::StrSplit(console_.out.text(), '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u);
  const auto bard = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(bard["name"], "bard");
  EXPECT_EQ(bard["version"], 2);
  EXPECT_EQ(bard["digest"], "sha256:0123456789abcdef");
  EXPECT_EQ(bard["residency"], "RESIDENT");
  EXPECT_EQ(bard["modules"], nlohmann::json({"q_proj", "v_proj"}));
  EXPECT_EQ(bard["warnings"], nlohmann::json({"w"}));
  EXPECT_EQ(bard["alora_invocation_tokens"], nlohmann::json({5, 9}));
  EXPECT_EQ(bard["created"], "2025-11-26T16:00:00+00:00");
}

TEST_F(AdaptersTest, AnEmptyListSaysHowToGoOn) {
  EXPECT_EQ(Adapters("list", {}), ExitCode::kOk);
  EXPECT_EQ(console_.out.text(), "");
  EXPECT_THAT(console_.err.text(), HasSubstr("chorus adapters upload NAME DIR"));
}

TEST_F(AdaptersTest, GetShowsOneAdapter) {
  AddAdapter("bard")->add_warnings("made for another base");
  EXPECT_EQ(Adapters("get", {"bard"}), ExitCode::kOk);
  EXPECT_EQ(console_.out.text(),
            "name      bard\n"
            "version   2\n"
            "digest    sha256:0123456789abcdef\n"
            "state     ready, in the pool\n"
            "rank      up to 8 over q_proj, v_proj\n"
            "size      1.00 MB stored, 1,234 pages of the pool\n"
            "created   2025-11-26 16:00:00 UTC\n"
            "warning   made for another base\n");
  v1::Adapter* const later = AddAdapter("later");
  later->add_alora_invocation_tokens(5);
  later->add_alora_invocation_tokens(9);
  EXPECT_EQ(Adapters("get", {"later"}), ExitCode::kOk);
  EXPECT_THAT(console_.out.text(), HasSubstr("\nactive    from tokens 5 9 on (aLoRA)\nsize  "));
  EXPECT_EQ(Adapters("get", {"nobody"}), ExitCode::kRefused);
}

TEST_F(AdaptersTest, DeleteAndPinSendWhatTheyWereTold) {
  EXPECT_EQ(Adapters("delete", {"bard", "--if-version", "7"}), ExitCode::kOk);
  EXPECT_EQ(server_.adapters.delete_request().name(), "bard");
  EXPECT_EQ(server_.adapters.delete_request().if_version(), 7);
  EXPECT_THAT(console_.out.text(), HasSubstr("deleted bard"));
  EXPECT_EQ(Adapters("pin", {"bard"}), ExitCode::kOk);
  EXPECT_TRUE(server_.adapters.pin_request().pinned());
  EXPECT_THAT(console_.out.text(), HasSubstr("\npinned bard version 4"));
  EXPECT_EQ(Adapters("unpin", {"bard"}), ExitCode::kOk);
  EXPECT_FALSE(server_.adapters.pin_request().pinned());
  EXPECT_THAT(console_.out.text(), HasSubstr("\nunpinned bard version 4"));
}

TEST_F(AdaptersTest, AnotherVersionIsARefusalWithBothVersions) {
  server_.adapters.delete_status = Refusal(
      grpc::StatusCode::ABORTED, "…",
      Detail(v1::ErrorDetail::VERSION_MISMATCH, "adapter \"bard\"", "version 7", "version 9"));
  EXPECT_EQ(Adapters("delete", {"bard", "--if-version", "7"}), ExitCode::kRefused);
  EXPECT_EQ(console_.err.text(),
            "chorus: refused: adapter \"bard\"\n"
            "  expected  version 7\n"
            "  got       version 9\n"
            "  reason    VERSION_MISMATCH (ABORTED)\n"
            "  hint      chorus adapters get NAME shows the version\n");
}

}  // namespace
}  // namespace chorus::cli
