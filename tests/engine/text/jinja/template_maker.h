// Random templates: valid, nearly valid and none at all. The same seed makes the same template.
#ifndef CHORUS_TESTS_ENGINE_TEXT_JINJA_TEMPLATE_MAKER_H_
#define CHORUS_TESTS_ENGINE_TEXT_JINJA_TEMPLATE_MAKER_H_

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace chorus::jinja {

class TemplateMaker {
 public:
  // `seeds`: templates to take apart.
  TemplateMaker(uint64_t seed, std::vector<std::string> seeds)
      : random_(seed), seeds_(std::move(seeds)) {}

  std::string Bytes();    // any bytes
  std::string Soup();     // the language's own tokens in any order
  std::string Mutant();   // a seed with pieces cut, doubled, swapped or put in from another
  std::string Written();  // statements that parse, over values that do not always fit

 private:
  size_t Below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }
  template <size_t n>
  std::string Pick(const char* const (&texts)[n]) {
    return texts[Below(n)];
  }
  std::string Expression(int depth);
  std::string Statement(int depth);
  std::string Body(int depth);

  std::mt19937_64 random_;
  std::vector<std::string> seeds_;
};

}  // namespace chorus::jinja

#endif  // CHORUS_TESTS_ENGINE_TEXT_JINJA_TEMPLATE_MAKER_H_
