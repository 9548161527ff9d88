#pragma once

#include <memory>

#include "gateway/api/answer_format.h"

namespace kvasir {

std::unique_ptr<AnswerFormat> make_chat_format();         // chat.completion and chat.completion.chunk
std::unique_ptr<AnswerFormat> make_completions_format();  // text_completion

}  // namespace kvasir
