// What --help prints: every flag in its group, with range and default, in 100 columns.
#ifndef CHORUS_SERVER_CONFIG_HELP_TEXT_H_
#define CHORUS_SERVER_CONFIG_HELP_TEXT_H_

#include <string>

namespace chorus::server {

std::string HelpText();

}  // namespace chorus::server

#endif  // CHORUS_SERVER_CONFIG_HELP_TEXT_H_
