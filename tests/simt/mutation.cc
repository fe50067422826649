#include "tests/simt/mutation.h"

#include "tests/simt/simt_launch.h"

namespace chorus::kernels {

MutationResult MutateEverySite(const std::function<std::string(const SimtOptions&)>& run,
                               uint32_t seed) {
  MutationResult result;
  std::set<Site> sites;
  for (SimtOptions options : EveryOrder(seed)) {
    options.sites = &sites;
    const std::string failure = run(options);
    if (failure.empty()) continue;
    result.clean_failure = Name(options) + ": " + failure;
    return result;
  }
  if (sites.empty()) result.clean_failure = "the cases came by no site";
  for (const Site& site : sites) {
    std::string failure;
    for (SimtOptions options : EveryOrder(seed)) {
      options.mutated = site;
      failure = run(options);
      if (failure.empty()) continue;
      result.caught.push_back(Name(site) + ", " + Name(options) + ": " + failure);
      break;
    }
    if (failure.empty()) result.survivors.push_back(Name(site));
  }
  return result;
}

}  // namespace chorus::kernels
