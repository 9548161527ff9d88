# Tests that are no executable of this tree: the sanitizer builds' unit tests, the fuzzers, the end-to-end tests and the
# checks of the sources. Registered in the release tree, so that its ctest run is the whole verdict.
function(kvasir_tree_test tree name)
  add_test(NAME ${tree}.${name} COMMAND ${CMAKE_SOURCE_DIR}/tests/support/in_tree.sh ${tree} ${name} ${ARGN})
  set_tests_properties(${tree}.${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 900 LABELS ${tree})
endfunction()

foreach(tree asan tsan)
  foreach(name unit_config unit_storage unit_text unit_model unit_cpu unit_engine unit_gateway reference_models sim)
    if(TARGET ${name})
      kvasir_tree_test(${tree} ${name})
    endif()
  endforeach()
endforeach()

file(GLOB fuzzers CONFIGURE_DEPENDS fuzz/*_fuzz.cpp)
foreach(source ${fuzzers})
  get_filename_component(name ${source} NAME_WE)
  file(MAKE_DIRECTORY ${CMAKE_SOURCE_DIR}/build/fuzz/corpus/${name})
  kvasir_tree_test(fuzz ${name} -max_total_time=600 -timeout=20 -rss_limit_mb=4096 -print_final_stats=1
    ${CMAKE_SOURCE_DIR}/build/fuzz/corpus/${name} ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/seeds/${name})
  set_tests_properties(fuzz.${name} PROPERTIES LABELS full)
endforeach()

# build/venv is made by ./test. Servers and clients share the machine, so one at a time.
file(GLOB e2e CONFIGURE_DEPENDS e2e/test_*.py)
foreach(source ${e2e})
  get_filename_component(name ${source} NAME_WE)
  string(REPLACE "test_" "e2e." name ${name})
  add_test(NAME ${name} COMMAND ${CMAKE_SOURCE_DIR}/build/venv/bin/python -m pytest -q -p no:cacheprovider ${source})
  set_tests_properties(${name} PROPERTIES RUN_SERIAL ON TIMEOUT 900 LABELS e2e
    ENVIRONMENT "KVASIR_BINARY=$<TARGET_FILE:kvasir>;PYTHONDONTWRITEBYTECODE=1")
endforeach()

add_test(NAME tidy COMMAND /usr/bin/python3 ${CMAKE_CURRENT_SOURCE_DIR}/tidy/tidy.py)
set_tests_properties(tidy PROPERTIES LABELS tidy)
