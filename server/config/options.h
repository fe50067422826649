// The table of everything that can be configured: one row for each field of chorus.v1.Config, from
// which flags, file, --help, --check-config and the checks of ranges are all made. Values pass
// through here as text, as the command line has them.
#ifndef CHORUS_SERVER_CONFIG_OPTIONS_H_
#define CHORUS_SERVER_CONFIG_OPTIONS_H_

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/config/server_config.h"

namespace chorus::server {

struct Option {
  std::string name;      // of the field in chorus.v1.Config: "max_running"
  std::string group;     // heading in --help
  std::string value;     // what --help writes for it: "N"; empty for true or false
  std::string help;      // one sentence, or two
  std::string range;     // "1 to 4096"; may be empty
  std::string expected;  // "an integer from 1 to 4096"
  std::string fallback;  // the default in words, where print shows none of ServerConfig{}

  // The field as text; empty: unset.
  std::function<std::string(const ServerConfig&)> print;
  // False, and nothing is changed, for what is no value of the field's type.
  std::function<bool(const std::string&, ServerConfig*)> parse;
  std::function<bool(const ServerConfig&)> in_range;

  std::string flag() const;  // "--max-running"
  bool is_switch() const { return value.empty(); }
  std::string default_text() const;
};

// The group of what only benches set: answers may be wrong or slow.
inline constexpr std::string_view kExperiments = "Experiments";

// All of them, in the order of the proto.
std::span<const Option> AllOptions();

// By field ("max_running") or by flag without its dashes ("max-running"); null for none.
const Option* FindOption(std::string_view name);

// "--flag=value" of each experiment that is not at its default.
std::vector<std::string> ActiveExperiments(const ServerConfig& config);

}  // namespace chorus::server

#endif  // CHORUS_SERVER_CONFIG_OPTIONS_H_
