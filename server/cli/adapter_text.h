// Adapters in words, in tables and in JSON.
#ifndef CHORUS_SERVER_CLI_ADAPTER_TEXT_H_
#define CHORUS_SERVER_CLI_ADAPTER_TEXT_H_

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "chorus/v1/adapters.pb.h"

namespace chorus::cli {

// "pirate version 2, sha256:0f3a…": one line without its newline.
std::string AdapterLine(const v1::Adapter& adapter);
// All of it, a line for each thing.
std::string AdapterText(const v1::Adapter& adapter);
std::string AdapterTable(const std::vector<v1::Adapter>& adapters);
nlohmann::ordered_json AdapterJson(const v1::Adapter& adapter);

// "sha256:" and the first twelve digits: enough to tell adapters apart.
std::string ShortDigest(const std::string& digest);

}  // namespace chorus::cli

#endif  // CHORUS_SERVER_CLI_ADAPTER_TEXT_H_
