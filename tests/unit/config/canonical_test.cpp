#include <gtest/gtest.h>

#include "config/load.h"

namespace kvasir {
namespace {

TEST(CanonicalConfig, ModesOfANamespaceAndTheirDefaults) {
  const Config config = parse_config(
      "namespaces: [{name: a, canonical: {sort_schema_keys: off, move_volatile: report}}, "
      "{name: b}]\n",
      "test");
  ASSERT_EQ(config.namespaces.size(), 2u);
  EXPECT_EQ(config.namespaces[0].canonical.sort_schema_keys, "off");
  EXPECT_EQ(config.namespaces[0].canonical.move_volatile, "report");
  for (const auto on :
       {&CanonicalConfig::drop_client_headers, &CanonicalConfig::text_form, &CanonicalConfig::strip_cache_markers,
        &CanonicalConfig::tool_layout, &CanonicalConfig::sort_schema_keys, &CanonicalConfig::keep_call_arguments,
        &CanonicalConfig::system_in_place})
    EXPECT_EQ(config.namespaces[1].canonical.*on, "on");
  for (const auto off : {&CanonicalConfig::line_endings, &CanonicalConfig::nfc, &CanonicalConfig::round_clock,
                         &CanonicalConfig::move_volatile, &CanonicalConfig::sort_tools})
    EXPECT_EQ(config.namespaces[1].canonical.*off, "off");
}

std::string refusal_of(const std::string& canonical) {
  try {
    parse_config("namespaces: [{name: a, canonical: " + canonical + "}]\n", "test");
  } catch (const ConfigError& problem) {
    return problem.what();
  }
  return {};
}

TEST(CanonicalConfig, WrongModesAndUnknownRulesAreRefusedByName) {
  EXPECT_NE(refusal_of("{nfc: yes}").find("namespaces[0].canonical.nfc: 'yes' is not known (allowed: off, report, on)"),
            std::string::npos);
  EXPECT_NE(refusal_of("{sort_keys: on}").find("namespaces[0].canonical.sort_keys: unknown key"), std::string::npos);
}

}  // namespace
}  // namespace kvasir
