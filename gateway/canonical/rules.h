#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "config/schema.h"
#include "engine/text/template_features.h"
#include "gateway/api/conversation.h"
#include "gateway/call_memory.h"
#include "gateway/canonical/report.h"

namespace kvasir {

// What rules may know besides the conversation.
struct RuleContext {
  const TemplateFeatures* features = nullptr;  // of the model's template; null: unknown
  CallMemory* calls = nullptr;                 // null: arguments in the history count as sent
  Salt salt = {};                              // whose calls
};

// A rule brings a conversation to the form that all conversations with the same meaning have, so that they share their
// prefix in the cache. Each is a pure function of the conversation and the context, in its own file; applied twice it
// changes nothing more; it never changes the order of messages, what a model wrote, or the order of an array but where
// that is its very purpose.
using RuleFunction = void (*)(Conversation& conversation, const RuleContext& context, RuleChanges& changes);

struct Rule {
  std::string_view name;  // of the key in `namespaces[].canonical`
  std::uint32_t version;  // counts up whenever the rule writes something else than before
  std::string CanonicalConfig::*mode;
  RuleFunction apply;
};

// All rules, in the order in which they are applied.
std::span<const Rule> canonical_rules();

// ---- on by default: they cannot change what the model understands ----

// Lines that clients put in front of a system message for their own book-keeping and that differ from request to
// request ("x-anthropic-billing-header: ..."); a message of nothing else goes.
void drop_client_headers(Conversation& conversation, const RuleContext& context, RuleChanges& changes);
// Text is one text, whether it was sent as a string or as parts (joined by line feeds).
void text_form(Conversation& conversation, const RuleContext& context, RuleChanges& changes);
// Marks for caches ("cache_control") on tools and calls are no part of what is said to the model. On messages and on
// parts they are not even read.
void strip_cache_markers(Conversation& conversation, const RuleContext& context, RuleChanges& changes);
// A tool's own members in one order: type, function; in it name, description, parameters, strict; then others by name.
// The JSON's white space never counts: templates print tools with separators of their own.
void tool_layout(Conversation& conversation, const RuleContext& context, RuleChanges& changes);
// Members of every object in a tool's schema by name; arrays (enum, required, oneOf) keep their order.
void sort_schema_keys(Conversation& conversation, const RuleContext& context, RuleChanges& changes);
// The arguments of earlier tool calls byte for byte as their model wrote them, however the client sends them back.
void keep_call_arguments(Conversation& conversation, const RuleContext& context, RuleChanges& changes);
// A system message behind the first turn stays where it is: where the template would refuse, drop or hoist it, it is a
// user's turn in place (of one piece with the user's turns beside it where turns must alternate).
void system_in_place(Conversation& conversation, const RuleContext& context, RuleChanges& changes);

// ---- off by default: they change what the model reads ----

// CR LF becomes LF in everything but what the model wrote.
void line_endings(Conversation& conversation, const RuleContext& context, RuleChanges& changes);
// Unicode's form NFC in everything but what the model wrote.
void nfc(Conversation& conversation, const RuleContext& context, RuleChanges& changes);
// In the head (system messages before the first turn, descriptions of tools) the time of day goes, the day stays.
void round_clock(Conversation& conversation, const RuleContext& context, RuleChanges& changes);
// What is volatile in the head (volatile_spans.h) is named there ("[time 1]") and told at the end of the newest turn of
// the user (or result of a tool): the head stays the same from request to request. It is the end, not the front: in the
// next request this turn comes without the values, and what stands before them is still in the cache.
void move_volatile(Conversation& conversation, const RuleContext& context, RuleChanges& changes);
// Tools by name.
void sort_tools(Conversation& conversation, const RuleContext& context, RuleChanges& changes);

}  // namespace kvasir
