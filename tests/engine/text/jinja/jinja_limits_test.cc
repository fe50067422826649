// Templates made to exhaust the process end in a refusal, under the limits that the server uses and
// on a thread with an ordinary stack.
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/text/jinja/jinja.h"
#include "gtest/gtest.h"

namespace chorus::jinja {
namespace {

std::string Repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

absl::Status Outcome(const std::string& source, const Limits& limits = {}) {
  const auto parsed = Template::Parse(source, limits);
  if (!parsed.ok()) return parsed.status();
  const Json context = {{"n", 1000000}, {"text", "abc"}, {"items", {1, 2, 3}}};
  return parsed->Render(context, {.now = [] { return absl::UnixEpoch(); }}).status();
}

class JinjaParseLimitsTest : public testing::TestWithParam<std::string> {};

TEST_P(JinjaParseLimitsTest, RefusesToParse) {
  const absl::Status status = Outcome(GetParam());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
}

INSTANTIATE_TEST_SUITE_P(
    Deep, JinjaParseLimitsTest,
    testing::Values(
        "{{ " + Repeated("(", 100'000), "{{ " + Repeated("[", 100'000),
        "{{ " + Repeated("{'a':", 100'000), "{{ " + Repeated("-", 100'000) + "1 }}",
        "{{ " + Repeated("not ", 100'000) + "1 }}", "{{ 1" + Repeated(" + 1", 100'000) + " }}",
        "{{ 1" + Repeated(" if 1 else 1", 100'000) + " }}",
        "{{ n" + Repeated(" ** 1", 100'000) + " }}", "{{ n" + Repeated(".a", 100'000) + " }}",
        "{{ n" + Repeated("[0]", 100'000) + " }}", "{{ n" + Repeated("()", 100'000) + " }}",
        "{{ n" + Repeated("|upper", 100'000) + " }}", "{{ f(" + Repeated("f(", 100'000),
        Repeated("{% if 1 %}", 100'000), Repeated("{% for i in n %}", 100'000),
        Repeated("{% filter upper %}", 100'000), Repeated("{% macro m() %}", 100'000),
        "{% set " + Repeated("(", 100'000), "{% for " + Repeated("(", 100'000),
        Repeated("x", (4 << 20) + 1)));

class JinjaRunLimitsTest : public testing::TestWithParam<const char*> {};

TEST_P(JinjaRunLimitsTest, RefusesToGoOn) {
  const absl::Status status = Outcome(GetParam());
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(std::string(status.message()).substr(0, 5), "line ") << status;
}

INSTANTIATE_TEST_SUITE_P(
    Endless, JinjaRunLimitsTest,
    testing::Values(
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(a) %}{{ a | map('string') | join ~ m(a) }}{% endmacro %}{{ m(items) }}",
        "{% macro m() %}{% for i in items %}{% set x %}{{ m() }}{% endset %}{% endfor %}"
        "{% endmacro %}{{ m() }}",
        "{% macro m() %}{% call m() %}{% filter upper %}{{ caller() }}{% endfilter %}{% endcall %}"
        "{% endmacro %}{{ m() }}",
        "{% macro a(f) %}{{ [f] | map('default', f(f)) | list }}{% endmacro %}{{ a(a) }}",
        "{{ 'a' * 10000000000 }}", "{{ [1] * 10000000000 }}", "{{ ('a' * n * n) | length }}",
        "{{ 'x' * 9223372036854775807 }}", "{{ [[]] * 9223372036854775807 }}",
        "{% set ns = namespace(t='a') %}{% for i in range(64) %}{% set ns.t = ns.t ~ ns.t %}"
        "{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(64) %}{% set ns.l = ns.l + ns.l %}"
        "{% endfor %}",
        // Lists in lists: deep, and wide where they share their parts.
        "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = [ns.l] %}{% endfor "
        "%}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(150) %}{% set ns.l = [ns.l, ns.l] %}"
        "{% endfor %}{{ ns.l }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(150) %}{% set ns.l = [ns.l, ns.l] %}"
        "{% endfor %}{{ ns.l | tojson | length }}",
        "{% set ns = namespace(l=[1], k=[1]) %}{% for i in range(150) %}{% set ns.l = [ns.l, ns.l] "
        "%}"
        "{% set ns.k = [ns.k, ns.k] %}{% endfor %}{{ ns.l == ns.k }}",
        "{% set ns = namespace(l=[1], k=[1]) %}{% for i in range(150) %}{% set ns.l = [ns.l, ns.l] "
        "%}"
        "{% set ns.k = [ns.k, ns.k] %}{% endfor %}{{ ns.l < ns.k }}",
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}",
        "{% set a = namespace() %}{% set b = namespace(a=a) %}{% set a.b = b %}{{ a | tojson }}",
        "{% for i in range(100000) %}{{ text * 1000 }}{% endfor %}", "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (n * 1000, 1) }}", "{{ '%.2000f' % 1 }}", "{{ '{:99999999999}'.format(1) }}",
        "{{ '{:.9999}'.format(1.5) }}", "{{ text.center(n * n) }}", "{{ text.zfill(n * n) }}",
        "{{ text | indent(n * n) }}", "{{ '\t\t'.expandtabs(n * n) }}",
        "{{ text | center(n * n) }}", "{{ (('a' * n).replace('', 'a' * n)) | length }}",
        "{{ ('a' * n) | replace('a', 'b' * n) }}", "{{ range(100000) | join('a' * n) | length }}",
        "{{ ('a' * n).join('b' * n) | length }}", "{{ items | batch(n * n * n, 0) | list }}",
        "{{ items | slice(n * n) | list }}", "{{ items | sum(start=9223372036854775807) }}",
        "{{ 9223372036854775807 + 1 }}", "{{ 10 ** 19 }}", "{{ -9223372036854775808 }}",
        "{{ n * n * n * n }}", "{{ range(n) }}", "{{ [n] | tojson(indent=n) }}",
        "{{ 1 | round(n) | round(-n) + 1 / 0 }}"));

TEST(JinjaLimitsTest, CountsSteps) {
  const std::string loop = "{% for i in range(1000) %}{{ i }}{% endfor %}";
  EXPECT_TRUE(Outcome(loop, {.max_steps = 10'000}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Outcome(loop, {.max_steps = 1000})));
}

TEST(JinjaLimitsTest, CountsOutput) {
  const std::string text = "{{ 'a' * 100 }}";
  EXPECT_TRUE(Outcome(text, {.max_output_bytes = 100}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Outcome(text, {.max_output_bytes = 99})));
}

TEST(JinjaLimitsTest, CountsWhatIsMade) {
  const std::string text = "{% set a = 'a' * 100000 %}{% set b = [1] * 10000 %}";
  EXPECT_TRUE(Outcome(text, {.max_created_bytes = 1'000'000}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Outcome(text, {.max_created_bytes = 200'000})));
}

TEST(JinjaLimitsTest, CountsNestedCalls) {
  const std::string text =
      "{% macro m(k) %}{% if k > 0 %}{{ m(k - 1) }}{% endif %}{% endmacro %}{{ m(20) }}";
  EXPECT_TRUE(Outcome(text, {.max_call_depth = 200}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(Outcome(text, {.max_call_depth = 50})));
}

TEST(JinjaLimitsTest, DeepContextIsRefused) {
  Json deep = 1;
  for (int i = 0; i < 300; ++i) deep = Json::array({deep});
  const auto parsed = Template::Parse("{{ a }}");
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(absl::IsResourceExhausted(parsed->Render({{"a", deep}}, {}).status()));
}

TEST(JinjaLimitsTest, ContextMustBeValidText) {
  const auto parsed = Template::Parse("{{ a }}");
  ASSERT_TRUE(parsed.ok());
  EXPECT_FALSE(parsed->Render({{"a", "\xff"}}, {}).ok());
  EXPECT_FALSE(parsed->Render({{"a", {{"\xc0\x80", 1}}}}, {}).ok());
  EXPECT_FALSE(parsed->Render(Json::array(), {}).ok());
  EXPECT_FALSE(Template::Parse("\xed\xa0\x80").ok());
}

// Rendering recurses on the caller's stack: at the deepest that the limits allow, by the ways that
// take the most of it, it must fit in a thread's.
TEST(JinjaLimitsTest, DeepestRecursionFitsAnOrdinaryStack) {
  for (const char* body :
       {"{{ m() }}", "{% for i in [1] if m() %}{% endfor %}",
        "{{ [m] | map('default', m()) | list }}",
        "{% filter upper %}{% set x %}{% with a = m() %}{% endwith %}{% endset %}{% endfilter %}",
        "{{ ((((((((m())))))))) ~ 1 if 1 else 2 }}", "{{ '{}'.format(m()) | replace('a', m()) }}",
        "{{ caller() if 0 }}{% call m() %}{% if 1 %}{{ m() }}{% endif %}{% endcall %}",
        "{{ {'a': [m()]}['a'][0:m()] }}"}) {
    const std::string source = absl::StrCat("{% macro m() %}", body, "{% endmacro %}{{ m() }}");
    EXPECT_TRUE(absl::IsResourceExhausted(Outcome(source))) << body;
  }
}

}  // namespace
}  // namespace chorus::jinja
