#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/calls/argument_text.h"
#include "storage/base/assert.h"
#include "tests/support/parsed_reply.h"
#include "tests/unit/text/calls/families.h"
#include "tests/unit/text/calls/offered_tools.h"

namespace {

using namespace kvasir;

std::vector<ReplyFormat> formats() {
  std::vector<ReplyFormat> all{default_reply_format()};
  for (const testing::FamilyCase& family : testing::kFamilies) {
    const auto compiled = ChatTemplate::compile(family.source);
    KVASIR_ASSERT(compiled.ok());
    all.push_back(detect_reply_format(**compiled, family.source, "<s>", "</s>"));
    all.back().reasoning_open = "<think>";
    all.back().reasoning_close = "</think>";
  }
  CallNotation bare;
  bare.bare = true;
  all.push_back(default_reply_format());
  all.back().calls = {bare};
  return all;
}

}  // namespace

// Any reply in any format: nothing is lost, calls are JSON objects of offered tools, and cuts make no difference. The
// first bytes choose the format and the cuts.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<ReplyFormat> all = formats();
  static const std::shared_ptr<const ToolSchemas> tools = testing::offered_tools();
  if (size < 3 || size > 65536) return 0;
  const ReplyFormat& format = all[data[0] % all.size()];
  const bool in_reasoning = (data[1] & 1) != 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 3, size - 3);
  const ReplyParser parser(format, (data[1] & 2) != 0 ? nullptr : tools, in_reasoning);
  const testing::ParsedReply whole = testing::parse_cut(parser, text, {});
  KVASIR_ASSERT(whole.all == text);
  for (const auto& [name, arguments] : whole.calls) KVASIR_ASSERT(tools->offers(name) && is_json(arguments, '{'));
  KVASIR_ASSERT(testing::parse_cut(parser, text, testing::random_cuts(text.size(), data[2], 1 + data[1] / 8)) == whole);
  KVASIR_ASSERT(testing::parse_cut(parser, text, {text.size() * data[2] / 256}) == whole);
  for (const ValueType type : {ValueType::unknown, ValueType::data, ValueType::nullable, ValueType::text})
    KVASIR_ASSERT(is_json(value_as_json(text, type)));
  return 0;
}
