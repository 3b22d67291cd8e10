# SPDX-License-Identifier: Apache-2.0
#
# How a folder becomes a library. Source lists are explicit: what is not listed is not built, which
# tests/tidy reports.

# sj_library(NAME sources... LIBS libraries...): headers are included by their path from the root.
function(sj_library NAME)
    cmake_parse_arguments(ARG "" "" "LIBS" ${ARGN})
    add_library(${NAME} STATIC ${ARG_UNPARSED_ARGUMENTS})
    target_include_directories(${NAME} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(${NAME} PUBLIC ${ARG_LIBS})
endfunction()

# sj_protobuf(NAME files.proto...): protobuf-c's output, under the build tree's proto/, so that a
# generated header is included by the path of its .proto file, "opentelemetry/.../trace.pb-c.h".
function(sj_protobuf NAME)
    find_program(PROTOC_C protoc-c REQUIRED)
    set(root ${CMAKE_CURRENT_SOURCE_DIR})
    set(out ${CMAKE_CURRENT_BINARY_DIR}/generated)
    file(MAKE_DIRECTORY ${out})
    set(sources "")
    foreach(proto IN LISTS ARGN)
        string(REGEX REPLACE "\\.proto$" ".pb-c" stem ${proto})
        add_custom_command(OUTPUT ${out}/${stem}.c ${out}/${stem}.h
            COMMAND ${PROTOC_C} --c_out=${out} --proto_path=${root} ${root}/${proto}
            DEPENDS ${root}/${proto} VERBATIM)
        list(APPEND sources ${out}/${stem}.c ${out}/${stem}.h)
    endforeach()
    add_library(${NAME} STATIC ${sources})
    set_target_properties(${NAME} PROPERTIES COMPILE_OPTIONS "-w;-fPIE;-ffunction-sections")
    target_include_directories(${NAME} SYSTEM PUBLIC ${out})
    target_link_libraries(${NAME} PUBLIC PkgConfig::PROTOBUF_C)
endfunction()
