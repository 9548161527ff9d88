#pragma once

#include <string>
#include <string_view>

namespace kvasir::testing {

// A small chat template in a family's manner. `turn` prints an assistant's message `m`; `prompt` is what opens its
// turn.
inline std::string template_of(std::string_view turn, std::string_view prompt = "<|im_start|>assistant\n",
                               std::string_view end = "<|im_end|>\n") {
  std::string source = "{% for m in messages %}{% if m.role == 'assistant' %}{{ '<|im_start|>assistant\\n' }}";
  source += turn;
  source += "{% else %}{{ '<|im_start|>' + m.role + '\\n' + m.content }}{% endif %}{{ '";
  for (const char c : end) source += c == '\n' ? std::string("\\n") : std::string(1, c);
  source += "' }}{% endfor %}{% if add_generation_prompt %}{{ '";
  for (const char c : prompt) source += c == '\n' ? std::string("\\n") : std::string(1, c);
  return source + "' }}{% endif %}";
}

// The turn of a family: its content, then its calls (`c` is a call's function), each in `call`, all between two marks.
inline std::string turn_of(std::string_view call, std::string_view open = "", std::string_view close = "",
                           std::string_view between = "") {
  std::string turn = "{{ m.content }}{% if m.tool_calls %}{{ '";
  turn += open;
  turn += "' }}{% for t in m.tool_calls %}{% set c = t.function %}";
  turn += call;
  if (!between.empty()) turn += "{% if not loop.last %}{{ '" + std::string(between) + "' }}{% endif %}";
  turn += "{% endfor %}{{ '";
  turn += close;
  return turn + "' }}{% endif %}";
}

struct FamilyCase {
  std::string_view name;
  std::string source;      // of the template
  std::string_view reply;  // says "Look." (where it may), then calls get_weather and add
};

inline const std::string kEnvelope =
    R"({{ '{"name": "' + c.name + '", "arguments": ' + (c.arguments | tojson) + '}' }})";

inline const FamilyCase kFamilies[] = {
    {"Hermes", template_of(turn_of("{{ '\\n<tool_call>\\n' }}" + kEnvelope + "{{ '\\n</tool_call>' }}")),
     "Look.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": "
     "{\"city\":\"Zürich\"}}\n</tool_call>\n<tool_call>\n"
     "{\"name\": \"add\", \"arguments\": {\"n\": 3, \"of\": [1, {\"a\": null}]}}\n</tool_call>"},
    {"Mistral, a list", template_of(turn_of(kEnvelope, "[TOOL_CALLS][", "]", ", ")),
     "Look.[TOOL_CALLS][{\"name\": \"get_weather\", \"arguments\": {\"city\":\"Zürich\"}}, {\"name\": \"add\", "
     "\"arguments\": {\"n\": 3, \"of\": [1, {\"a\": null}]}}]"},
    {"Mistral, newer", template_of(turn_of("{{ '[TOOL_CALLS]' + c.name + '[ARGS]' + (c.arguments | tojson) }}")),
     "Look.[TOOL_CALLS]get_weather[CALL_ID]abcdefghi[ARGS]{\"city\":\"Zürich\"}[TOOL_CALLS]add[ARGS]{\"n\": 3, \"of\": "
     "[1, {\"a\": null}]}"},
    {"Command-R",
     template_of(turn_of(R"({{ '{"tool_call_id": "0", "tool_name": "' + c.name + '", "parameters": ' +
                                      (c.arguments | tojson) + '}' }})",
                         "<|START_ACTION|>[\\n", "\\n]<|END_ACTION|>", ",\\n")),
     "Look.<|START_ACTION|>[\n{\"tool_call_id\": \"0\", \"tool_name\": \"get_weather\", \"parameters\": "
     "{\"city\":\"Zürich\"}},\n{\"tool_call_id\": \"1\", \"tool_name\": \"add\", \"parameters\": {\"n\": 3, \"of\": "
     "[1, "
     "{\"a\": null}]}}\n]<|END_ACTION|>"},
    {"Apertus",
     template_of(turn_of(R"({{ '{"' + c.name + '": ' + (c.arguments | tojson) + '}' }})", "<|tools_prefix|>[",
                         "]<|tools_suffix|>", ", ")),
     "Look.<|tools_prefix|>[{\"get_weather\": {\"city\":\"Zürich\"}}, {\"add\": {\"n\": 3, \"of\": [1, {\"a\": "
     "null}]}}]<|tools_suffix|>"},
    {"functionary", template_of(turn_of("{{ '<function=' + c.name + '>' + (c.arguments | tojson) + '</function>' }}")),
     "Look.<function=get_weather>{\"city\":\"Zürich\"}</function><function=add>{\"n\": 3, \"of\": [1, {\"a\": "
     "null}]}</function>"},
    {"DeepSeek R1",
     template_of(turn_of("{{ '<｜tool▁call▁begin｜>function<｜tool▁sep｜>' + c.name + '\\n```json\\n' + "
                         "(c.arguments | tojson) + '\\n```<｜tool▁call▁end｜>' }}",
                         "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "\\n")),
     "Look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{\"city\":\"Zürich\"}"
     "\n"
     "```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{\"n\": 3, \"of\": [1, {\"a\": "
     "null}]}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
    {"DeepSeek V3.1",
     template_of(turn_of("{{ '<｜tool▁call▁begin｜>' + c.name + '<｜tool▁sep｜>' + (c.arguments | tojson) + "
                         "'<｜tool▁call▁end｜>' }}",
                         "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>")),
     "Look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{\"city\":\"Zürich\"}<｜tool▁call▁end｜>"
     "<｜tool▁call▁begin｜>add<｜tool▁sep｜>{\"n\": 3, \"of\": [1, {\"a\": "
     "null}]}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
    {"Kimi K2",
     template_of(turn_of("{{ '<|tool_call_begin|>functions.' + c.name + ':' + (loop.index0 | string) + "
                         "'<|tool_call_argument_begin|>' + (c.arguments | tojson) + '<|tool_call_end|>' }}",
                         "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>")),
     "Look.<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
     "{\"city\":\"Zürich\"}<|tool_call_end|><|tool_call_begin|>functions.add:1<|tool_call_argument_begin|>{\"n\": 3, "
     "\"of\": [1, {\"a\": null}]}<|tool_call_end|><|tool_calls_section_end|>"},
    {"Solar",
     template_of(turn_of("{{ '<|tool_call:begin|>' + t.id + '<|tool_call:name|>' + c.name + "
                         "'<|tool_call:args|>' + (c.arguments | tojson) + '<|tool_call:end|>' }}",
                         "<|tool_calls|>", "<|calls|>")),
     "Look.<|tool_calls|><|tool_call:begin|>call-1<|tool_call:name|>get_weather<|tool_call:args|>{\"city\":\"Zürich\"}"
     "<|tool_call:end|><|tool_call:begin|>call-2<|tool_call:name|>add<|tool_call:args|>{\"n\": 3, \"of\": [1, {\"a\": "
     "null}]}<|tool_call:end|><|calls|>"},
    {"Qwen3-Coder",
     template_of(turn_of("{{ '\\n<tool_call>\\n<function=' + c.name + '>\\n' }}{% for k, v in c.arguments | items %}"
                         "{{ '<parameter=' + k + '>\\n' + (v if v is string else v | tojson) + '\\n</parameter>\\n' }}"
                         "{% endfor %}{{ '</function>\\n</tool_call>' }}")),
     "Look.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nZürich\n</parameter>\n</function>\n</tool_call>\n"
     "<tool_call>\n<function=add>\n<parameter=n>\n3\n</parameter>\n<parameter=of>\n[1, {\"a\": null}]\n</parameter>\n"
     "</function>\n</tool_call>"},
    {"GLM",
     template_of(turn_of("{{ '<tool_call>' + c.name }}{% for k, v in c.arguments | items %}{{ '<arg_key>' + k + "
                         "'</arg_key><arg_value>' + (v if v is string else v | tojson) + '</arg_value>' }}{% endfor %}"
                         "{{ '</tool_call>' }}")),
     "Look.<tool_call>get_weather<arg_key>city</arg_key><arg_value>Zürich</arg_value></tool_call><tool_call>add\n"
     "<arg_key>n</arg_key>\n<arg_value>3</arg_value>\n<arg_key>of</arg_key><arg_value>[1, {\"a\": null}]</arg_value>"
     "</tool_call>"},
    {"MiniMax",
     template_of(turn_of("{{ '<invoke name=\"' + c.name + '\">\\n' }}{% for k, v in c.arguments | items %}"
                         "{{ '<parameter name=\"' + k + '\">' + (v if v is string else v | tojson) + '</parameter>\\n' "
                         "}}{% endfor %}{{ '</invoke>\\n' }}",
                         "\\n<minimax:tool_call>\\n", "</minimax:tool_call>")),
     "Look.\n<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter "
     "name=\"city\">Zürich</parameter>\n</invoke>\n"
     "<invoke name=\"add\">\n<parameter name=\"n\">3</parameter>\n<parameter name=\"of\">[1, {\"a\": "
     "null}]</parameter>\n"
     "</invoke>\n</minimax:tool_call>"},
    {"DeepSeek V3.2",
     template_of(
         turn_of("{{ '<｜DSML｜invoke name=\"' + c.name + '\">\\n' }}{% for k, v in c.arguments | items %}"
                 "{{ '<｜DSML｜parameter name=\"' + k + '\" string=\"' + ('true' if v is string else 'false') + "
                 "'\">' + (v if v is string else v | tojson) + '</｜DSML｜parameter>\\n' }}{% endfor %}"
                 "{{ '</｜DSML｜invoke>\\n' }}",
                 "\\n\\n<｜DSML｜function_calls>\\n", "</｜DSML｜function_calls>")),
     "Look.\n\n<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_weather\">\n<｜DSML｜parameter name=\"city\" "
     "string=\"true\">Zürich</｜DSML｜parameter>\n</｜DSML｜invoke>\n<｜DSML｜invoke name=\"add\">\n<｜DSML｜parameter "
     "name=\"n\" string=\"false\">3</｜DSML｜parameter>\n<｜DSML｜parameter name=\"of\" string=\"false\">[1, {\"a\": "
     "null}]</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>"},
    {"Gemma 4",
     template_of(
         turn_of("{{ '<|tool_call>call:' + c.name + '{' }}{% for k, v in c.arguments | items %}{{ k + ':<|\"|>' "
                 "+ v | string + '<|\"|>' }}{% if not loop.last %},{% endif %}{% endfor %}"
                 "{{ '}<tool_call|>' }}")),
     "Look.<|tool_call>call:get_weather{city:<|\"|>Zürich<|\"|>}<tool_call|><|tool_call>call:add{n:3,of:[1,{a:null}]}"
     "<tool_call|>"},
    {"LFM2", "{# <|tool_call_start|> #}" + template_of("{{ m.content }}"),
     "Look.<|tool_call_start|>[get_weather(city=\"Zürich\"), add(n=3, of=[1, {'a': None}])]<|tool_call_end|>"},
    {"SmolLM2", template_of("{{ m.content }}"),
     "Look.<tool_call>[{\"name\": \"get_weather\", \"arguments\": {\"city\":\"Zürich\"}}, {\"name\": \"add\", "
     "\"arguments\": {\"n\": 3, \"of\": [1, {\"a\": null}]}}]</tool_call>"},
    {"Gemma 3", "{# <start_of_turn> #}" + template_of("{{ m.content }}"),
     "Look.\n```tool_code\nget_weather(city=\"Zürich\")\n```\n```json\n{\"name\": \"add\", \"parameters\": {\"n\": 3, "
     "\"of\": [1, {\"a\": null}]}}\n```"},
    {"Harmony", "{# <|channel|>analysis<|message|> #}" + template_of("{{ m.content }}"),
     "<|channel|>commentary<|message|>Look.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather "
     "<|constrain|>json<|message|>{\"city\":\"Zürich\"}<|start|>assistant to=functions.add<|channel|>commentary json"
     "<|message|>{\"n\": 3, \"of\": [1, {\"a\": null}]}"},
};

}  // namespace kvasir::testing
