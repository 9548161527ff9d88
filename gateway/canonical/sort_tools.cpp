#include <algorithm>
#include <numeric>

#include "gateway/canonical/rules.h"

namespace kvasir {
namespace {

std::string_view name_of(const Value& tool) {
  const Value* function = tool.find("function");
  const Value* name = function ? function->find("name") : nullptr;
  return name && name->as_string() ? std::string_view(*name->as_string()) : std::string_view();
}

}  // namespace

void sort_tools(Conversation& conversation, const RuleContext&, RuleChanges& changes) {
  const Value::Array& tools = conversation.tools;
  std::vector<std::uint32_t> order(tools.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint32_t a, std::uint32_t b) { return name_of(tools[a]) < name_of(tools[b]); });
  Value::Array sorted;
  sorted.reserve(tools.size());
  for (std::uint32_t i = 0; i < order.size(); ++i) {
    sorted.push_back(tools[order[i]]);
    if (order[i] != i) changes.tool(order[i]);
  }
  conversation.tools = std::move(sorted);
}

}  // namespace kvasir
