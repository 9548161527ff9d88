#pragma once

#include <string_view>

#include "engine/text/template_features.h"
#include "engine/text/value.h"
#include "gateway/api/conversation.h"

namespace kvasir {

// The variables a chat template sees: the conversation in the form that `features` say it understands. Where a template
// takes a conversation as it came, it gets it as it came. What is changed for the others: content as a string or as a
// list of parts, null beside calls as "", arguments as an object or as text, ids of calls where only some lengths are
// taken (the same id always becomes the same other), the name of the tool in its result, the field of the reasoning,
// the variable of the tools, and reasoning_effort "none" where thinking has a switch.
Value template_variables(const Conversation& conversation, const TemplateFeatures& features, std::string_view bos_text,
                         std::string_view eos_text);

}  // namespace kvasir
