# SPDX-License-Identifier: Apache-2.0
#
# One function per kind of test; tests/CMakeLists.txt is the list. Every kind takes
# (NAME [more sources...] LIBS libraries...), sources being relative to tests/.
pkg_check_modules(CMOCKA REQUIRED QUIET IMPORTED_TARGET cmocka)
add_custom_target(bench)         # every program of tests/bench
add_custom_target(fuzz)          # every fuzz target
add_custom_target(thread_tests)  # every test that runs threads: what the tsan preset builds

# sj_program(NAME FOLDER [sources...] LIBS ...): the executable NAME from FOLDER/NAME.c.
function(sj_program NAME FOLDER)
    cmake_parse_arguments(ARG "" "" "LIBS" ${ARGN})
    add_executable(${NAME} ${FOLDER}/${NAME}.c ${ARG_UNPARSED_ARGUMENTS})
    target_link_libraries(${NAME} PRIVATE ${ARG_LIBS})
    target_include_directories(${NAME} PRIVATE ${PROJECT_SOURCE_DIR})
    target_compile_definitions(${NAME} PRIVATE
        SIDEJUDGE_FIXTURES="${PROJECT_SOURCE_DIR}/tests/fixtures"
        SIDEJUDGE_BINARY="${PROJECT_BINARY_DIR}/sidejudge")
endfunction()

# sj_test(NAME LABEL [arguments...]): registers a program that was made.
function(sj_test NAME LABEL)
    add_test(NAME ${NAME} COMMAND ${NAME} ${ARGN} WORKING_DIRECTORY ${PROJECT_BINARY_DIR})
    set_tests_properties(${NAME} PROPERTIES LABELS ${LABEL} TIMEOUT 900)
endfunction()

# sj_unit_test(NAME [sources...] LIBS ... [THREADS]): tests/unit/NAME.c on cmocka. THREADS says
# that it starts threads, and has it run under ThreadSanitizer too.
function(sj_unit_test NAME)
    cmake_parse_arguments(ARG "THREADS" "" "" ${ARGN})
    sj_program(${NAME} unit ${ARG_UNPARSED_ARGUMENTS} PkgConfig::CMOCKA)
    sj_test(${NAME} unit)
    if(ARG_THREADS)
        set_property(TEST ${NAME} APPEND PROPERTY LABELS threads)
        add_dependencies(thread_tests ${NAME})
    endif()
endfunction()

# sj_scenario(NAME ...): tests/scenario/NAME.c, which starts SIDEJUDGE_BINARY and talks to it. One
# at a time, because a default start takes the default ports.
function(sj_scenario NAME)
    sj_program(${NAME} scenario ${ARGN} PkgConfig::CMOCKA)
    sj_test(${NAME} scenario)
    set_tests_properties(${NAME} PROPERTIES RUN_SERIAL ON)
    add_dependencies(${NAME} sidejudge)
endfunction()

# sj_sim(NAME ...): tests/sim/NAME.c, shard, judge and exporter on a manual clock.
function(sj_sim NAME)
    sj_program(${NAME} sim ${ARGN} PkgConfig::CMOCKA)
    sj_test(${NAME} sim)
endfunction()

# sj_fuzz(NAME ...): tests/fuzz/NAME.c has LLVMFuzzerTestOneInput. The fuzz preset links it with
# libFuzzer; every other build with fuzz/replay.c, which runs tests/fuzz/corpus/NAME/ as a test.
function(sj_fuzz NAME)
    if(SIDEJUDGE_FUZZ)
        sj_program(${NAME} fuzz ${ARGN})
        target_link_options(${NAME} PRIVATE -fsanitize=fuzzer)
        add_dependencies(fuzz ${NAME})
    else()
        sj_program(${NAME} fuzz fuzz/replay.c ${ARGN})
        sj_test(${NAME} fuzz ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${NAME})
    endif()
endfunction()

# sj_bench(NAME ...): tests/bench/NAME.c, built on request into <build>/bench/.
function(sj_bench NAME)
    sj_program(${NAME} bench ${ARGN})
    set_target_properties(${NAME} PROPERTIES EXCLUDE_FROM_ALL ON
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bench)
    add_dependencies(bench ${NAME})
endfunction()
